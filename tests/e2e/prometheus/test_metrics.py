"""The names: exported, linted, and each one looked at by somebody."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from tenure_agent.metrics import Metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
LOOKED_AT = ("grafana/model.json", "prometheus/alerts.yaml")
UNUSED = {  # metric → why neither the dashboard nor an alert shows it
    "tenure_reference_uploads": "whoever uploads what is refused is told in its own log; nothing waits for it",
    "tenure_relay_connected": "TenureRelayBehind tells when it matters; no agent but a relay has a value of it",
    "tenure_relay_rejected": "the hub counts these rows as dropped; no agent but a relay has a value of it",
}
UNSEEN = {
    "tenure_reference_uploads_total",
    "tenure_relay_connected",
    "tenure_relay_rejected_total",
}  # no such thing here


def exported() -> dict[str, str]:
    """Every name a sample may carry → the metric it belongs to."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    families = Metrics(CollectorRegistry()).registry.collect()
    return {family.name + suffix: family.name for family in families for suffix in suffixes[family.type]}


def test_the_names_in_use_are_the_names_exported() -> None:
    names = exported()
    recorded = re.findall(r"record: (\S+)", (DEPLOY / "prometheus" / "alerts.yaml").read_text())
    used: set[str] = set()
    for file in LOOKED_AT:
        found = set(re.findall(r"\btenure[_:][a-z_:]+", (DEPLOY / file).read_text())) - set(recorded)
        assert found <= set(names), f"{file} asks for {sorted(found - set(names))}, which no agent exports"
        used |= {names[name] for name in found}
    nobody = set(names.values()) - used - set(UNUSED)
    assert not nobody, f"neither dashboard nor alert shows {sorted(nobody)}"
    assert not set(UNUSED) & used, "listed as unused, and used"


def test_a_scrape_has_every_metric_and_no_lint(
    story: dict[str, str], program: Callable[[str], str], eventually: Callable[[str, Callable[[], bytes | None]], bytes]
) -> None:
    def scraped() -> bytes | None:
        with urllib.request.urlopen(f"{story['agent']}/metrics", timeout=10) as reply:
            text: bytes = reply.read()
        lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
        return text if set(exported()) - UNSEEN <= {re.split("[{ ]", line)[0] for line in lines} else None

    text = eventually("a sample of every metric", scraped)
    lint = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")
