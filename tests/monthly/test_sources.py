"""Instances read from folders, workbooks and databases: the same instance whatever it lies in."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa

from optimize.errors import InputFaults, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.monthly.instance_files import SourceUnavailable
from optimize.monthly.sources import Source, address_of, read_source
from optimize.registry import PROGRAMMES, find_programme

PV = find_programme("pv_siting")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of public PV."""
    path = tmp_path_factory.mktemp("sources") / "example"
    write_instance(path, [(PV.schema, PV.example())])
    return path


# Nothing is learnt from so many rows.
_LONG = ("weather", "load_profiles")


def _tables(folder: Path) -> dict[str, list[list[str]]]:
    """Cells of every table by the name of a change."""
    found = {}
    for path in sorted(folder.rglob("*.csv")):
        if path.stem in _LONG:
            continue
        rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
        found[path.relative_to(folder).with_suffix("").as_posix()] = [row for row in rows if row]
    return found


def _figures(folder: Path) -> Mapping[str, Any]:
    """What the reader makes of an instance, without its fingerprint."""
    data = read_instance(folder, PROGRAMMES, ["pv_siting"]).programmes[0].data
    return {
        "parameters": data.parameters,
        "targets": data.targets,
        **{
            n: f.astype(object).where(f.notna(), None).to_dict("list")
            for n, f in data.tables.items()
            if len(f)
        },
    }


def _fill(engine: sa.Engine, tables: Mapping[str, list[list[str]]]) -> dict[str, str]:
    """Each table in the database, typed as the database sees fit; the query of each."""
    with engine.begin() as connection:
        for name, (heading, *rows) in tables.items():
            own = name.replace("/", "_")
            numeric = [all(_is_number(row[k]) for row in rows) and bool(rows) for k in range(len(heading))]
            columns = [f'"{c}" {"numeric" if n else "text"}' for c, n in zip(heading, numeric, strict=True)]
            connection.execute(sa.text(f'CREATE TABLE "{own}" ({", ".join(columns)})'))
            marks = ", ".join(f":c{k}" for k in range(len(heading)))
            for row in rows:
                cells = [None if c == "" else float(c) if n else c for c, n in zip(row, numeric, strict=True)]
                statement = sa.text(f'INSERT INTO "{own}" VALUES ({marks})')
                connection.execute(statement, {f"c{k}": cell for k, cell in enumerate(cells)})
    return {name: f'SELECT * FROM "{name.replace("/", "_")}"' for name in tables}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == ""
    return True


def _without_tables(folder: Path, out: Path) -> Path:
    shutil.copytree(
        folder,
        out,
        ignore=lambda _, names: [n for n in names if Path(n).suffix == ".csv" and Path(n).stem not in _LONG],
    )
    return out


def test_a_folder_is_copied_with_its_hashes(folder: Path, tmp_path: Path) -> None:
    read = read_source(Source(folder=folder), tmp_path / "in")
    assert _tables(tmp_path / "in") == _tables(folder)
    assert set(read.hashes) == set(read.origins) == {
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    }  # fmt: skip
    with pytest.raises(UsageError, match="exists already"):
        read_source(Source(folder=folder), tmp_path / "in")


def test_a_folder_that_is_written_to_meanwhile_is_to_be_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "moving"
    shutil.copytree(folder, home)
    copy = shutil.copyfile

    def write_behind(source: Path, target: Path) -> None:
        copy(source, target)
        (home / "pv_siting" / "sites.csv").write_text("site\n", encoding="utf-8")

    monkeypatch.setattr(shutil, "copyfile", write_behind)
    with pytest.raises(SourceUnavailable, match="written to while"):
        read_source(Source(folder=home), tmp_path / "in")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["moving"]


# --- workbooks ------------------------------------------------------------------------------------


def _workbook(folder: Path, path: Path) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in _tables(folder).items():
        sheet = book.create_sheet(name.replace("/", "."))
        for row in rows:
            sheet.append([None if c == "" else float(c) if _is_number(c) else c for c in row])
    sheet = book.create_sheet("instance")
    for row in (("key", "value", "note"), ("base_year", 2024, ""), ("pv_siting.clauses.PV-50MW.required", 700.5, "less"),
                ("pv_siting.emc.allowed", False, "")):  # fmt: skip
        sheet.append(row)
    book.create_sheet("# notes").append(["=1/0"])
    book.save(path)
    return book


