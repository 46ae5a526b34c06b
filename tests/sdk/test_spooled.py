"""The host's threads never wait for the spool's disk, and a spool is refused where it cannot work."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.segment import Mark
from tenure.testing import MemoryTransport

DEADLINE = 60.0

# Every touch of the spool asks who holds the lock; the first deletion of each kind hangs until the host has gone on.
PROGRAM = """
import sys, threading
from pathlib import Path
from tenure.backlog import Parcel
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.settings import Settings
from tenure.spool import Spool
from tenure.testing import MemoryTransport

root, what, touched, faults = sys.argv[1], sys.argv[2], set(), []
reached, go_on = threading.Event(), threading.Event()
for name in ("dead1", "dead2"):  # one is adopted at once, the other waits for its turn
    dead = Spool.create(Path(root), name, 1 << 20)
    dead.append(Parcel(b"", {"m": 3}))
    dead.release()
agent = MemoryTransport()
agent.available = False
settings = Settings(flush_interval=0.001, spool=root, spool_bytes=20_000, batch_bytes=2000, exit_timeout=60)
batcher = Batcher(settings, lambda: agent)


def watch(event, arguments):
    if event in ("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.scandir", "os.listdir", "shutil.rmtree"):
        path = str(arguments[0])
        if path.startswith(root):
            touched.add(event)
            if batcher._lock._is_owned():
                faults.append((event, path))
            kind = event if event == "shutil.rmtree" else "dead" if "dead" in path[len(root):] else "own"
            if event in ("os.remove", "shutil.rmtree") and kind == what and not reached.is_set():
                reached.set()
                assert go_on.wait(60)


def put():
    global total
    batcher.put(Row(Stream("m", "1"), {"x": "y" * 500}, 0.5, 1000, total))
    total += 1


def account():
    stats = batcher.stats("m")
    assert stats.emitted == total == stats.acked + stats.queued + sum(stats.dropped.values()), stats
    return stats


total = 0
sys.addaudithook(watch)
if what == "shutil.rmtree":
    agent.available = True
while not reached.is_set():
    put()
    account()
for _ in range(100):  # the disk hangs; the host does not
    put()
    account()
go_on.set()
while not account().dropped and what != "shutil.rmtree":
    put()
agent.available = True
assert batcher.flush(60) and batcher.close(60)
stats = account()
assert stats.queued == 0 and set(stats.dropped) <= {"spool_full", "queue_full"}, stats
assert touched >= {"open", "os.remove", "os.rename", "os.mkdir", "os.scandir", "shutil.rmtree"}, touched
assert not faults, faults
"""


@pytest.mark.parametrize("what", ["dead", "own", "shutil.rmtree"])
def test_nobody_waits_for_the_disk_with_the_lock_held(tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_was_dropped_for_room_is_told_by_whoever_comes_after(make: Callable[..., Batcher], tmp_path: Path) -> None:
    agent = MemoryTransport()
    agent.available = False
    killed = make(agent, spool=str(tmp_path), spool_bytes=20_000, batch_bytes=2000, exit_timeout=DEADLINE)
    total = 0
    while not killed.stats("m").dropped:
        killed.put(Row(Stream("m", "1"), {"x": "y" * 500}, 0.5, 1000, total))
        total += 1
    killed.before_fork()  # its sender stands still, as if the process were gone
    dropped = killed.stats("m").dropped["spool_full"]

    assert Mark.read(tmp_path / killed.prefix / "mark").losses == {("m", "spool_full"): dropped}
    killed.after_fork_in_parent()
    agent.available = True
    assert killed.flush(DEADLINE)


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = None
import tenure
tenure.Monitor("m", settings=tenure.Settings()).stats()
try:
    tenure.Monitor("m", settings=tenure.Settings(spool="/tmp/spool"))
except tenure.SettingError as error:
    print(error.field, error)
"""


def test_without_file_locks_all_but_the_spool_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith("spool spool: '/tmp/spool' cannot be used. Try: leave it empty")
