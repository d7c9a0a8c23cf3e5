"""The ledger as a table of a real database: the same rows as in a file, which the database keeps as they are."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from optimize.cli import main
from optimize.errors import InputFaults, UsageError
from optimize.monthly.ledger import (
    Entry,
    LedgerTable,
    append_entries,
    begin_ledger,
    is_begun,
    read_ledger,
    write_ledger,
)
from optimize.monthly.ledger_states import entry_faults
from optimize.monthly.sources import Source, read_source

DECIDED = Entry(
    "2024-03", "pv_siting", "school-1", "tendered", decision={"configuration": "roof 60", "mix": "own"},
    year=2025, actual_cost_cny=1.25e6 / 3, note="=一: 100 % 'so'",
)  # fmt: skip
PAID = Entry("2024-04", "pv_siting", "school-1", "paid", paid_cny=1e5, source="municipal")


@dataclass
class Database:
    """An empty database with a user who may append and nothing else (SQLite knows no users)."""

    address: str
    clerk: str

    @property
    def kind(self) -> str:
        return self.address.partition("+")[0].partition(":")[0]

    @property
    def ledger(self) -> LedgerTable:
        return LedgerTable(self.address, "ledger")

    def run(self, *statements: str) -> None:
        """As an administrator would."""
        engine = sa.create_engine(self.address)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        file = tmp_path / "city.db"
        sqlite3.connect(file).close()
        yield Database(f"sqlite:///{file}", f"sqlite:///{file}")
        return
    server = request.getfixturevalue("postgresql")
    server.sql("CREATE DATABASE city; CREATE ROLE clerk LOGIN;")
    try:
        address: str = server.address("city")
        yield Database(address, address.replace("tests@", "clerk@"))
    finally:
        server.sql("DROP DATABASE city WITH (FORCE); DROP ROLE clerk;")


def _unguarded(database: Database, *statements: str) -> None:
    """Done by one who switches the triggers off first."""
    if database.kind == "sqlite":
        names = [f"ledger_no_{what}" for what in ("update", "delete", "replace")]
        database.run(*(f"DROP TRIGGER {name}" for name in names), *statements)
    else:
        database.run("ALTER TABLE ledger DISABLE TRIGGER ledger_stays", *statements)


def test_rows_come_back_as_they_were_written_and_a_file_takes_them_as_they_stand(
    database: Database, tmp_path: Path
) -> None:
    place = database.ledger
    assert not is_begun(place) and not read_ledger(place).entries
    append_entries(place, [DECIDED], entry_faults)
    written = append_entries(place, [PAID], entry_faults)
    found = read_ledger(place)
    assert found.hashes == written.hashes
    note = "'=一: 100 % 'so'"  # as in a file, which a spreadsheet may open
    assert [replace(e, recorded_at="", line=0) for e in found.entries] == [replace(DECIDED, note=note), PAID]
    write_ledger(tmp_path / "copy.csv", found)
    assert read_ledger(tmp_path / "copy.csv").hashes == found.hashes  # each row's hash was computed anew
    with pytest.raises(InputFaults, match="one of contracted"):
        append_entries(place, [replace(PAID, event="contracted"), replace(PAID, event="idea")], entry_faults)
    assert read_ledger(place).hashes == found.hashes


@pytest.mark.parametrize(
    ("statement", "row", "found"),
    [
        ("UPDATE ledger SET note = 'other' WHERE entry = 2", 2, "was edited"),
        ("UPDATE ledger SET paid_cny = 100000.01 WHERE entry = 2", 2, "was edited"),
        ("DELETE FROM ledger WHERE entry = 2", 2, "missing before it"),
        ("DELETE FROM ledger WHERE entry = 1", 1, "missing before it"),
        ("INSERT INTO ledger SELECT 4, period, recorded_at, programme, \"table\", project, event, decision, year, "
         "actual_cost_cny, paid_cny, cancellation_cost_cny, source, who, note, hash FROM ledger WHERE entry = 3",
         4, "was edited"),
    ],
    ids=["edit", "money", "cut out", "cut off in front", "put in"],
)  # fmt: skip
def test_the_database_refuses_and_what_is_done_all_the_same_is_found(
    database: Database, statement: str, row: int, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = database.ledger
    append_entries(place, [DECIDED, PAID, PAID], entry_faults)
    put_in = statement.startswith("INSERT")
    if not put_in:
        with pytest.raises(sa.exc.DBAPIError, match="appended, never changed"):
            database.run(statement)
        assert len(read_ledger(place).entries) == 3
    _unguarded(database, statement)
    with pytest.raises(InputFaults) as caught:
        read_ledger(place)
    (fault,) = caught.value.faults
    assert (fault.table, fault.line) == ("ledger", row) and found in str(fault), fault
    with pytest.raises(InputFaults):
        append_entries(place, [PAID], entry_faults)


def test_nothing_is_replaced_emptied_or_typed_in(database: Database) -> None:
    append_entries(database.ledger, [DECIDED], entry_faults)
    columns = (
        'entry, period, recorded_at, programme, "table", project, event, decision, source, who, note, hash'
    )
    values = "'2024-03', '', 'pv_siting', '', 'x', 'failed', '', '', '', '', ''"
    for statement in (
        "INSERT OR REPLACE" if database.kind == "sqlite" else "INSERT",
        "INSERT",
    ):
        number = 2 if statement == "INSERT" else 1
        with pytest.raises(sa.exc.DBAPIError, match=r"(?i)check constraint|appended, never|unique"):
            database.run(f"{statement} INTO ledger ({columns}) VALUES ({number}, {values})")
    if database.kind == "postgresql":
        with pytest.raises(sa.exc.DBAPIError, match="appended, never changed"):
            database.run("TRUNCATE ledger")
    assert len(read_ledger(database.ledger).entries) == 1


def _add_one(address: str) -> None:
    append_entries(LedgerTable(address, "ledger"), [PAID], entry_faults)


def test_those_who_append_at_once_come_one_after_the_other(database: Database) -> None:
    begin_ledger(database.ledger, read_ledger(database.ledger))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_add_one, [database.address] * 8)
    assert len(read_ledger(database.ledger).entries) == 8


def test_a_clerk_needs_only_to_read_and_insert(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite knows no users")
    place = LedgerTable(database.clerk, "ledger")
    with pytest.raises(UsageError, match="permission denied") as caught:
        append_entries(place, [DECIDED], entry_faults)
    assert "--print" in str(caught.value)
    from optimize.monthly.ledger_table import statements_of

    database.run(*statements_of(database.address, "ledger"))
    with pytest.raises(InputFaults, match="permission denied"):
        read_ledger(place)
    database.run("GRANT SELECT, INSERT ON ledger TO clerk")
    assert len(append_entries(place, [DECIDED], entry_faults).entries) == 1
    database.run("CREATE SCHEMA own AUTHORIZATION clerk")
    assert len(append_entries(LedgerTable(database.clerk, "own.Ledger"), [PAID], entry_faults).entries) == 1
    with pytest.raises(sa.exc.DBAPIError, match="appended, never changed"):
        database.run('DELETE FROM own."Ledger"')


def test_the_ledger_is_of_the_moment_of_the_tables(database: Database, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "instance.toml").write_text("", encoding="utf-8")
    append_entries(database.ledger, [DECIDED], entry_faults)
    wait = "pg_sleep(0.002)" if database.kind == "postgresql" else "(SELECT count(*) FROM n a, n b)"
    slow = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) SELECT i AS district, {wait} IS NULL AS name_en FROM n"  # fmt: skip
    source = Source(tmp_path / "base", None, database.address, {"districts": slow})
    reader = multiprocessing.get_context("fork").Process(
        target=_append_once_it_reads, args=(tmp_path, database.address)
    )
    if database.kind == "sqlite":
        database.run("PRAGMA journal_mode=WAL")
    reader.start()
    read = read_source(source, tmp_path / "in", ledger_table="ledger")
    reader.join()
    assert read.ledger is not None and len(read.ledger.entries) == 1
    assert reader.exitcode == 0 and len(read_ledger(database.ledger).entries) == 2


def _append_once_it_reads(folder: Path, address: str) -> None:
    while not list(folder.glob(".in-*/districts.csv")):
        os.sched_yield()
    _add_one(address)


def test_the_commands(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = tmp_path / "job.toml"
    job.write_text(
        f'[instance]\nfolder = "."\ndatabase = "{database.address}"\n[revise]\nledger_table = "ledger"\n',
        encoding="utf-8",
    )
    said = ["ledger", "add", str(job), "contracted", "pv_siting", "school-1", "--period", "2024-03"]
    file = tmp_path / "ledger.csv"
    append_entries(file, [DECIDED], entry_faults)
    assert main(["ledger", "verify", str(job)]) == 2  # not begun
    assert main(["ledger", "begin", str(job), "--from", str(file)]) == 0
    assert main(["ledger", "begin", str(job)]) == 2
    assert read_ledger(database.ledger).hashes == read_ledger(file).hashes
    assert main([*said, "--cost", "1.2e6"]) == 0
    assert main(["ledger", "verify", str(job), "--head", read_ledger(file).head]) == 0
    out = capsys.readouterr()
    assert "VERIFIED  2 entries" in out.out and "is there already" in out.err
    assert main(["ledger", "begin", str(job), "--print"]) == 0
    assert "CREATE TRIGGER" in capsys.readouterr().out
    _unguarded(database)
    assert main(["ledger", "verify", str(job)]) == 0
    assert "lets rows be changed" in capsys.readouterr().err
    assert main(["ledger", "show", str(job), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["projects"][0]["state"] == "contracted"
