"""A job's month: published once, silent where nothing is worth changing, told where something is."""

from __future__ import annotations

import datetime
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimize.errors import ExitCode, InputFaults
from optimize.io.run_store import folders_below, read_text_table
from optimize.monthly.inputs import refuse_truncated
from optimize.monthly.job import Keeping, job_template, read_job
from optimize.monthly.keeping import surplus_periods, tidy
from optimize.monthly.log import Log
from optimize.monthly.periods import Name, Period, point_current, publish, read_current, staging

from .conftest import Place

pytestmark = pytest.mark.xdist_group("drill")  # fixtures of the folder that take seconds


def cheaper(place: Place) -> None:
    """A measure at a third of its price: something becomes worth changing."""
    table = place.instance / "datacenter" / "measures.csv"
    text = table.read_text(encoding="utf-8-sig")
    assert ",15000," in text
    table.write_text(text.replace(",15000,", ",5000,"), encoding="utf-8")


def test_a_period_is_published_once_and_nothing_worth_changing_is_silence(place: Place) -> None:
    code, said = place.run("2026-01")
    assert code == 0 and "the first plan" in said and "current → 2026-01" in said
    before = place.seals()
    code, said = place.run("2026-01")
    assert code == 0 and "is published already" in said and "nothing was changed" in said
    assert place.run("2026-01", "--if-due") == (0, "")
    assert place.seals() == before
    assert place.run("2026-02") == (0, "")
    assert place.log[-1]["outcome"] == "kept" and place.newest() == "2026-02"
    code, said = place.run("2026-02", "--force")
    assert code == 0 and place.newest() == "2026-02-r2"
    assert before.items() <= place.seals().items()
    code, status = place.status("2026-02")
    assert code == 0 and status["period"] == "2026-02-r2" and not status["failures"] and not status["stale"]
    assert status["plans"][0]["gap"] <= 0.005
    assert place.status("2026-04")[0] == ExitCode.STALE


def test_a_change_is_told_explained_and_kept_with_all_it_was_made_from(begun: Place) -> None:
    place = begun
    cheaper(place)
    place.say('[set]\n"budgets.scale" = 0.5\n')
    asked = place.file.read_text(encoding="utf-8").replace("price = false", "curve_points = 3")
    place.file.write_text(asked, encoding="utf-8")
    code, said = place.run("2026-02")
    assert code == 0 and "inputs changed: " in said and "costs" in said and "npv −" in said, said
    folder = place.home / "2026-02"
    assert {"inputs", "instance", "runs", "report", "log.jsonl", "manifest.json"} <= {
        p.name for p in folder.iterdir()
    }
    told = json.loads((folder / "report" / "datacenter" / "change.json").read_text(encoding="utf-8"))
    assert told["projects"] and told["objective"] < told["objective_before"]
    assert any(g["group"] == "costs" for g in told["groups"])
    stability = told["stability"]
    curve, free = stability["curve"], stability["free"]
    assert stability["price_at_least"] <= stability["price_at_most"] and "without stability" in said
    assert curve[-1]["changes"] <= free["changes"] - free["forced"] and curve[-1]["value"] >= free["value"]
    before, now = (place.home / month / "inputs" / "datacenter" for month in ("2026-01", "2026-02"))
    # what is the same is there once; what changed is as it was read then
    assert (before / "zones.csv").samefile(now / "zones.csv")
    assert (before / "measures.csv").read_bytes() != (now / "measures.csv").read_bytes()
    code, said = place.zygote.run("verify", place.folder / "results")
    assert code == 0 and "2 runs and 2 periods: 4 verified, 0 failed" in said, said
    code, said = place.zygote.run("reproduce", place.folder / "results")
    assert code == 0 and said.count("reproduced bit by bit") == 2, said


def test_a_plan_has_to_be_worth_the_change(begun: Place) -> None:
    place = begun

    def decisions(month: str) -> list[tuple[str, str, str]]:
        (projects,) = (place.home / month / "runs").rglob("projects.csv")
        cells = read_text_table(projects)
        return list(zip(cells["centre"], cells["measures"], cells["year"], strict=True))

    cheaper(place)  # so that no figure of the plan is what it was
    more = '[set]\n"budgets.scale" = 0.5\n'
    place.say(f"min_gain = 1e9\n{more}".replace("0.5", "1.5"))
    assert place.run("2026-02") == (0, "")
    assert place.log[-1]["outcome"] == "kept" and decisions("2026-02") == decisions("2026-01")
    code, said = place.zygote.run("reproduce", place.home / "2026-02")
    assert code == 0 and "reproduced bit by bit" in said, said
    place.say(more)
    code, said = place.run("2026-03")
    assert code == 0 and "0 to contracted projects" in said, said
    assert place.log[-1]["outcome"] == "changed" and decisions("2026-03") != decisions("2026-02")


