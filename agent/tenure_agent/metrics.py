"""What Prometheus scrapes. Every name and label is documented in README and compared with it by a test."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tenure_agent.records import ERROR, REFERENCE_ERROR, SCORE, SURPRISE, Decision, Level, Verdict

MAX_SERIES_NAMES = 200
MAX_LABEL = 256
LEVELS = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2, Level.INSUFFICIENT_DATA: -1, Level.ERROR: -2}
MODEL = ("model", "version")
RECONSTRUCTED = {ERROR: "window", REFERENCE_ERROR: "reference"}


class Metrics:
    """The agent's metrics on a registry of their own.

    Names come from outside: past the first 200 models, versions or columns a label reads `other`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:  # noqa: PLR0915  # a list, a metric each
        self.registry = registry
        self._names: dict[str, set[str]] = {}
        self._read: dict[tuple[str, str, str], set[tuple[str, str]]] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tenure_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"tenure_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"tenure_{name}", text, registry=registry)

        self.predictions = counter("predictions", "Predictions stored.", *MODEL, "role")
        self.outcomes = counter("outcomes", "Delayed outcomes stored.", "model")
        self.dropped = counter("dropped", "Rows lost, by reason, at the producer or refused here.", "model", "reason")
        self.uploads = counter(
            "reference_uploads", "References that monitors uploaded, by what became of them.", "model", "result"
        )
        self.missed = counter("missed_reports", "Reports passed over: gaps in a producer's sequence.")
        self.late = counter("late_reports", "Reports that came after all, when one after them had come.")
        self.lost_after_ack = counter(
            "lost_after_ack_reports",
            "Reports acked before that this store does not hold: their file was cut or replaced.",
        )
        self.type_changes = counter("type_changes", "Columns that had numbers and got texts, or the reverse.", "model")
        self.duplicates = counter("duplicate_reports", "Reports that came again and were stored once.")
        self.unauthenticated = counter("unauthenticated_calls", "Calls that did not show the agent's token.")
        self.commit_errors = counter("commit_errors", "Groups of reports that could not be committed.")
        self.commit_seconds = histogram("commit_seconds", "Time from taking a group of reports to its commit.")
        self.expired = counter("expired_predictions", "Predictions removed by age or for room.")
        self.unmatched = counter(
            "unmatched_outcomes", "Outcomes whose prediction is not stored, or no longer.", "model"
        )
        self.archived = counter("archived_rows", "Predictions and outcomes written to the archive.")
        self.archive_errors = counter("archive_errors", "Attempts to archive that failed; they are repeated.")
        self.archive_lost = counter("archive_lost_rows", "Rows removed for room before they could be archived.")
        self.archive_behind = gauge(
            "archive_behind_seconds", "How long the oldest row not yet archived has been stored."
        )
        self.store_full = gauge("store_full", "1 while reports are refused because the disk has no room.")
        self.store_set_aside = gauge("store_set_aside", "Unreadable store files set aside, and not removed since.")
        self.store_damaged = gauge("store_damaged_rows", "Rows found zeroed when the store was opened.")
        self.event_time = gauge("event_time_seconds", "Newest event time stored, in seconds since 1970.")
        self.checks = counter("checks", "Checks run, by what they said.", *MODEL, "check", "level")
        self.check_seconds = histogram("check_seconds", "Time of one review: summaries, checks and policy.")
        self.verdict = gauge(
            "verdict_level",
            "0 OK, 1 WARNING, 2 CRITICAL, -1 INSUFFICIENT_DATA, -2 ERROR.",
            *MODEL,
            "check",
        )
        self.statistic = gauge("drift_statistic", "A detector's statistic on a column.", *MODEL, "column", "detector")
        self.threshold = gauge(
            "drift_threshold", "What the statistic must reach before it counts.", *MODEL, "column", "detector"
        )
        self.score = gauge("drift_score", "How surprising the last window was; 1 and more is a surprise.", *MODEL)
        self.segment_verdict = gauge(
            "segment_verdict_level",
            "Of one segment: 0 OK, 1 WARNING, -1 INSUFFICIENT_DATA, -2 ERROR.",
            *MODEL,
            "check",
            "segment",
        )
        self.segment_score = gauge(
            "segment_drift_score",
            "How surprising a segment's last window was; 1 and more is a surprise.",
            *MODEL,
            "segment",
        )
        self.blind = gauge(
            "drift_unjudgeable",
            "1 where a column moves so much by itself that nothing could surprise.",
            *MODEL,
            "column",
        )
        self.reconstruction = gauge(
            "reconstruction_error",
            "What few components leave of a row: in the window, and the reference.",
            *MODEL,
            "of",
        )
        self.missing = gauge("missing_ratio", "Share of rows without a value in the last window.", *MODEL, "column")
        self.performance = gauge("performance", "A quality metric over the last window.", *MODEL, "metric")
        self.labels = gauge("labelled_predictions", "Labelled predictions at hand for the last check.", *MODEL)
        self.decisions = counter("decisions", "Decisions made.", *MODEL, "action", "trigger")
        self.outbox = gauge("outbox_decisions", "Decisions by state: pending, delivered, dead, recorded.", "state")
        self.deliveries = counter("deliveries", "Attempts to post a decision, by result.", "result")
        self.job_errors = counter("job_errors", "Scheduled jobs that failed, were missed or skipped.", "job", "kind")
        self.clock_jumps = counter("clock_jumps", "Jumps of the wall clock, ahead or back, by 2 s or more.")
        self.relay_connected = gauge("relay_connected", "1 while a relay has its hub, 0 while not.", "upstream")
        self.relay_reports = gauge("relay_backlog_reports", "Reports acked here and not yet by the hub.")
        self.relay_bytes = gauge("relay_backlog_bytes", "Bytes of these reports.")
        self.relay_oldest = gauge("relay_oldest_seconds", "How long the oldest of these reports has waited.")
        self.relay_forwarded = counter("relay_forwarded_reports", "Reports that the hub acked.")
        self.relay_rejected = counter(
            "relay_rejected", "Rows that the hub refused after they were acked here.", "model", "reason"
        )
        self.build = gauge("build_info", "Always 1; the agent's version is its label.", "version")

    def known(self, model: str, version: str = "") -> tuple[str, str]:
        """Model and version as label values."""
        return self._capped("model", model), self._capped("version", version)

    def reason(self, reason: str) -> str:
        """Why rows were lost, as producers tell it."""
        return self._capped("reason", reason[:40])

    def _capped(self, kind: str, name: str) -> str:
        name = name[:MAX_LABEL]
        names = self._names.setdefault(kind, set())
        if name not in names:
            if len(names) >= MAX_SERIES_NAMES:
                return "other"
            names.add(name)
        return name

    def show_verdict(self, verdict: Verdict) -> None:
        labels = self.known(verdict.model, verdict.version)
        self.checks.labels(*labels, verdict.check, verdict.level).inc()
        self.verdict.labels(*labels, verdict.check).set(LEVELS[verdict.level])
        read = set()
        for reading in verdict.readings:
            column = self._capped("column", reading.column)
            read.add((column, reading.detector))
            self.statistic.labels(*labels, column, reading.detector).set(reading.statistic)
            self.threshold.labels(*labels, column, reading.detector).set(reading.threshold)
            if reading.detector == SURPRISE:
                self.blind.labels(*labels, column).set(reading.level is Level.INSUFFICIENT_DATA)
        key = (*labels, verdict.check)
        for gone in self._read.get(key, set()) - read if read else ():  # below its floor by now
            self.statistic.remove(*labels, *gone)
            self.threshold.remove(*labels, *gone)
        self._read[key] = read or self._read.get(key, set())
        for name, value in verdict.measures.items():
            if math.isfinite(value):
                if name == SCORE:
                    self.score.labels(*labels).set(value)
                elif name in RECONSTRUCTED:
                    self.reconstruction.labels(*labels, RECONSTRUCTED[name]).set(value)
                else:
                    self.performance.labels(*labels, name).set(value)

    def show_segment(self, verdict: Verdict) -> None:
        labels, segment = self.known(verdict.model, verdict.version), self._capped("segment", verdict.segment)
        self.segment_verdict.labels(*labels, verdict.check, segment).set(LEVELS[verdict.level])
        if SCORE in verdict.measures:
            self.segment_score.labels(*labels, segment).set(verdict.measures[SCORE])

    def show_missing(self, model: str, version: str, column: str, share: float) -> None:
        self.missing.labels(*self.known(model, version), self._capped("column", column)).set(share)

    def show_decision(self, decision: Decision) -> None:
        labels = self.known(decision.model, decision.version)
        self.decisions.labels(*labels, decision.action, decision.trigger).inc()
