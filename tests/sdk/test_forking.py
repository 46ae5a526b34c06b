"""What is to be done at the end is done at the end of children too, though multiprocessing's know no atexit."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tenure import forking

DEADLINE = 60.0

# What the module does when it is imported decides who registers, and when: the parent before or after it has imported
# multiprocessing, or each child for itself.
MODULE = """
import os, sys
{imported}
from tenure import forking


def end():
    with open(sys.argv[1], "a") as told:
        told.write(f"{{os.getpid()}}\\n")


def child():
    {in_child}


if __name__ == "__main__":
    {in_parent}
    import multiprocessing
    started = multiprocessing.get_context({method!r}).Process(target=child)
    started.start()
    started.join()
    assert started.exitcode == 0
    print(started.pid)
"""
REGISTER = "forking.at_exit(end)"


@pytest.mark.parametrize(
    ("method", "imported", "in_parent", "in_child"),
    [
        ("fork", "", REGISTER, "pass"),
        ("fork", "import multiprocessing.util", REGISTER, "pass"),
        ("fork", "", "pass", REGISTER),
        ("forkserver", "", "pass", REGISTER),
        ("spawn", "", "pass", REGISTER),
    ],
)
def test_a_child_of_multiprocessing_ends_as_it_should(
    tmp_path: Path, method: str, imported: str, in_parent: str, in_child: str
) -> None:
    program, told = tmp_path / "program.py", tmp_path / "told"
    program.write_text(MODULE.format(method=method, imported=imported, in_parent=in_parent, in_child=in_child))
    done = subprocess.run(
        [sys.executable, program, told], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() in told.read_text().split()


# The sender's handler waits, inside the log's own lock or not, until the host has begun to fork.
LOGGING = """
import os, signal, threading
import tenure
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.settings import Settings
from tenure.testing import MemoryTransport

agent = MemoryTransport()
agent.available = False
batcher = Batcher(Settings(flush_interval=0.001, exit_timeout=60), lambda: agent)
logged, forking = threading.Event(), threading.Event()
os.register_at_fork(before=forking.set)  # the first to be run
import logging


class Slow(logging.Handler):
    def emit(self, record):
        logged.set()
        assert forking.wait(60)
        logging.getLogger(f"other.{os.getpid()}.{id(record)}")  # takes the lock that `logging` holds over a fork


logging.getLogger("tenure").addHandler(Slow())
logging.getLogger("tenure").setLevel("DEBUG")
batcher.put(Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, 0))
assert logged.wait(60)
child = os.fork()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
agent.available = True
assert batcher.flush(60) and batcher.close(60)
"""


def test_a_sender_that_logs_does_not_hold_up_the_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], capture_output=True, text=True, timeout=DEADLINE / 2, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


SLOW_IMPORT = """
import os, sys, threading
import tenure
import slow

monitor = tenure.Monitor("fraud", settings=tenure.Settings(agent="unix:nowhere.sock", exit_timeout=0.05))
monitor._batcher._pipeline._connect = slow.connect
monitor.record({{"x": 1.0}}, 0.5)
slow.begun.wait()  # the sender is in the middle of an import
child = os.fork()
import module  # as the child does: with the lock held by a thread it does not have, it would wait for ever
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
monitor.close(timeout=0)
"""
SLOW = """
import threading
from tenure.errors import TransportError

begun = threading.Event()


def connect():
    import module
    raise TransportError("nowhere")
"""
MODULE_THAT_TAKES_LONG = """
import slow, threading
slow.begun.set()
threading.Event().wait(1.0)  # longer than a fork waits for the sender
"""


def test_a_fork_waits_for_the_senders_imports(tmp_path: Path) -> None:
    for name, text in {"main": SLOW_IMPORT, "slow": SLOW, "module": MODULE_THAT_TAKES_LONG}.items():
        (tmp_path / f"{name}.py").write_text(text.replace("{{", "{").replace("}}", "}"))
    command = [sys.executable, "main.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False, start_new_session=True
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


@pytest.mark.parametrize(
    ("names", "least", "most"), [({"event_engine"}, 20, 22), ({"python"}, 2, 4), (set[str](), 3, 3)]
)
def test_grpcs_own_threads_are_waited_for_with_more_patience(
    monkeypatch: pytest.MonkeyPatch, names: set[str], least: int, most: int
) -> None:
    looks = 0

    def busy(_: object) -> set[str]:
        nonlocal looks
        looks += 1
        return names

    monkeypatch.setattr(forking, "_busy", busy)
    monkeypatch.setattr(forking, "time", SimpleNamespace(monotonic=lambda: looks / 20))
    monkeypatch.setitem(sys.modules, "grpc", sys)
    forking._settle()
    assert least <= looks <= most
