"""Where rows may be archived."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.agent.refusals import only

from tenure_agent.config import parse_config


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("./archive", None),
        ("/srv/a b?", None),
        ("s3://rows", "rows"),
        ("s3://rows/fraud detection/", "rows/fraud detection"),
    ],
)
def test_archive_places(url: str, bucket: str | None) -> None:
    config = parse_config({"archive": {"url": url}, "store": {"retain": "1d"}}, "c")
    assert (config.archive.url, config.archive.bucket) == (url, bucket)
    assert config.archive_after == timedelta(hours=12)  # half of what is kept
    assert parse_config({"archive": {"url": url}}, "c").archive_after == timedelta(days=1)


@pytest.mark.parametrize(
    "url", ["", "s3://", "s3://key:s3cret@rows", "gs://rows", "https://host/rows", "s3://rows?s3cret", "s3://rows/a#b"]
)
def test_archive_places_that_cannot_be_used(url: str) -> None:
    fault = only({"archive": {"url": url}})
    assert fault == (
        "archive.url: the value cannot be used. Try: a directory such as ./archive, or s3://bucket/prefix without "
        "credentials"
    )


@pytest.mark.parametrize(
    ("url", "endpoint", "told"),
    [
        ("s3://rows", "http://me:s3cret@127.0.0.1:9000", "the value cannot be used. Try: http://host:port or"),
        ("s3://rows", "minio:9000", "the value cannot be used. Try: http://host:port or"),
        ("./archive", "http://127.0.0.1:9000", "a directory has no endpoint"),
    ],
)
def test_endpoints_that_cannot_be_used(url: str, endpoint: str, told: str) -> None:
    fault = only({"archive": {"url": url, "endpoint_url": endpoint}})
    assert fault.startswith("archive.endpoint_url: the value cannot be used. Try: ")
    assert told in fault
    assert "s3cret" not in fault
