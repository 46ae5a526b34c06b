"""The account at any instant: looked at while four threads serve, whatever the agent does."""

import random
import threading
from collections.abc import Callable

import pytest

from tenure.batcher import Batcher
from tenure.capture import Capture, Row, Stream, Table, Truth
from tenure.errors import TransportError
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
STREAM = Stream("m", "1")
THREADS, CAPTURES, LOOKS = 4, 400, 200


class SlowAgent(MemoryTransport):
    """Answers once for each look at the account, so that it falls behind."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        if not self.permits.acquire(timeout=DEADLINE):
            raise TransportError("the test has forgotten this call")
        return super().report(payload, timeout)


class UnreliableAgent(MemoryTransport):
    """Loses one report in three, and one reply in three."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = random.Random(7)

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        fate = self.rng.randrange(3)
        if fate == 0:
            raise TransportError("the report was lost")
        reply = super().report(payload, timeout)
        if fate == 1:
            raise TransportError("the reply was lost")
        return reply


class AbsentAgent(MemoryTransport):
    def __init__(self) -> None:
        super().__init__()
        self.available = False


def row(i: int, text: str = "") -> Row:
    return Row(STREAM, {"x": text}, 0.5, 1000, i)


def table(i: int, rows: int) -> Table:
    return Table(STREAM, {"x": [1.0] * rows}, None, 1000, i, rows)


def traffic(seed: int) -> list[tuple[Capture, int]]:
    """Captures of one host thread, each with its rows."""
    kinds: list[Callable[[int], tuple[Capture, int]]] = [
        lambda i: (row(i), 1),
        lambda i: (row(i, "y" * 50), 1),
        lambda i: (row(i, "y" * 3000), 1),  # too large
        lambda i: (Truth("m", str(i), 1, None, 7), 1),
        lambda i: (table(i, 5), 5),
        lambda i: (table(i, 70), 70),  # larger than the queue
    ]
    return [
        kind(i) for i, kind in enumerate(random.Random(seed).choices(kinds, weights=[50, 20, 1, 10, 10, 1], k=CAPTURES))
    ]


def rows_taken(agent: MemoryTransport) -> int:
    return sum(
        sum(batch.rows for batch in report.batches) + sum(len(outcomes.ids) for outcomes in report.outcomes)
        for report in agent.reports
    )


@pytest.mark.parametrize("kind", [MemoryTransport, SlowAgent, UnreliableAgent, AbsentAgent])
def test_the_account_is_exact_at_any_instant(make: Callable[..., Batcher], kind: type[MemoryTransport]) -> None:
    agent = kind()
    batcher = make(agent, queue_rows=64, queue_bytes=8000, batch_bytes=1500, exit_timeout=DEADLINE)
    begun, done = [0] * THREADS, [0] * THREADS

    def serve(thread: int) -> None:
        for capture, rows in traffic(thread):
            begun[thread] += rows
            batcher.put(capture)
            done[thread] += rows

    # Given four threads that serve at once
    threads = [threading.Thread(target=serve, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()

    # When anybody looks, then every row put by then is in the account, and none that was not
    looks = 0
    while any(thread.is_alive() for thread in threads) or looks < LOOKS:
        least = sum(done)
        stats = batcher.stats("m")
        most = sum(begun)
        assert least <= stats.emitted <= most
        assert stats.emitted == stats.acked + stats.queued + sum(stats.dropped.values())
        assert min(stats.acked, stats.queued) >= 0
        looks += 1
        if isinstance(agent, SlowAgent):
            agent.permits.release()
    total = sum(begun)
    assert batcher.stats("m").emitted == total

    # And in the end the agent has what was acked
    if isinstance(agent, SlowAgent):
        agent.permits.release(1_000_000)
    assert batcher.flush(DEADLINE if agent.available else 0) == agent.available
    assert batcher.close(0) == agent.available
    stats = batcher.stats("m")
    assert (stats.emitted, stats.acked, stats.queued) == (total, rows_taken(agent), 0)