def test_a_workbook_is_the_same_instance_with_its_own_parameters(folder: Path, tmp_path: Path) -> None:
    _workbook(folder, tmp_path / "city.xlsx")
    alone = read_source(Source(workbook=tmp_path / "city.xlsx"), tmp_path / "alone")
    assert "city.xlsx, sheet pv_siting.sites" in alone.origins["pv_siting/sites.csv"]
    over = read_source(Source(folder=folder, workbook=tmp_path / "city.xlsx"), tmp_path / "over")
    figures, plain = _figures(over.folder), _figures(folder)
    assert figures["targets"]["PV-50MW"].required == 700.5
    assert figures["parameters"]["pv_siting.emc.allowed"] is False
    for name in _tables(folder):
        table = name.split("/")[-1]
        assert figures.get(table) == plain.get(table)  # tables without rows are left out


def test_a_workbook_tells_all_its_faults_at_once(folder: Path, tmp_path: Path) -> None:
    book = _workbook(folder, tmp_path / "city.xlsx")
    book["pv_siting.sites"]["C2"] = "=SUM(1,2)"
    book["pv_siting.tariffs"]["B2"] = "#DIV/0!"
    book.create_sheet("pv_siting.sitess").append(["site"])
    book["instance"].append(["base_year.of", 3])
    book.save(tmp_path / "city.xlsx")
    with pytest.raises(InputFaults) as caught:
        read_source(Source(workbook=tmp_path / "city.xlsx"), tmp_path / "in")
    told = str(caught.value)
    assert len(caught.value.faults) == 4, told
    for words in ("pv_siting.sites!C2 type: expected one of", "found a formula without a value (=SUM(1,2))", "#DIV/0!",
                  'did you mean "pv_siting.sites"?', "base_year.of"):  # fmt: skip
        assert words in told
    assert not (tmp_path / "in").exists()
    (tmp_path / "city.xlsx").write_bytes(b"not a workbook")
    with pytest.raises(UsageError, match="not an Excel workbook"):
        read_source(Source(workbook=tmp_path / "city.xlsx"), tmp_path / "in")


# --- databases ------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        sqlite3.connect(tmp_path / "city.db").close()
        yield f"sqlite:///{tmp_path / 'city.db'}"
        return
    server = request.getfixturevalue("postgresql")
    server.sql("CREATE DATABASE city")
    yield server.address("city")
    server.sql("DROP DATABASE IF EXISTS city WITH (FORCE)")


