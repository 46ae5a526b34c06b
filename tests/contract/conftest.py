"""What the contract tests stand on: slow machines are no finding, and a real agent in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")

DEADLINE = 60.0


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A running agent: its address and its process id."""
    home = tmp_path_factory.mktemp("agent")
    address = f"unix:{home}/a.sock"
    config = home / "tenure.yaml"
    config.write_text(json.dumps({"listen": address, "http": "127.0.0.1:0", "store": {"path": f"{home}/a.duckdb"}}))
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tenure_agent", "run", "--config", config],
            stderr=log,
            cwd=home,
        )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=DEADLINE)
        yield address, process.pid
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(DEADLINE)
    said = (home / "log").read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said
