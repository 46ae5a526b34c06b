"""The committed protobuf code is what the schema gives, with the oldest supported compiler."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEMA = "tenure_proto/v1/monitoring.proto"
OUTPUTS = ["monitoring_pb2.py", "monitoring_pb2.pyi", "monitoring_pb2_grpc.py"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code, generated as `make proto` does."""
    out = tmp_path_factory.mktemp("generated")
    subprocess.run(
        [
            ROOT / ".venv/protoc/bin/python",
            *("-m", "grpc_tools.protoc", "-I."),
            *(f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")),
            SCHEMA,
        ],
        cwd=ROOT / "proto",
        check=True,
        timeout=300,
    )
    return out / "tenure_proto/v1"


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_committed_code_is_the_generated_code(generated: Path, name: str) -> None:
    committed = (ROOT / "proto/tenure_proto/v1" / name).read_text()

    assert committed == (generated / name).read_text(), "run `make proto`"
    assert (ROOT / "proto/tenure_proto/v1" / name).read_bytes() == (generated / name).read_bytes()


def test_nothing_else_is_generated(generated: Path) -> None:
    assert sorted(path.name for path in generated.iterdir()) == sorted(OUTPUTS)


def test_the_makefile_generates_the_same_way() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nproto:")[2].partition("\n\n")[0]

    assert "-m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $(PROTO)" in recipe
    assert f"PROTO := {SCHEMA}\n" in (ROOT / "Makefile").read_text()
