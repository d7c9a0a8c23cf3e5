"""A job that reads tables and ledger from PostgreSQL, which goes away in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from optimize.errors import ExitCode
from optimize.monthly.periods import read_current

from .conftest import Place

pytestmark = pytest.mark.xdist_group("drill")  # fixtures of the folder that take seconds

_RETRY = "[retry]\nattempts = 2\nwait_s = 0.01\n"


@pytest.fixture
def town(begun: Place, postgresql: Any) -> Iterator[Place]:
    """A job whose plan of 2026-01 is in force, and whose centres and ledger are in a database from now on."""
    postgresql.sql("CREATE DATABASE town")
    address = postgresql.address("town")
    engine = sa.create_engine(address)
    centres = pd.read_csv(begun.instance / "datacenter" / "centres.csv", comment="#", dtype=str)
    centres.to_sql("centres", engine, index=False)
    pd.DataFrame({"seconds_a_row": [0.0]}).to_sql("pace", engine, index=False)
    engine.dispose()
    query = "SELECT c.* FROM centres c, pace WHERE pg_sleep(seconds_a_row) IS NOT NULL"
    begun.file.write_text(
        f'[job]\nname = "town"\n[instance]\nfolder = "town"\ndatabase = "{address}"\n[instance.tables]\n'
        f'"datacenter/centres" = "{query}"\n[revise]\nprice = false\nledger_table = "ledger"\n{_RETRY}',
        encoding="utf-8",
    )
    yield begun
    postgresql.sql("DROP DATABASE town WITH (FORCE)")


def _wait_until_it_reads(server: Any) -> None:
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        reading = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'"
        if server.sql(reading).strip() == "1":
            return
    raise AssertionError("nobody reads")


def test_a_database_that_goes_away_in_the_middle_of_a_run(town: Place, postgresql: Any) -> None:
    place, before = town, town.seals()
    add = ("ledger", "add", place.file, "proposed", "datacenter", "DC1", "--period", "2026-02")
    assert place.zygote.run(*add)[0] == 0
    postgresql.sql("UPDATE pace SET seconds_a_row = 0.2", "town")

    # gone for good: asked twice
    process = place.start("2026-02")
    _wait_until_it_reads(postgresql)
    postgresql.stop()
    try:
        code, said = process.wait()
    finally:
        postgresql.start()
    assert code == ExitCode.UNAVAILABLE and "cannot be reached" in said, said
    assert place.seals() == before and str(read_current(place.home)) == "2026-01"
    assert place.failures[-1]["code"] == ExitCode.UNAVAILABLE and "asked again" in place.events()
    assert "went away while datacenter/centres was read" in str(place.log)

    # only the connection is lost: the second attempt gets it all
    since = len(place.log)
    process = place.start("2026-02")
    _wait_until_it_reads(postgresql)
    lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    postgresql.sql(f"{lost}; UPDATE pace SET seconds_a_row = 0", "town")
    code, said = process.wait()
    assert code == 0, said
    assert place.events()[since:].count("asked again") == 1
    place.assert_settled("2026-02")
    copy = place.home / "2026-02" / "ledger.csv"
    assert place.zygote.run("ledger", "verify", copy)[0] == 0
    assert place.zygote.run("ledger", "verify", place.file)[0] == 0

    # a row that somebody edited is named, and nothing is planned on it
    before = place.seals()
    postgresql.sql("ALTER TABLE ledger DISABLE TRIGGER ALL; UPDATE ledger SET project = 'DC2'", "town")
    code, said = place.run("2026-03")
    assert code == ExitCode.BAD_INPUT and "ledger  row 1  hash" in said, said
    postgresql.sql("DELETE FROM ledger", "town")
    code, said = place.run("2026-03")
    assert code == ExitCode.BAD_INPUT and "now there is none" in said, said
    assert place.seals() == before and str(read_current(place.home)) == "2026-02"
    postgresql.sql("DROP TABLE ledger; DROP FUNCTION ledger_stays", "town")
    assert place.zygote.run("ledger", "begin", place.file, "--from", copy)[0] == 0
    assert place.run("2026-03")[0] == 0
    place.assert_settled("2026-03")
