"""What the C library is asked to do with memory, as glibc itself tells of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, threading
from tenure_agent import memory

{first}
together, held = threading.Barrier(4), []

def take():
    held.append([bytes(50_000) for _ in range(20)])
    together.wait(60)

threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
RESIDENT = """
import ctypes
from tenure_agent.memory import give_back

def resident():
    return int(open("/proc/self/statm").read().split()[1])

kept = []
freed = [bytes(50_000) for _ in range(1000)]
kept.append(bytes(50_000))  # what lies above keeps glibc from giving back what is freed below
held = resident()
del freed
before = resident()
give_back()
print(held, before, resident())
"""
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked")


def told(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("first", "alone"), [("memory.share_one_heap()", True), ("", False)])
def test_threads_share_one_heap_once_asked(first: str, alone: bool) -> None:
    assert (told(HEAPS.format(first=first)).count("<heap nr=") == 1) == alone


def test_what_was_freed_goes_back() -> None:
    held, before, after = map(int, told(RESIDENT).split())
    assert before > held - 1000  # in pages
    assert after < held - 10_000