def test_what_an_infeasible_month_leaves(begun: Place) -> None:
    place = begun
    before = place.seals()
    place.say('[set]\n"datacenter.clauses.DC-GREEN.required" = 99\n')
    code, said = place.run("2026-02")
    assert code == ExitCode.INFEASIBLE and "The smallest ways out" in said, said
    assert place.seals() == before and str(read_current(place.home)) == "2026-01"
    assert place.failures[-1]["code"] == ExitCode.INFEASIBLE and place.failures[-1]["period"] == "2026-02"
    code, status = place.status("2026-02")
    assert code == 0 and status["failures"] == 1 and status["last_failure"]["code"] == ExitCode.INFEASIBLE
    place.say()
    assert place.run("2026-02") == (0, "")


def test_a_source_that_does_not_answer_is_asked_again(begun: Place) -> None:
    place = begun
    before = place.seals()
    retry = "[retry]\nattempts = 3\nwait_s = 0.01\n"
    gone = 'database = "postgresql+psycopg://nobody@127.0.0.1:1/city"\n'
    queries = '[instance.tables]\n"datacenter/zones" = "SELECT 1"\n'
    place.file.write_text(
        f'[job]\nname = "town"\n[instance]\nfolder = "town"\n{gone}{queries}{retry}', encoding="utf-8"
    )
    code, said = place.run("2026-02")
    assert code == ExitCode.UNAVAILABLE, said
    assert place.events().count("asked again") == 2
    assert place.seals() == before and place.failures[-1]["code"] == ExitCode.UNAVAILABLE
    place.say()
    assert place.run("2026-02")[0] == 0


def test_a_ledger_is_only_ever_longer(place: Place) -> None:
    place.file.write_text(
        place.file.read_text(encoding="utf-8") + 'ledger = "ledger.csv"\n', encoding="utf-8"
    )
    assert place.run("2026-01")[0] == 0  # none was begun yet
    add = ["ledger", "add", place.file]
    assert place.zygote.run(*add, "proposed", "datacenter", "DC1", "--period", "2026-01")[0] == 0
    assert place.run("2026-02")[0] == 0
    before, file = place.seals(), place.folder / "ledger.csv"
    assert (place.home / "2026-02" / "ledger.csv").read_bytes() == file.read_bytes()
    kept = file.read_bytes()
    file.unlink()
    code, said = place.run("2026-03")
    assert code == ExitCode.BAD_INPUT and "now there is none" in said and place.seals() == before
    assert place.zygote.run(*add, "tendered", "datacenter", "DC1", "--period", "2026-01")[0] == 0
    code, said = place.run("2026-03")
    assert code == ExitCode.BAD_INPUT and "another history" in said and place.seals() == before
    file.write_bytes(kept)
    assert place.zygote.run(*add, "budgeted", "datacenter", "DC1", "--period", "2026-03")[0] == 0
    assert place.run("2026-03")[0] == 0


# --- the webhook --------------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """An address, and what was posted to it."""
    heard: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if heard[-1]["outcome"] == "failed" else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_hears_and_fails_nothing(place: Place, hook: tuple[str, list[dict[str, object]]]) -> None:
    address, heard = hook
    place.say(f'[tell]\nwebhook = "{address}"\n')
    code, said = place.run("2026-02")
    assert code == 0 and "webhook" not in said
    assert [(m["period"], m["outcome"], m["code"]) for m in heard] == [("2026-02", "changed", 0)]
    assert "the first plan" in str(heard[0]["text"])
    code, said = place.run("2026-01")  # before the last period: refused, told, and answered with an error
    assert code == ExitCode.BAD_INPUT and "the webhook was not reached" in said
    assert heard[-1]["outcome"] == "failed" and heard[-1]["code"] == ExitCode.BAD_INPUT
    place.say('[tell]\nwebhook = "http://127.0.0.1:1/"\non = ["kept"]\n')
    code, said = place.run("2026-03")
    assert code == 0 and "the webhook was not reached" in said and place.newest() == "2026-03"


# --- the file -----------------------------------------------------------------------------------------


def test_the_written_job_is_commented_and_runs(place: Place) -> None:
    place.file.unlink()
    code, said = place.zygote.run("monthly", place.file, "--init", "--instance", place.instance)
    assert code == 0 and str(place.file) in said
    text = place.file.read_text(encoding="utf-8")
    assert text == job_template("town")
    assert place.run("2026-01")[0] == 0
    code, said = place.zygote.run("monthly", place.file, "--init")
    assert code == ExitCode.BAD_INPUT and "not written over" in said
    # with every comment taken away it says the same but for the examples
    bare = "\n".join(line.removeprefix("# ") for line in text.splitlines() if (" = " in line and "example" not in line)
                     or line.startswith("["))  # fmt: skip
    other = place.folder / "bare.toml"
    other.write_text(bare.split('"districts"')[0], encoding="utf-8")
    assert read_job(other).solving.gap == read_job(place.file).solving.gap


