"""tenure.yaml: what is read, what is refused, and what a person is told to do about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.agent.refusals import faults, only

from tenure.errors import TenureError
from tenure_agent.config import Config, load_config, parse_config
from tenure_agent.faults import ConfigError
from tenure_agent.model_config import ModelConfig
from tenure_agent.records import micros
from tenure_agent.scheduler import schedule_due


def test_no_file_means_defaults() -> None:
    config = load_config(None)

    assert config == Config() == parse_config(None, "empty") == parse_config({}, "empty")
    assert config.listen == "unix:./tenure.sock"
    assert config.http_address == ("127.0.0.1", 9464)
    assert config.store.memory == 96 * 1024 * 1024
    assert config.model("never seen") == ModelConfig()
    assert config.model("never seen").mode == "advise"


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "tenure.yaml"
    path.write_text(
        """
listen: 127.0.0.1:50051
clock: event
http: 127.0.0.1:0
store: {path: other.duckdb, memory: 1GiB, threads: 1}
control: {url: http://127.0.0.1:8080/decisions, secret_file: control.secret}
models:
  fraud_detector:
    task: binary
    mode: act
    reference: {file: fraud.reference}
    columns: {order_id: ignore, country: categorical}
    drift: {every: 5m, window: 1h, min_rows: 300}
    performance: {metric: precision, minimum: 0.88, emergency: 0.75, label_delay: 2h, window: 24h, tolerance: 0.02}
    retrain: {schedule: "0 3 * * mon", new_rows: 1000000, cooldown: 24h}
"""
    )
    config = load_config(path)

    model = config.model("fraud_detector")
    assert (config.clock, config.store.path, config.store.memory) == ("event", Path("other.duckdb"), 1 << 30)
    assert model.columns == {"order_id": "ignore", "country": "categorical"}
    assert model.drift.every == timedelta(minutes=5)
    assert model.performance.label_delay == timedelta(hours=2)
    assert model.retrain.schedule == "0 3 * * mon"
    assert config.model("another") == ModelConfig()


def test_every_fault_at_once_with_field_value_and_remedy() -> None:
    found = faults(
        {
            "listne": "unix:a",
            "http": "nowhere",
            "clock": "sundial",
            "store": {"memory": "lots", "threads": 0},
            "models": {
                "fraud": {
                    "drift": {"every": "5 minutes", "min_rows": 3},
                    "performance": {"metric": "vibes"},
                    "retrain": {"schedule": "0 3 * * 1"},
                }
            },
        }
    )

    by_field = {fault.partition(":")[0]: fault for fault in found}
    assert set(by_field) == {
        "listne",
        "http",
        "clock",
        "store.memory",
        "store.threads",
        "models.fraud.drift.every",
        "models.fraud.drift.min_rows",
        "models.fraud.performance.metric",
        "models.fraud.retrain.schedule",
    }
    assert all("Try: " in fault for fault in found)
    for field, value in (
        ("http", "'nowhere'"),
        ("clock", "'sundial'"),
        ("store.memory", "'lots'"),
        ("store.threads", "0"),
        ("models.fraud.drift.every", "'5 minutes'"),
        ("models.fraud.performance.metric", "'vibes'"),
        ("models.fraud.retrain.schedule", "'0 3 * * 1'"),
    ):
        assert f"{field}: {value} cannot be used. Try: " in by_field[field]


def test_message_names_the_file_on_every_line() -> None:
    with pytest.raises(TenureError) as refused:
        parse_config({"http": "nowhere", "clock": "sundial"}, "deploy/tenure.yaml")

    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("deploy/tenure.yaml: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("6h", 21600), ("14d", 1209600), ("250ms", 0.25), ("1.5h", 5400), (" 5 m ", 300)],
)
def test_durations(text: str, seconds: float) -> None:
    config = parse_config({"models": {"m": {"drift": {"every": text}}}}, "c")
    assert config.model("m").drift.every == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", 5, "5 minutes", "-5m", "5M", "m", "1h30m", None, True, "1e3s"])
def test_no_duration(text: object) -> None:
    fault = only({"models": {"m": {"drift": {"every": text}}}})
    assert fault == f"models.m.drift.every: {text!r} cannot be used. Try: a duration such as 30s, 15m, 6h or 14d"


@pytest.mark.parametrize(
    ("given", "size"), [("1KiB", 1024), ("256MiB", 256 << 20), ("1.5GiB", 3 << 29), ("1TiB", 1 << 40), (4096, 4096)]
)
def test_sizes(given: object, size: int) -> None:
    assert parse_config({"store": {"memory": given}}, "c").store.memory == size


@pytest.mark.parametrize("given", ["256MB", "256", "MiB", 0, -1, True, 1.5, None])
def test_no_size(given: object) -> None:
    assert only({"store": {"memory": given}}).endswith("Try: a size such as 256MiB or 2GiB")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"listn": 1}, "listn: unknown key. Try: listen"),
        ({"store": {"paht": 1}}, "store.paht: unknown key. Try: path"),
        ({"models": {"m": {"drfit": {}}}}, "models.m.drfit: unknown key. Try: drift"),
        ({"models": {"m": {"drift": {"evry": "5m"}}}}, "models.m.drift.evry: unknown key. Try: every"),
        ({"models": {"drift": {"modee": "act"}}}, "models.drift.modee: unknown key. Try: mode"),
        ({"models": {"store": {"retrian": {}}}}, "models.store.retrian: unknown key. Try: retrain"),
    ],
)
def test_unknown_key_suggests_the_near_one(document: dict[str, Any], told: str) -> None:
    assert only(document) == told


def test_unknown_key_far_from_all_lists_them() -> None:
    assert only({"control": {"zzz": 1}}) == "control.zzz: unknown key. Try: one of url, secret_file"


@pytest.mark.parametrize("schedule", ["0 3 * * 1", "0 3 * * 1-5", "0 3 * * */2", "0 3 * *", "0 3 * * mon *", ""])
def test_cron_takes_weekdays_by_name_only(schedule: str) -> None:
    fault = only({"models": {"m": {"retrain": {"schedule": schedule}}}})
    assert "0 3 * * mon" in fault


@pytest.mark.parametrize("schedule", ["61 3 * * mon", "0 25 * * mon", "0 3 * * moon", "a b c d e"])
def test_cron_that_never_comes_is_refused(schedule: str) -> None:
    assert "five cron fields" in only({"models": {"m": {"retrain": {"schedule": schedule}}}})


def test_monday_means_monday() -> None:
    config = parse_config({"models": {"m": {"retrain": {"schedule": "0 3 * * mon"}}}}, "c")
    schedule = config.model("m").retrain.schedule
    day = timedelta(days=1)
    monday = datetime(2024, 1, 1, 3, tzinfo=UTC)
    assert monday.strftime("%A") == "Monday"

    due = [
        monday + i * day
        for i in range(14)
        if schedule_due(schedule, micros(monday + i * day) - 1, micros(monday + i * day))
    ]

    assert due == [monday, monday + 7 * day]


def test_a_fault_hides_no_other() -> None:
    found = faults(
        {
            "access": {"cert_file": "c", "socket_mode": "7"},
            "listen": "nowhere",
            "log": "xml",
            "control": {"url": "http://127.0.0.1:1/", "secret": "s3cret"},
            "models": {"m": {"task": "binary", "mode": "maybe", "performance": {"metric": "mae"}}},
        }
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "access.socket_mode",
        "access.key_file",
        "listen",
        "log",
        "control.secret_file",
        "control.secret",
        "models.m.mode",
        "models.m.performance",
    ]
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize(
    "url", ["http://me:s3cret@127.0.0.1/", "ftp://host/s3cret", "s3cret", "http://", "https:///s3cret"]
)
def test_a_url_that_cannot_be_used_is_not_repeated(url: str) -> None:
    fault = only({"control": {"url": url, "secret_file": "x"}})
    assert fault.startswith("control.url: the value cannot be used. Try: http://host/path")
    assert "s3cret" not in fault


@pytest.mark.parametrize("http", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_http_is_host_and_port(http: str) -> None:
    assert only({"http": http}).endswith("Try: host:port, such as 127.0.0.1:9464")


@pytest.mark.parametrize(
    ("task", "metric", "known"),
    [
        ("binary", "precision", True),
        ("binary", "mae", False),
        ("regression", "mae", True),
        ("regression", "f1", False),
        ("multiclass", "accuracy", True),
        (None, "mae", True),
        (None, "vibes", False),
    ],
)
def test_metric_belongs_to_the_task(task: str | None, metric: str, known: bool) -> None:
    document = {"models": {"m": {"task": task, "performance": {"metric": metric}}}}
    if known:
        assert parse_config(document, "c").model("m").performance.metric == metric
    else:
        assert f"{metric!r}" in only(document)


def test_url_needs_a_secret() -> None:
    assert "secret_file" in only({"control": {"url": "http://127.0.0.1:1/"}})


@pytest.mark.parametrize("document", [[], "listen", 3])
def test_document_must_be_a_mapping(document: object) -> None:
    assert "is not a mapping. Try: " in only(document)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    absent, broken, binary = tmp_path / "absent.yaml", tmp_path / "broken.yaml", tmp_path / "binary.yaml"
    broken.write_text("store: {path: [")
    binary.write_bytes(b"\xff\xfe\x00listen")
    for path, told in ((absent, "cannot be read"), (broken, "is not YAML"), (binary, "cannot be read")):
        with pytest.raises(ConfigError, match=told):
            load_config(path)
