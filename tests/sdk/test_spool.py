"""Reports on disk: they outlive the process, keep their numbers, stay within their bound, and no loss is silent."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tenure.backlog import Parcel
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.segment import Torn
from tenure.spool import Spool
from tenure.spooled import Spooled
from tenure.testing import MemoryTransport

DEADLINE = 60.0
Make = Callable[..., Batcher]

# A host whose agent is away: it puts rows, and ends as it is told to.
HOST = """
import os, sys
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.settings import Settings
from tenure.testing import MemoryTransport
agent = MemoryTransport()
agent.available = False
batcher = Batcher(Settings(flush_interval=0.001, spool=sys.argv[1]), lambda: agent)
for i in range(1000):
    batcher.put(Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, i))
batcher.close(0.05)
stats = batcher.stats("m")
assert (stats.emitted, stats.queued, stats.dropped) == (1000, 1000, {}), stats
print(batcher.prefix, flush=True)
os.kill(os.getpid(), 9)
"""


def row(counter: int, text: str = "") -> Row:
    return Row(Stream("m", "1"), {"x": text}, 0.5, 1000, counter)


def dead_host(spool: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(spool)], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_dead_process_rows_are_sent_by_whoever_lives_under_their_own_name(make: Make, tmp_path: Path) -> None:
    dead = {dead_host(tmp_path) for _ in range(2)}
    agent = MemoryTransport()
    batcher = make(agent, spool=str(tmp_path))
    batcher.put(row(0))
    assert batcher.flush(DEADLINE)
    while batcher.stats("m").recovered < 2000:
        batcher.wake()

    assert {report.producer_id for report in agent.reports} == dead | {batcher.prefix}
    for producer in dead:
        ids = [found["id"] for found in agent.predictions("m") if found["id"].startswith(producer)]
        assert len(ids) == len(set(ids)) == 1000
        seqs = [report.seq for report in agent.reports if report.producer_id == producer]
        assert seqs == list(range(1, len(seqs) + 1))
    stats = batcher.stats("m")
    assert (stats.emitted, stats.acked, stats.recovered) == (1, 1, 2000)
    assert list(tmp_path.iterdir()) == []


def test_while_the_agent_is_away_rows_wait_on_disk_and_are_sent_once(make: Make, tmp_path: Path) -> None:
    agent = MemoryTransport()
    agent.available = False
    batcher = make(agent, spool=str(tmp_path), batch_bytes=2000, queue_bytes=3000)
    for i in range(500):
        batcher.put(row(i))
    while not list(tmp_path.glob("[!.]*/*.spool")):
        assert batcher.stats("m").emitted == 500
    agent.available = True
    assert batcher.flush(DEADLINE)

    stats = batcher.stats("m")
    assert (stats.emitted, stats.acked, stats.queued, stats.dropped) == (500, 500, 0, {})
    assert sorted(int(found["id"].rpartition("-")[2]) for found in agent.predictions("m")) == list(range(500))
    assert not list(tmp_path.glob("[!.]*/*.spool"))


@pytest.mark.parametrize("policy", ["oldest", "newest"])
def test_over_its_bound_the_spool_drops_and_counts(make: Make, tmp_path: Path, policy: str) -> None:
    agent = MemoryTransport()
    agent.available = False
    batcher = make(agent, spool=str(tmp_path), spool_bytes=20_000, batch_bytes=2000, drop_policy=policy)
    total = 0
    while not batcher.stats("m").dropped:
        batcher.put(row(total, "y" * 500))
        total += 1
        stats = batcher.stats("m")
        assert stats.emitted == total == stats.queued + sum(stats.dropped.values())
    assert set(batcher.stats("m").dropped) == {"spool_full"}
    agent.available = True
    assert batcher.flush(DEADLINE)

    stats = batcher.stats("m")
    assert stats.emitted == total == stats.acked + sum(stats.dropped.values())
    assert len(agent.predictions("m")) == stats.acked


def test_a_torn_end_is_counted(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "p", 1 << 20)
    for rows in (1, 2, 4):
        spool.append(Parcel(b"x" * 100, {"m": rows}))
    spool.save(7, {("m", "queue_full"): 3})
    assert Spool.adopt(spool.folder, 1 << 20) is None  # it lives
    spool.release()
    [path] = spool.folder.glob("*.spool")
    data = bytearray(path.read_bytes())
    data[60] ^= 1  # in the first report
    path.write_bytes(data[:-10])  # and the last is cut

    adopted = Spool.adopt(spool.folder, 1 << 20)
    assert adopted is not None
    assert (adopted.mark.acked, adopted.mark.losses) == (7, {("m", "queue_full"): 3})
    found = [adopted.read() for _ in range(4)]
    assert [None if one is None else one[1] for one in found] == [
        Torn({"m": 1}),
        Parcel(b"x" * 100, {"m": 2}),
        Torn({"m": 4}),
        None,
    ]
    adopted.release()


def test_what_cannot_be_read_at_all_leaves_a_gap_in_the_numbers(make: Make, tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "p", 1 << 20)
    spool.append(Parcel(b"", {"m": 1}))
    spool.save(7, {})
    spool.append(Parcel(b"", {"m": 1}))
    spool.release()
    [path] = spool.folder.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-5])
    agent = MemoryTransport()
    batcher = make(agent, spool=str(tmp_path))
    batcher.put(row(0))
    while batcher.stats("m").recovered < 1:
        assert batcher.flush(DEADLINE)

    assert [report.seq for report in agent.reports if report.producer_id == "p"] == [9]  # 8 is missed


def test_a_crash_between_ack_and_mark_resends_the_same_number(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "p", 1 << 20)
    spool.save(3, {})
    spool.append(Parcel(b"a", {"m": 1}))
    spool.append(Parcel(b"b", {"m": 1}))
    assert spool.read() is not None
    spool.settle(4, {})
    assert spool.read() is not None  # sent, and the process dies
    spool.release()

    adopted = Spool.adopt(spool.folder, 1 << 20)
    assert adopted is not None
    assert adopted.mark.acked == 4
    found = adopted.read()
    assert found is not None
    assert found[1] == Parcel(b"b", {"m": 1})
    adopted.release()


def test_a_spool_that_cannot_be_made_costs_no_row(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    agent = MemoryTransport()
    agent.available = False
    batcher = make(agent, spool=str(tmp_path / "file"))
    batcher.put(row(0))
    while "cannot be used" not in caplog.text:
        assert batcher.stats("m").queued == 1
    agent.available = True
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m").acked == 1


def test_nobody_adopts_twice(make: Make, tmp_path: Path) -> None:
    dead_host(tmp_path)
    settings = make(MemoryTransport(), spool=str(tmp_path))._settings
    lock = make(MemoryTransport())._lock
    first = Spooled("first", lock, settings).adopt()
    assert first is not None
    assert Spooled("second", lock, settings).adopt() is None
    first.release()
