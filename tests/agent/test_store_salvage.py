"""A store found unreadable in use: what a new one takes over from it, and what it counts as lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import tenure
from tenure_agent.asking import NoAnswer, ask
from tenure_agent.builder import Rows, build_reference
from tenure_agent.daemon import Agent
from tenure_agent.gaps import Gap
from tenure_agent.records import Action, Decision, Level, Trigger, Urgency, Verdict, Window
from tenure_agent.store import (
    Database,
    StoreLost,
    decisions,
    hours,
    predictions,
    producers,
    references,
    salvage,
    verdicts,
)
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.producers import FORGOTTEN, Producer

HEAD, BLOCK = 3 * 4096, 256 << 10
DAY = 86_400 * 10**6
DECISION = Decision(
    "fraud", "1", Action.RETRAIN, Trigger.SCHEDULED, Urgency.ROUTINE, "it is due", 5, "act", {"rows": [1, 2.5]}
)
REFERENCE = build_reference("fraud", "1", Rows({("feature", "x"): np.arange(100.0)}), told="a test")


def fill(cursor: Cursor, rows: int = 200_000) -> None:
    """Rows in blocks of their own, and one thing of every other kind."""
    catalogue = Catalogue(cursor)
    model = catalogue.model(cursor, "fraud", 1)
    catalogue.version(cursor, model, "1", 1)
    for name, kind in (("x", "NUMBER"), ("x", "TEXT"), ("y", "BOOLEAN")):
        catalogue.column(cursor, model, "feature", name, kind, 1)
    cursor.execute(
        f"INSERT INTO rows_1 (batch, time, version, role, id, n1) SELECT 1, range, 1, 0, md5(range || ''), random() "
        f"FROM range({rows})"
    )
    references.save(cursor, 1, 1, REFERENCE, 1, uploaded="5a")
    decisions.save(cursor, 1, 1, DECISION, 1, decisions.PENDING)
    verdict = Verdict("fraud", "1", "drift", Level.WARNING, "it moved", Window(0, 60), 500)
    verdicts.append(cursor, 1, 1, [(verdict, Level.WARNING)])
    hours.save(cursor, 1, hours.Counted(5, {7: 40}, frozenset({7})), 0)
    keep = [Producer("quiet", 7, last_seen=1), Producer("p", 10, {}, 90, 2, 9 * DAY, 3), Producer(FORGOTTEN, 0, {}, 50)]
    producers.append(cursor, keep)
    producers.save_losses(cursor, "p", {("fraud", "queue_full"): 4})


def blocks(cursor: Cursor, table: str) -> set[int]:
    query = f"SELECT block_id FROM pragma_storage_info('{table}') WHERE block_id >= 0"
    return {int(block) for (block,) in cursor.execute(query).fetchall()}


def damage(database: Database, table: str) -> None:
    """Flip a bit in every block of a table, with the file closed: DuckDB would not look again at what it holds."""
    database.checkpoint().result()
    of = database.read(lambda cursor: blocks(cursor, table)).result()
    assert of
    database._connection.close()
    content = bytearray(database.path.read_bytes())
    for block in of:
        content[HEAD + block * BLOCK + 5000] ^= 1
    database.path.write_bytes(content)


def scan(cursor: Cursor) -> None:
    """Every byte of every block is looked at."""
    for table in ("rows_1", "producers", "decisions"):
        cursor.execute(f"SELECT count(DISTINCT hash(t)) FROM {table} t").fetchall()


@pytest.fixture
def lost(database: Database) -> Callable[..., None]:
    """A store in use whose blocks of a table were damaged, replaced by a new one."""

    def lose(table: str, *before: str) -> None:
        database.write(fill).result()
        for statement in before:
            database.write(lambda cursor: cursor.execute(statement)).result()  # noqa: B023
        damage(database, table)
        database.write(lambda cursor: producers.append(cursor, [Producer("in the log", 2)])).result()
        with pytest.raises(StoreLost):
            database.read(scan).result()
        database.replace()

    return lose


def test_what_can_be_read_is_taken_over(
    database: Database, lost: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    lost("rows_1")
    # seq 10 without the last one, two that never came and three lost before
    assert salvage.carry_over(database, {}, 8 * DAY) == 10 - 1 - 2 - 3
    assert salvage.carry_over(database, {}, 8 * DAY) == 0

    model = database.read(Catalogue).result().models["fraud"]
    assert (model.versions, model.columns["feature", "x"].kinds) == ({"1": 1}, {"NUMBER", "TEXT"})
    assert database.read(lambda cursor: predictions.stored_counts(cursor, model)).result() == []
    assert database.read(lambda cursor: references.newest(cursor, 1, 1)).result() == REFERENCE
    assert database.read(lambda cursor: references.uploaded(cursor, 1, 1)).result() == "5a"
    [letter] = database.read(lambda cursor: decisions.due(cursor, 10, DAY)).result()
    assert (letter.decision, letter.state) == (DECISION, decisions.PENDING)
    assert [one["reason"] for one in database.read(verdicts.newest).result()] == ["it moved"]
    # The rows of that hour are gone: what comes under new numbers is new.
    assert database.read(lambda cursor: hours.load(cursor, 1)).result() == hours.Counted(0, {7: 40}, frozenset({7}))

    known = database.read(producers.load).result()
    assert known["in the log"].last_seq == 2
    assert (known["p"].last_seq, known["p"].lost, known["p"].stored) == (9, 7, 90)
    assert known["p"].losses == {("fraud", "queue_full"): 4}
    assert (known["quiet"].last_seq, known["quiet"].lost) == (7, 0)  # its rows had expired
    totals = database.read(producers.totals).result()
    assert (totals.stored, totals.missed, totals.lost) == (140, 2, 7)
    assert "4 reports are lost" in caplog.text
    assert "could not be saved: none" in caplog.text
    database.write(lambda c: c.execute("INSERT INTO rows_1 (batch, n1, t1, n2) VALUES (1, 1.5, 'a', 1)")).result()


def test_what_memory_knows_needs_no_file(
    database: Database, lost: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    lost("producers")
    remembered = {"p": Producer("p", 12, {}, 110, 2, 9 * DAY, 3, {("fraud", "queue_full"): 6})}
    assert salvage.carry_over(database, remembered, DAY) == 12 - 1 - 2 - 3
    known = database.read(producers.load).result()
    assert (known["p"].last_seq, known["p"].lost, known["p"].losses["fraud", "queue_full"]) == (11, 9, 6)
    assert "producers" in caplog.records[-1].getMessage()


def again(database: Database, known: Producer, folder: Path) -> Producer:
    """A producer that memory knows, after its store was lost."""
    with database._connection.cursor() as cursor:
        cursor.execute("DELETE FROM producers")
    database.aside = folder / "gone"
    database.aside.write_bytes(b"not a database")
    salvage.carry_over(database, {known.name: known}, DAY)
    return database.read(producers.load).result()[known.name]


def test_nothing_is_lost_twice(database: Database, tmp_path: Path) -> None:
    known = Producer("p", 6, missed=1, last_seen=DAY, gaps=(Gap(5, 5),))
    for _ in range(3):
        known = again(database, known, tmp_path)
        assert (known.last_seq, known.lost, known.missed) == (5, 4, 1)
        assert known.gaps == (Gap(5, 5),)


def test_a_late_report_may_be_the_one_that_was_not_acked(database: Database, tmp_path: Path) -> None:
    known = Producer("p", 5, missed=1, last_seen=DAY, gaps=(Gap(3, 3),), late=1, late_seq=4)
    known = again(database, known, tmp_path)
    assert (known.last_seq, known.lost, known.late_seq) == (5, 4, 0)
    assert known.gaps == (Gap(3, 3), Gap(4, 4, True))


def test_what_is_no_database_has_nothing_to_give(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.duckdb"
    path.write_bytes(b"no database, but long enough to be read as the head of one" * 100)
    database = Database(path)
    assert salvage.carry_over(database, {"p": Producer("p", 3)}, DAY) == 2
    assert "2 reports are lost" in caplog.text
    assert database.read(Catalogue).result().models == {}
    database.close()


def test_a_file_of_another_schema_has_nothing_to_give(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "t.duckdb")) as file:
        file.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR); INSERT INTO meta VALUES ('schema', '1')")
    saved = salvage.read(tmp_path / "t.duckdb")
    assert saved.tables == {}
    assert "decisions" in saved.unread


def test_damage_that_does_not_look_it_costs_no_producer(database: Database, lost: Callable[..., None]) -> None:
    lost("rows_1", "INSERT INTO versions VALUES (0, 0, 'zeroed', 0)")
    salvage.carry_over(database, {}, DAY)
    assert database.read(Catalogue).result().models == {}
    assert set(database.read(producers.load).result()) == {"p", "quiet", "in the log"}
    database.write(lambda cursor: fill(cursor, 1)).result()


def test_what_cannot_be_written_is_no_reason_not_to_go_on(
    database: Database, lost: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise duckdb.IOException("Could not write file: No space left on device")

    lost("rows_1")
    monkeypatch.setattr(producers, "append", full)
    assert salvage.carry_over(database, {}, DAY) == 0
    assert database.read(decisions.counts).result()[decisions.PENDING] == 1
    assert caplog.records[-1].getMessage().endswith("could not be saved: producers, losses")


@pytest.mark.parametrize(
    "zeroed",
    [
        "UPDATE versions SET model = 0",
        "UPDATE columns SET model = 0",
        "UPDATE columns SET number = 0",
        "DELETE FROM models",
    ],
)
def test_names_without_their_numbers_are_no_crash_loop(database: Database, zeroed: str) -> None:
    database.write(fill).result()
    database.write(lambda cursor: cursor.execute(zeroed)).result()
    with pytest.raises(StoreLost):
        database.read(Catalogue).result()
    database.replace()
    salvage.carry_over(database, {}, 8 * DAY)
    assert database.read(Catalogue).result().models == {}
    assert database.read(producers.load).result()["p"].lost == 7


def test_an_agent_goes_on_where_it_was(running: Callable[..., Any]) -> None:
    with running() as agent:
        with tenure.Monitor("fraud", version="1", agent=agent.addresses["grpc"]) as monitor:
            for number in range(4):
                monitor.record({"x": 1.0}, 0.5, id=f"before-{number}")
                assert monitor.flush(60)
            told = ask(agent.addresses["grpc"], "status")
            assert (told["stored"], told["lost_after_ack"]) == (4, 0)
            [before] = agent._ingest.remembered().values()
            agent._database.write(lambda c: decisions.save(c, 1, 1, DECISION, 1, decisions.PENDING)).result()
            _fill_rows(agent)
            damage(agent._database, "rows_1")
            _until_replaced(agent)
            for number in range(3):
                monitor.record({"x": 1.0}, 0.5, id=f"after-{number}")
                assert monitor.flush(60)
            [after] = agent._ingest.remembered().values()
        told = ask(agent.addresses["grpc"], "status")
        assert told["models"]["fraud"]["predictions"] == [{"version": "1", "role": "champion", "rows": 3}]
        assert (told["stored"], told["outbox"]["pending"]) == (7, 1)
        assert told["lost_after_ack"] == before.last_seq  # every report acked before, and none twice
        assert (after.last_seq, after.missed) == (before.last_seq + 3, 0)
        assert agent.metrics.registry.get_sample_value("tenure_lost_after_ack_reports_total") == before.last_seq
    with running() as agent:
        assert ask(agent.addresses["grpc"], "status")["lost_after_ack"] == before.last_seq


def _fill_rows(agent: Agent) -> None:
    query = "INSERT INTO rows_1 (batch, time, version, role, id, n1) SELECT 1, range, 1, 0, md5(range || ''), 1 FROM range(200000)"
    agent._database.write(lambda cursor: cursor.execute(query)).result()


def _until_replaced(agent: Agent) -> None:
    deadline = time.monotonic() + 60
    while not agent.metrics.registry.get_sample_value("tenure_store_set_aside"):
        assert time.monotonic() < deadline
        try:
            agent._database.read(scan).result(60)
        except StoreLost:
            time.sleep(0.01)  # the agent is on its way to a new store, and has no way to call back
    while True:
        assert time.monotonic() < deadline
        try:
            ask(agent.addresses["grpc"], "progress")
        except NoAnswer:
            time.sleep(0.01)
        else:
            return
