"""A full queue: the newest goes, or the host waits."""

import threading
from collections.abc import Callable

from tenure.backlog import Stats
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
Make = Callable[..., Batcher]


class Held(MemoryTransport):
    """Holds its first caller until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.go = threading.Event(), threading.Event()

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        self.called.set()
        assert self.go.wait(DEADLINE)
        return super().report(payload, timeout)


def row(counter: int) -> Row:
    return Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, counter)


def put_all(batcher: Batcher, end: int) -> None:
    for i in range(1, end):
        batcher.put(row(i))


def held(make: Make, **settings: object) -> tuple[Batcher, Held]:
    agent = Held()
    batcher = make(agent, **settings)
    batcher.put(row(0))
    assert agent.called.wait(DEADLINE)
    return batcher, agent


def test_the_newest_is_dropped(make: Make) -> None:
    batcher, agent = held(make, queue_rows=4, drop_policy="newest")
    for i in range(1, 7):
        batcher.put(row(i))
    assert batcher.stats("m") == Stats(7, 0, 5, {"queue_full": 2})
    agent.go.set()
    assert batcher.flush(DEADLINE)
    assert [int(found["id"].rpartition("-")[2]) for found in agent.predictions("m")] == [0, 1, 2, 3, 4]


def test_a_host_that_would_rather_wait_loses_nothing(make: Make) -> None:
    batcher, agent = held(make, queue_rows=4, queue_bytes=400, batch_bytes=400, when_full="block")
    host = threading.Thread(target=put_all, args=(batcher, 500), daemon=True)
    host.start()
    host.join(0.2)
    assert host.is_alive()
    assert batcher.stats("m").queued < 30
    agent.go.set()
    host.join(DEADLINE)
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(500, 500, 0, {})


def test_close_ends_the_wait(make: Make) -> None:
    batcher, agent = held(make, queue_rows=4, when_full="block")
    host = threading.Thread(target=put_all, args=(batcher, 6), daemon=True)
    host.start()
    while len(batcher.queue) < 4:
        assert host.is_alive()
    assert not batcher.close(0.01)
    host.join(DEADLINE)
    assert not host.is_alive()
    agent.go.set()
    assert batcher.flush(DEADLINE)
    stats = batcher.stats("m")
    assert stats.emitted == 6 == stats.acked + sum(stats.dropped.values())
