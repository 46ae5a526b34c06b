"""What one watched call costs the thread that makes it: a function of a 20-feature dict, an agent beside it."""

from __future__ import annotations

import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, Histogram
from tests.bench.line import Line, per_call
from tests.bench.running import agent

import tenure

ROUNDS, CALLS, SLOW_CALLS = 15, 4_000, 40
FEATURES = {f"feature_{i}": float(i) + 0.5 for i in range(20)}


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder, agent(Path(folder)) as address:
        yield from _compare(Path(folder), address)


def _compare(folder: Path, address: str) -> Iterator[Line]:
    monitor = tenure.Monitor("bench", settings=tenure.Settings(agent=address, queue_rows=100_000))
    histogram = Histogram("seconds", "Bench.", ["model"], registry=CollectorRegistry())
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=100_000))
    tracer = provider.get_tracer("bench")
    lines = (folder / "lines.json").open("w")

    def bare(features: dict[str, float]) -> float:
        return features["feature_3"]

    def observed(features: dict[str, float]) -> float:
        histogram.labels("bench").observe(0.001)
        return features["feature_3"]

    def spanned(features: dict[str, float]) -> float:
        with tracer.start_as_current_span("predict", attributes=features):
            return features["feature_3"]

    def written(features: dict[str, float]) -> float:
        prediction = features["feature_3"]
        lines.write(json.dumps({"time": time.time(), "prediction": prediction, **features}) + "\n")
        return prediction

    profile = importlib.import_module("whylogs.core").DatasetProfile()

    def tracked(features: dict[str, float]) -> float:
        profile.track(features)
        return features["feature_3"]

    sides: dict[str, Callable[[dict[str, float]], float]] = {
        "bare call": bare,
        "@watch": monitor.watch(bare),
        "Histogram.observe": observed,
        "OpenTelemetry span": spanned,
        "JSON line": written,
        "whylogs track": tracked,
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            times[name].append(per_call(side, FEATURES, SLOW_CALLS if side is tracked else CALLS))
            monitor.flush(30.0)  # each side has the machine to itself
            provider.force_flush()
    cost = {name: statistics.median(taken) - statistics.median(times["bare call"]) for name, taken in times.items()}
    watch = cost["@watch"]
    yield Line("in_path", "bare call", statistics.median(times["bare call"]) * 1e6, "us")
    yield Line("in_path", "@watch, 20-feature dict", watch * 1e6, "us over bare")
    targets = {
        "Histogram.observe": "< 1",
        "OpenTelemetry span": "<= 0.025",
        "JSON line": "<= 0.1",
        "whylogs track": "<= 0.0033",
    }
    for name, target in targets.items():
        yield Line(
            "in_path", f"{name} alone", cost[name] * 1e6, "us over bare", "@watch / it", watch / cost[name], target
        )
    stats = monitor.stats()
    assert stats.emitted == stats.acked == ROUNDS * CALLS, stats
    monitor.close()
    provider.shutdown()
    lines.close()


class Nowhere(SpanExporter):
    """Takes spans and drops them: only the cost of making and batching them is measured."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS
