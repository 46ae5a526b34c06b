"""Files of rows, gone through in chunks: every type, the order of time, and what cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from tenure.errors import SettingError
from tenure_agent import dataset
from tenure_agent.bins import Array
from tenure_agent.dataset import LABEL, Table
from tenure_agent.filetypes import DatasetUnreadable
from tenure_agent.roles import Roles

QUERY = """
SELECT * FROM (VALUES
    (1, 1.5, 'NL', true, TIMESTAMP '1970-01-02', 10.25::DECIMAL(9, 2)),
    (NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'nan'::DOUBLE, 'it''s', false, TIMESTAMP '1970-01-01 00:00:01', -1)
) t("an ""int", x, country, flag, moment, price)
"""
KINDS = [".parquet", ".pq", ".csv", ".csv.gz", ".feather", ".arrows.arrow"]


def written(path: Path, query: str) -> Path:
    """A file of a query's rows, of the type its name tells."""
    connection = duckdb.connect()
    if path.suffix in {".feather", ".arrow"}:
        table = connection.sql(query).to_arrow_table()
        if path.suffix == ".feather":
            pyarrow.feather.write_feather(table, path)
        else:
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table)
        return path
    options = "HEADER" if ".csv" in path.suffixes else "FORMAT parquet"
    connection.execute(f"COPY ({query}) TO '{str(path).replace(chr(39), chr(39) * 2)}' ({options})")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    folder = tmp_path / "staged"
    folder.mkdir()
    with Table(folder) as opened:
        yield opened


@pytest.fixture
def load(table: Table, tmp_path: Path) -> Callable[..., Table]:
    """A table of a query's rows."""

    def loaded(query: str, roles: Roles | None = None, suffix: str = ".parquet", **options: Any) -> Table:
        table.load(written(tmp_path / f"it's data{suffix}", query), roles or Roles(), **options)
        return table

    return loaded


def columns(table: Table) -> dict[str, Array]:
    """All columns that are no label, by name."""
    return {name: values for (_, name), values in table.sample().items()}


@pytest.mark.parametrize("suffix", KINDS)
def test_every_type_and_its_holes(load: Callable[..., Table], suffix: str) -> None:
    found = columns(load(QUERY, suffix=suffix))

    assert list(found) == ['an "int', "x", "country", "flag", "moment", "price"]
    for name, first, third in (('an "int', 1, 3), ("flag", 1, 0), ("price", 10.25, -1)):
        assert found[name].dtype == np.float64
        assert found[name].tolist()[::2] == [first, third]
        assert np.isnan(found[name][1])
    assert found["x"][0] == 1.5
    assert np.isnan(found["x"][1:]).all()
    assert found["country"].tolist() == ["NL", None, "it's"]
    assert found["moment"].dtype.kind == "M"


def test_chunks_are_the_wanted_columns_of_all_rows_in_order(
    load: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "CELLS", 4000)
    table = load("SELECT i AS x, 'a' || i % 7 AS t, -i AS y FROM range(300_000) r(i)")
    wanted = {("feature", "x"), ("feature", "t"), ("feature", "absent")}

    chunks = list(table.chunks(wanted))

    assert table.rows == 300_000
    assert {frozenset(chunk) for chunk in chunks} == {frozenset(wanted - {("feature", "absent")})}
    assert {len(chunk["feature", "x"]) for chunk in chunks} == {2000}
    np.testing.assert_array_equal(np.concatenate([chunk["feature", "x"] for chunk in chunks]), np.arange(300_000.0))
    assert chunks[-1]["feature", "t"][-1] == f"a{299_999 % 7}"
    assert list(table.chunks(set())) == []


def test_a_sample_is_stretches_spread_evenly(load: Callable[..., Table]) -> None:
    table = load("SELECT i AS x, i % 2 AS label FROM range(1_000_000) r(i)")

    sample = table.sample()
    rows = sample["feature", "x"]

    assert list(sample) == [("feature", "x")]
    assert ("feature", "label") not in sample
    assert 190_000 < len(rows) <= 201_000
    assert (np.diff(rows) > 0).all()
    assert (np.diff(rows) == 1).mean() > 0.9
    assert np.abs(np.histogram(rows, 10, (0, 1_000_000))[0] - len(rows) / 10).max() < 100
    both = table.evenly([("feature", "x"), LABEL], 20_000)
    np.testing.assert_array_equal(both["feature", "x"] % 2, both[LABEL])


TIMES = {
    "TIMESTAMP": "TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE",
    "TIMESTAMPTZ": "(TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE) AT TIME ZONE 'UTC'",
    "text": "strftime(TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE, '%Y-%m-%dT%H:%M:%S')",
    "seconds": "1704067200.0 + i * 60",
    "milliseconds": "1704067200000 + i * 60000",
    "nanoseconds": "1704067200000000000 + i * 60000000000",
}


@pytest.mark.parametrize("moment", TIMES.values(), ids=TIMES)
def test_rows_come_into_the_order_of_time(load: Callable[..., Table], moment: str) -> None:
    table = load(f"SELECT {moment} AS at, i AS x FROM range(100) r(i) ORDER BY hash(i)", Roles(time="at"))
    assert list(columns(table)) == ["x"]
    assert columns(table)["x"].tolist() == list(range(100))
    assert table.span == (1704067200 * 10**6, (1704067200 + 99 * 60) * 10**6)


def test_a_column_named_time_orders_and_rows_without_one_are_counted(load: Callable[..., Table]) -> None:
    table = load("SELECT CASE WHEN i % 10 = 0 THEN NULL ELSE 1e9 - i END AS time, i AS x FROM range(100) r(i)")
    assert columns(table)["x"].tolist() == [i for i in range(99, 0, -1) if i % 10]
    assert table.rows == 90
    assert table.notices == ["time: 10 rows without a time are left out"]


def test_roles_and_bookkeeping(load: Callable[..., Table]) -> None:
    query = "SELECT i AS id, 'champion' AS role, 'NL' AS split, i % 2 AS truth, i / 9 AS said, i AS x, i AS y FROM range(9) r(i)"
    roles = Roles(label="truth", prediction="said", declared={"split": "categorical", "y": "ignore"})
    table = load(query, roles)
    assert list(table.sample()) == [("feature", "split"), ("feature", "x"), ("output", "prediction")]
    assert table.evenly([LABEL])[LABEL].tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert table.notices == [
        f"{name}: left out, bookkeeping. Try: --column {name}=categorical if it is a feature" for name in ("id", "role")
    ]


def test_what_a_person_may_not_have_meant_is_noticed(load: Callable[..., Table]) -> None:
    query = (
        "SELECT CASE WHEN i % 4 = 0 THEN 'NA' ELSE i::VARCHAR END AS delay, [i] AS list, "
        "CASE WHEN i = 3 THEN '-' ELSE i::VARCHAR END AS rare, lpad(i::VARCHAR, 5, '0') AS zip, "
        "CASE i % 3 WHEN 0 THEN 'yes' WHEN 1 THEN 'no' ELSE 'odd' END AS flag FROM range(100) r(i)"
    )
    table = load(query, Roles(declared={"flag": "boolean"}))
    assert table.notices == [
        "list: left out, BIGINT[] is neither a number nor a text",
        "delay: texts, but 75% of them are numbers, others 'NA'. Try: --missing NA with a CSV, or --column delay=numeric",
        "rare: texts, but 99% of them are numbers. Try: --column rare=numeric",
        "flag: 33 texts are no numbers: taken as missing",
    ]
    assert columns(table)["flag"].tolist()[:2] == [1.0, 0.0]


def test_a_csv_says_what_is_missing(load: Callable[..., Table]) -> None:
    query = "SELECT CASE WHEN i % 4 = 0 THEN 'NA' ELSE i::VARCHAR END AS delay FROM range(100) r(i)"
    table = load(query, suffix=".csv", missing=["NA"])
    assert columns(table)["delay"].dtype == np.float64
    assert np.isnan(columns(table)["delay"]).sum() == 25
    assert table.notices == []


def test_a_condition_chooses_rows(load: Callable[..., Table]) -> None:
    table = load("SELECT i AS x, 'a' AS split FROM range(9) r(i)", where="x > 3 OR x = 1")
    assert columns(table)["x"].tolist() == [1, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("roles", "options", "told"),
    [
        (Roles(time="when"), {}, "--time: 'when' cannot be used. Try: one of x, t."),
        (Roles(label="y"), {}, "--label: 'y' cannot be used. Try: one of x, t."),
        (Roles(declared={"z": "numeric"}), {}, "--column: 'z' cannot be used. Try: one of x, t."),
        (Roles(time="t"), {}, "--time: 't' cannot be used. Try: a column of dates, timestamps"),
        (Roles(), {"where": "z > 1"}, "--where: 'z > 1' cannot be used. Try: a condition like"),
        (Roles(), {"where": "x >"}, "--where: 'x >' cannot be used. Try: a condition like"),
    ],
)
def test_settings_that_do_not_fit_the_file(
    load: Callable[..., Table], roles: Roles, options: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingError) as refused:
        load("SELECT i AS x, 'a' AS t FROM range(9) r(i)", roles, **options)
    assert str(refused.value).startswith(told)


def test_no_rows(load: Callable[..., Table]) -> None:
    with pytest.raises(DatasetUnreadable, match=r"no rows\. Try: another file"):
        load("SELECT 1 AS a WHERE false", suffix=".csv")


def test_no_rows_where(load: Callable[..., Table]) -> None:
    with pytest.raises(DatasetUnreadable, match=r"no rows where a = 2\. Try: another file or condition"):
        load("SELECT 1 AS a", where="a = 2")


@pytest.mark.parametrize(
    ("name", "content"), [("x.parquet", b"PAR1"), ("absent.csv", None), ("x.arrow", b"no"), ("absent.arrow", None)]
)
def test_what_cannot_be_read_says_so(table: Table, tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetUnreadable, match=r"cannot be read .*Try: a CSV with a header, Parquet, or Arrow"):
        table.load(path, Roles())


def test_arrow_without_pyarrow_says_what_to_install(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetUnreadable, match="Try: pip install pyarrow, or the rows as Parquet"):
        table.load(tmp_path / "x.feather", Roles())


def test_an_interrupt_ends_the_reading(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", "SELECT i AS x FROM range(10) r(i)")

    def told(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    with Table(tmp_path, told) as table, pytest.raises(KeyboardInterrupt):
        table.load(path, Roles(), where="x < (SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b)")
