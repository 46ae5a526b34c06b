"""What `import tenure` shows, and what it costs."""

import json
import subprocess
import sys
from types import ModuleType

import pytest

import tenure
from tenure import errors

HEAVY = ("grpc", "numpy", "pandas", "google.protobuf", "duckdb", "scipy", "tenure_proto.v1.monitoring_pb2")


def test_all_is_sorted_and_complete() -> None:
    public = [
        name for name, value in vars(tenure).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    ]

    assert tenure.__all__ == sorted(public)


def test_public_names_are_documented() -> None:
    assert [name for name in tenure.__all__ if not getattr(tenure, name).__doc__] == []


def test_every_error_is_in_the_tree_that_opens_the_file() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert all(issubclass(error, tenure.TenureError) for error in found)
    assert errors.__doc__ is not None
    assert [error.__name__ for error in found if error.__name__ not in errors.__doc__] == []


PROGRAMS = [
    pytest.param("import tenure", id="import"),
    pytest.param(
        "import tenure; monitor = tenure.Monitor('m', settings=tenure.Settings(disabled=True));"
        "monitor.watch(lambda x: x)(1); monitor.record({}, 1); monitor.stats(); monitor.close()",
        id="disabled",
    ),
    pytest.param("import tenure; tenure.Monitor('m').watch(lambda x: x)", id="watch before the first call"),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_is_light(program: str) -> None:
    script = f"import sys, json; {program}; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"

    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120)

    assert json.loads(done.stdout) == []
