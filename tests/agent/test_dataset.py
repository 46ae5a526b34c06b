"""Files of rows as columns."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from tenure_agent.dataset import DatasetUnreadable, read_columns

QUERY = """
SELECT * FROM (VALUES
    (1, 1.5, 'NL', true, TIMESTAMP '1970-01-02', 10.25::DECIMAL(9, 2)),
    (NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'nan'::DOUBLE, '', false, TIMESTAMP '1970-01-01 00:00:01', -1)
) t("an int", x, country, flag, moment, price)
"""


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".csv"])
def test_every_type_and_its_holes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"it's data{suffix}"
    options = "HEADER" if suffix == ".csv" else "FORMAT parquet"
    duckdb.connect().execute(f"COPY ({QUERY}) TO '{str(path).replace(chr(39), chr(39) * 2)}' ({options})")

    found = read_columns(path)

    assert list(found) == ["an int", "x", "country", "flag", "moment", "price"]
    for name, first, third in (("an int", 1, 3), ("flag", 1, 0), ("moment", 86_400e6, 1e6), ("price", 10.25, -1)):
        assert found[name].dtype == np.float64
        assert found[name].tolist()[::2] == [first, third]
        assert np.isnan(found[name][1])
    assert found["x"][0] == 1.5
    assert np.isnan(found["x"][1:]).all()
    assert found["country"].tolist()[:2] == ["NL", None]


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("a,b\n")
    assert {name: len(values) for name, values in read_columns(path).items()} == {"a": 0, "b": 0}


@pytest.mark.parametrize(("name", "content"), [("x.parquet", b"PAR1"), ("absent.csv", None)])
def test_what_cannot_be_read_says_so(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetUnreadable, match=r"cannot be read .*Try: a CSV with a header, or Parquet"):
        read_columns(path)