def test_all_faults_of_a_job_at_once(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text(
        '[job]\nname = "a/b"\ntimezone = "Mars"\n[instance]\ndatabase = "x"\nmax_lost_rows = 2\n[solve]\ngapp = 1\n'
        'gap = -1\nthreads = 1.5\n[tell]\nwebhook = "${NO}"\non = ["x"]\n[revise]\namendment_months = [13]\n'
        "price = 1\n[plan]\ngoal = []\n",
        encoding="utf-8",
    )
    with pytest.raises(InputFaults) as caught:
        read_job(file, environment={})
    assert {fault.column for fault in caught.value.faults} == {
        "job.name", "job.timezone", "instance.folder", "instance.tables", "instance.max_lost_rows", "solve.gapp",
        "solve.gap", "solve.threads", "tell.webhook", "tell.on", "revise.amendment_months", "revise.price", "plan.goal",
    }  # fmt: skip
    assert any('did you mean "solve.gap"' in fault.mend for fault in caught.value.faults)


def test_a_secret_is_taken_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text('[instance]\nfolder = "town"\n[tell]\nwebhook = "https://${HOST}/x"\n', encoding="utf-8")
    job = read_job(file, environment={"HOST": "example.org"})
    assert job.telling.webhook == "https://example.org/x"
    assert (
        job.source.folder == tmp_path / "town"
        and job.home == tmp_path / "results" / "monthly" / tmp_path.name
    )


# --- periods without solving --------------------------------------------------------------------------


def published(home: Path, *names: str) -> None:
    for name in names:
        read = Name.read(name)
        assert read is not None
        with staging(home) as place:
            (place / "plan.csv").write_text(name, encoding="utf-8")
            publish(place, home, read, {"runs": {}})
        point_current(home, read)


def test_the_policy_keeps_the_newest_and_a_period_a_year(tmp_path: Path) -> None:
    months = [f"{year}-{month:02d}" for year in (2024, 2025, 2026) for month in (3, 6, 9, 12)]
    published(tmp_path, *months, "2026-12-r2")
    gone = surplus_periods(tmp_path, Keeping(periods=2, yearly=True, failures=0))
    kept = [name for name in [*months, "2026-12-r2"] if name not in map(str, gone)]
    assert kept == ["2024-12", "2025-12", "2026-09", "2026-12", "2026-12-r2"]
    assert not surplus_periods(tmp_path, Keeping(periods=0, yearly=False, failures=0))
    gone = surplus_periods(tmp_path, Keeping(periods=1, yearly=False, failures=0))
    # the plan in force, and the one it was made from
    assert [name for name in months if name not in map(str, gone)] == ["2026-09", "2026-12"]


def test_what_the_policy_does_not_keep_is_gone(place: Place) -> None:
    place.say("[keep]\nperiods = 1\nyearly = false\nfailures = 2\n")
    home = place.home
    home.mkdir(parents=True)
    published(home, "2024-03", "2025-03", "2025-04")
    (home / "failures").mkdir()
    for number in range(4):
        (home / "failures" / f"2025010{number}T000000-x.json").write_text("{}", encoding="utf-8")
    job = read_job(place.file)
    tidy(job, Log(home / "log.jsonl", lambda: datetime.datetime(2025, 4, 1)))
    assert {path.name for path in home.iterdir()} == {
        "2025-03",
        "2025-04",
        "current",
        "failures",
        "log.jsonl",
    }
    assert len(list((home / "failures").iterdir())) == 2


def test_tables_that_lost_their_rows_look_like_a_truncated_export(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    last = Period(
        Name("2026-01"), tmp_path / "old", {"rows": {"p/sites": 1000, "p/feeders": 10, "p/kinds": 30}}
    )
    refuse_truncated(tmp_path / "new", {"p/sites": 850, "p/feeders": 1, "p/kinds": 30}, last, 0.2)
    with pytest.raises(InputFaults) as caught:
        refuse_truncated(tmp_path / "new", {"p/sites": 700, "p/feeders": 1}, last, 0.2)
    assert [(f.table, f.found) for f in caught.value.faults] == [("p/sites", "700"), ("p/kinds", "0")]


def test_a_torn_line_of_the_log_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'{"event": "a"}\n{"event": "b')
    log = Log(file, lambda: datetime.datetime(2026, 1, 1))
    log.tell("c", "text")
    assert [json.loads(line)["event"] for line in file.read_text(encoding="utf-8").splitlines()] == ["a", "c"]


def test_runs_and_periods_below_a_folder(tmp_path: Path) -> None:
    published(tmp_path, "2026-01")
    (tmp_path / "x" / "run").mkdir(parents=True)
    (tmp_path / "x" / "run" / "summary.json").write_text("{}", encoding="utf-8")
    assert folders_below(tmp_path) == ([tmp_path / "x" / "run"], [tmp_path / "2026-01"])
