"""What `import tenure` and the base install put on a host that only wants its predictions watched."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

MOST_BYTES = 35 << 20
OURS = ("tenure", "tenure_agent", "tenure_proto")  # one distribution
HEAVY = {
    "asyncio",
    "google.protobuf",
    "grpc",
    "multiprocessing",
    "numpy",
    "pandas",
    "pathlib",
    "ruamel.yaml",
}
SETTING_UP = """
monitor = tenure.Monitor("m", settings=tenure.Settings())
predict = monitor.watch(lambda features: 0.5)
"""
PREDICTING = """
predict({"x": 1.0})
monitor.flush(0)
monitor.close(0)
"""


def loaded(code: str) -> set[str]:
    told = f"import sys, tenure\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["", SETTING_UP], ids=["import", "monitor"])
def test_nothing_heavy_is_imported_before_a_prediction(code: str) -> None:
    assert loaded(code) & HEAVY == set()


def test_the_log_is_not_imported_with_us() -> None:
    assert "logging" not in loaded("")


def test_of_the_heavy_ones_a_sender_needs_only_its_own() -> None:
    assert loaded(SETTING_UP + PREDICTING).isdisjoint({"asyncio", "multiprocessing", "numpy", "pandas", "ruamel.yaml"})


def closure(name: str, found: dict[str, importlib.metadata.Distribution]) -> dict[str, importlib.metadata.Distribution]:
    """A distribution and all it needs without extras, by their names."""
    distribution = importlib.metadata.distribution(name)
    known = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    if known not in found:
        found[known] = distribution
        for text in distribution.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                closure(needed.name, found)
    return found


def size(part: importlib.metadata.Distribution) -> int:
    """Bytes on disk, with what was compiled when it was installed."""
    paths = [Path(str(file.locate())) for file in part.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def test_the_base_install_is_small() -> None:
    parts = closure("tenure", {})
    assert {"grpcio", "protobuf", "click", "ruamel-yaml"} <= parts.keys()
    sizes = {name: size(part) for name, part in parts.items() if name != "tenure"}
    sizes["tenure"] = sum(file.stat().st_size for name in OURS for file in package(name).rglob("*") if file.is_file())
    assert all(sizes.values()), sizes
    assert sum(sizes.values()) <= MOST_BYTES, sizes
