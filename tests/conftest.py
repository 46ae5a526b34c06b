"""What tests of every part share: certificates of the tests' own making."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`; `server`, `renewed` and `client`, signed by it; and `stranger`, signed by itself."""
    folder = tmp_path_factory.mktemp("certificates")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    for name in ("ca", "stranger", "server", "renewed", "client"):
        signed = [] if name in {"ca", "stranger"} else ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", EXTENSIONS]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE"] if signed else []
        files = ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*new, *signed, *leaf, *files], cwd=folder, check=True, capture_output=True)
    return folder