def test_a_database_is_the_same_instance(address: str, folder: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(address)
    queries = _fill(engine, _tables(folder))
    engine.dispose()
    queries["pv_siting/sites"] = "pv_siting_sites"  # the name of a table is a query as well
    base = _without_tables(folder, tmp_path / "base")
    read = read_source(Source(base, None, address, queries), tmp_path / "in")
    assert _figures(read.folder) == _figures(folder)
    assert read.origins["pv_siting/tariffs.csv"].endswith('SELECT * FROM "pv_siting_tariffs"')


def test_every_query_that_is_refused_is_told_and_nothing_is_left(
    address: str, folder: Path, tmp_path: Path
) -> None:
    queries = {
        "pv_siting/sites": "SELECT * FROM nowhere",
        "pv_siting/tariffs": "SELEKT 1",
        "pv_siting/kinds": "SELECT 'a:b' AS kind, 1.5 AS capex_cny_per_kw",
        "pv_siting/budgets": "CREATE TABLE written (x int)",
    }
    with pytest.raises(InputFaults) as caught:
        read_source(Source(folder, None, address, queries), tmp_path / "in")
    named = [fault.table for fault in caught.value.faults]
    assert named == ["pv_siting/sites", "pv_siting/tariffs", "pv_siting/budgets"], str(caught.value)
    assert not list(tmp_path.glob("*in*"))
    with pytest.raises(InputFaults, match="did you mean"):
        read_source(Source(folder, None, address, {"pv_siting/site": "x"}), tmp_path / "in")


def test_what_is_read_is_of_one_moment_and_nothing_is_written(
    address: str, folder: Path, tmp_path: Path
) -> None:
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (tariff text, price_cny_per_kwh real)"))
        connection.execute(sa.text("INSERT INTO t VALUES ('a', 1)"))
    if address.startswith("sqlite"):
        with engine.connect() as connection:
            connection.execute(sa.text("PRAGMA journal_mode=WAL"))
    work = (
        "pg_sleep(0.003) IS NULL"
        if address.startswith("postgresql")
        else "(SELECT count(*) FROM n a, n b WHERE a.i + b.i > n.i)"
    )
    slow = f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
               SELECT i AS year, {work} AS capacity_kw FROM n, t"""
    queries = {"pv_siting/installers": slow, "pv_siting/tariffs": "t"}

    def write_meanwhile() -> None:
        while not list(tmp_path.glob(".in-*/pv_siting/installers.csv")):
            time.sleep(0.005)
        with engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO t VALUES ('later', 2)"))

    writer = threading.Thread(target=write_meanwhile)
    writer.start()
    base = _without_tables(folder, tmp_path / "base")
    read_source(Source(base, None, address, queries), tmp_path / "in")
    writer.join()
    assert _tables(tmp_path / "in")["pv_siting/tariffs"] == [["tariff", "price_cny_per_kwh"], ["a", "1.0"]]
    again = read_source(Source(folder, None, address, {"pv_siting/tariffs": "t"}), tmp_path / "again")
    assert len(_tables(again.folder)["pv_siting/tariffs"]) == 3
    engine.dispose()


def test_a_database_that_is_not_there_is_worth_another_try(
    postgresql: Any, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        read_source(Source(folder, None, postgresql.address("nowhere"), {"districts": "d"}), tmp_path / "in")
    with pytest.raises(UsageError, match="is not a file"):
        read_source(Source(folder, None, f"sqlite:///{tmp_path}/no.db", {"districts": "d"}), tmp_path / "in")
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(UsageError) as caught:
        read_source(Source(folder, None, "postgres//u:secret@h", {"districts": "d"}), tmp_path / "in")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("end", ["dropped", "stopped"])
def test_a_database_that_goes_away_while_it_is_read(
    postgresql: Any, folder: Path, tmp_path: Path, end: str
) -> None:
    postgresql.sql("CREATE DATABASE passing")
    engine = sa.create_engine(postgresql.address("passing"))
    queries = _fill(engine, {"districts": _tables(folder)["districts"]})
    engine.dispose()
    queries["pv_siting/sites"] = (
        "SELECT n AS site, pg_sleep(0.01) IS NULL AS type FROM generate_series(1, 100000) n"
    )

    def end_it() -> None:
        time.sleep(0.4)
        if end == "dropped":
            postgresql.sql("DROP DATABASE passing WITH (FORCE)")
        else:
            postgresql.stop()

    thread = threading.Thread(target=end_it)
    thread.start()
    try:
        with pytest.raises(SourceUnavailable, match="went away while pv_siting/sites was read"):
            read_source(Source(folder, None, postgresql.address("passing"), queries), tmp_path / "in")
    finally:
        thread.join()
        if end == "stopped":
            postgresql.start()
        postgresql.sql("DROP DATABASE IF EXISTS passing WITH (FORCE)")
    assert not list(tmp_path.iterdir())


def test_passwords_come_from_the_environment_whatever_signs_they_hold() -> None:
    url = sa.make_url(address_of("postgresql+psycopg://me:${PW}@host/city", {"PW": "a/b@c:d e"}))
    assert (url.password, url.host) == ("a/b@c:d e", "host")
    assert address_of("${URL}", {"URL": "sqlite:///a.db"}) == "sqlite:///a.db"
    with pytest.raises(UsageError, match="PW is not set"):
        address_of("postgresql://me:${PW}@host/city", {})
