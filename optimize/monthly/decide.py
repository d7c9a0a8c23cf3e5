"""What a period plans, and whether its plan is worth more than the one in force."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from optimize.city.reading import read_city
from optimize.clauses import REVISE
from optimize.errors import ExitCode, UsageError, gravest
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_text_table, text_cells
from optimize.io.warm_starts import read_warm_start
from optimize.monthly.in_force import PROJECT, TABLE
from optimize.monthly.inputs import Inputs
from optimize.monthly.job import Job
from optimize.monthly.periods import Name, Period
from optimize.monthly.revise import FIRST_OPEN_YEAR, PLAN_IN_FORCE, RevisionRules, revise, write_revised
from optimize.monthly.solving import CitySubject, Found, ProgrammeSubject, Slices, Subject
from optimize.names import CITY
from optimize.programme import Programme, SolveOptions
from optimize.registry import PROGRAMMES
from optimize.report import text
from optimize.report.summary import STATUS_CODES
from optimize.revision import FROZEN_STATES
from optimize.schema import InstanceData

# A figure of two plans that differs by less than this share is the same.
_SAME = 1e-7
_YEAR = "year"
# Of the time of a joint plan, for one of its programmes by itself.
_PART_SHARE = 0.25


@dataclass(frozen=True)
class Plan:
    """What a period has for one programme, or for the city.

    Attributes
    ----------
    found : what is published: the fresh plan, or the one in force under the present inputs.
    fresh : what the solve found.
    standing : the plan in force under the present inputs; None: there is none, or it breaks a rule of theirs.
    """

    subject: Subject
    found: Found
    fresh: Found
    standing: Found | None


@dataclass(frozen=True)
class Question:
    """How a period asks for plans.

    Attributes
    ----------
    stand_still : the period's instance with no change of the plan in force but what must change, by subject.
    """

    job: Job
    interrupt: threading.Event
    slices: Slices
    in_force: Period | None
    stand_still: Callable[[], Mapping[str, Subject]]

    def plan(self, subject: Subject) -> Plan:
        """Solve, and keep the plan in force where nothing is worth changing."""
        options = self.options(subject)
        log = self.slices.log
        fresh = subject.solve(options, self.slices)
        value = fresh.figures.get(options.goal[-1])
        unit = next(goal.unit for goal in subject.goals if goal.name == options.goal[-1])
        log.tell(
            "solved",
            f"{subject.name}: {fresh.status} after {fresh.seconds:.0f} s · "
            f"{options.goal[-1]} {'—' if value is None else text.amount(value, unit)} · "
            f"gap {text.percent(fresh.solved.result.gap)}",
            slices=fresh.slices,
        )
        standing = self._standing(subject, fresh)
        if (
            standing is not None
            and fresh.status in ("solved", "no plan")
            and not self._worth(subject, fresh, standing)
        ):
            return Plan(subject, standing, fresh, standing)
        return Plan(subject, fresh, fresh, standing)

    def options(self, subject: Subject) -> SolveOptions:
        """As the job says, from the plan in force where there is one."""
        solving = self.job.solving
        known = [goal.name for goal in subject.goals]
        unknown = [name for name in solving.goal if name not in known]
        if unknown:
            raise UsageError(f"plan.goal {', '.join(unknown)}: {subject.name} knows {', '.join(known)}")
        run = self.run_in_force(subject)
        return SolveOptions(
            goal=solving.goal,
            gap=solving.gap,
            time_limit_s=solving.time_limit_s,
            threads=solving.threads,
            seed=solving.seed,
            interrupt=self.interrupt,
            warm_start=None if run is None else read_warm_start(run),
        )

    def run_in_force(self, subject: Subject) -> Path | None:
        return None if self.in_force is None else self.in_force.runs.get(subject.name)

    def _standing(self, subject: Subject, fresh: Found) -> Found | None:
        """The decisions in force under the present inputs; None: there are none, or they are no plan any more.

        A search that begins from the plan in force returns it unless it finds better, so that it is counted anew
        only where a change has to be worth something more, or the search begins from nothing.
        """
        run = self.run_in_force(subject)
        if run is None:
            return None
        if not self.job.revising.min_gain and subject.resumes:
            return subject.keep(fresh, tables_in(run))  # the very plan, where no figure of it has changed
        if not subject.counts_changes:
            return subject.keep(fresh, tables_in(run))
        still = self.stand_still()[subject.name]
        if isinstance(still, CitySubject) and isinstance(subject, CitySubject):
            standing = self._standing_in_parts(subject, still, fresh, tables_in(run))
            if standing is not None:
                return standing
        options = dataclasses.replace(self.options(subject), warm_start=None)
        found = still.solve(options, dataclasses.replace(self.slices, checkpoints=None))
        if found.status != "solved":
            return None
        return subject.keep(fresh, {name: text_cells(frame) for name, frame in still.tables(found).items()})

    def _standing_in_parts(
        self, subject: CitySubject, still: CitySubject, fresh: Found, tables: Mapping[str, pd.DataFrame]
    ) -> Found | None:
        """A joint plan in force programme by programme, each with its share of the money; None where that is no plan.

        The joint search begins from nothing and may end far below the plan in force.  What stands is valued anew
        under the present inputs without a search, of the network only what the ledger says changes; a programme
        that cannot stand as it is is planned by itself, near the plan in force as the job's rules have it.
        """
        own: dict[str, pd.DataFrame] = dict(tables)
        now = {part.programme.name: part.data for part in subject.city.parts}
        for part in still.city.parts:
            name, programme = part.programme.name, part.programme
            if not programme.resumes:
                own |= carried_over(programme, part.data, tables)
                continue
            for data in (all_contracted(programme, part.data), now[name]):
                alone = ProgrammeSubject(programme, with_share(data, name, tables["split"]))
                found = alone.solve(
                    self._part_options(subject), dataclasses.replace(self.slices, checkpoints=None)
                )
                if found.status == "solved":
                    break
            else:
                return None
            own |= {f"{name}.{table}": text_cells(frame) for table, frame in alone.tables(found).items()}
        return subject.keep(fresh, own)

    def _part_options(self, subject: CitySubject) -> SolveOptions:
        limit_s = _PART_SHARE * self.job.solving.time_limit_s
        return dataclasses.replace(self.options(subject), warm_start=None, time_limit_s=limit_s)

    def _worth(self, subject: Subject, fresh: Found, standing: Found) -> bool:
        """Whether the fresh plan is worth changing to: better in the first goal that differs, by enough in the last."""
        if fresh.status != "solved":
            return False
        maximise = {goal.name: goal.maximise for goal in subject.goals}
        for place, name in enumerate(fresh.options.goal):
            side = 1.0 if maximise[name] else -1.0
            gain = side * (fresh.figures[name] - standing.figures[name])
            size = max(1.0, abs(standing.figures[name]))
            if place == len(fresh.options.goal) - 1:
                return gain > max(self.job.revising.min_gain, _SAME * size)
            if abs(gain) > _SAME * size:
                return gain > 0
        raise AssertionError("a solve has at least one goal")


def subjects_in(job: Job, folder: Path) -> list[Subject]:
    """What the job plans of the instance in ``folder``."""
    if job.solving.joint:
        _, city = read_city(folder, PROGRAMMES, job.solving.programmes)
        return [CitySubject(city)]
    loaded = read_instance(folder, PROGRAMMES, job.solving.programmes)
    return [ProgrammeSubject(part.programme, part.data) for part in loaded.programmes]


def subjects_under(
    job: Job, read: Inputs, in_force: Period, name: Name, rules: RevisionRules, folder: Path
) -> dict[str, Subject]:
    """What the job plans, by name, with the plan in force held by other rules; ``folder`` takes the instance."""
    revision = revise(read.folder, read.ledger, runs_by_programme(in_force), name.month, rules)
    settings = {**job.solving.settings, **revision.overrides}
    write_revised(read.folder, dataclasses.replace(revision, overrides=settings), folder)
    return {subject.name: subject for subject in subjects_in(job, folder)}


def runs_by_programme(period: Period) -> dict[str, Path]:
    """The run of each programme of a period; a joint one for each of its programmes."""
    runs = period.runs
    if CITY not in runs:
        return runs
    return dict.fromkeys(period.manifest["programmes"], runs[CITY])


def all_contracted(programme: Programme, data: InstanceData) -> InstanceData:
    """The tables as if all that is in force and still a candidate were contracted, and nothing else could start."""
    rows = data.tables[PLAN_IN_FORCE]
    (table,) = programme.project_tables
    there = {str(name) for source, key in programme.lockable for name in data.tables[source][key]}
    rows = rows[rows[list(table.id)].astype(str).agg(":".join, axis=1).isin(there)]
    settled = rows.assign(state=rows["state"].where(rows["state"].isin(FROZEN_STATES), "contracted"))
    behind = int(data.parameters["base_year"]) + int(data.parameters["num_years"])
    return dataclasses.replace(
        data,
        tables={**data.tables, PLAN_IN_FORCE: settled.reset_index(drop=True)},
        parameters={**data.parameters, FIRST_OPEN_YEAR: behind},
        targets={clause: target for clause, target in data.targets.items() if clause != REVISE},
    )


def with_share(data: InstanceData, programme: str, split: pd.DataFrame) -> InstanceData:
    """A programme's tables with its share of the city's money for its budgets."""
    own = split[split["programme"] == programme]
    scale = float(data.parameters["budgets.scale"])
    shares = own["share_cny"].astype(float) / (scale if scale > 0 else 1.0)
    budgets = data.tables["budgets"]
    columns = {
        "source": own["source"].to_numpy(object),
        "year": own["year"].astype(np.int64),
        "amount_cny": shares,
    }
    rows = pd.DataFrame(columns).reindex(columns=budgets.columns)
    return dataclasses.replace(data, tables={**data.tables, "budgets": rows.reset_index(drop=True)})


def carried_over(
    programme: Programme, data: InstanceData, tables: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """The network's tables in force, in the years the ledger has, without what is given up or withdrawn."""
    found, rows = {}, data.tables[PLAN_IN_FORCE]
    there = {str(name) for table, key in programme.lockable for name in data.tables[table][key]}
    for table in programme.project_tables:
        own = rows[rows[TABLE] == table.name]
        years = dict(zip(own[PROJECT], own[_YEAR].astype(str), strict=True))
        cells = tables[f"{programme.name}.{table.name}"]
        ids = pd.Series(
            [":".join(row) for row in cells[list(table.id)].to_numpy()], cells.index, dtype=object
        )
        names = ids.map(table.lock_name)
        known = names.isin(there) | names.str.rpartition(":")[0].isin(there)
        stays = ids.isin(years.keys()) & known
        found[f"{programme.name}.{table.name}"] = cells.assign(year=ids.map(years))[stays]
    return found


def tables_in(run: Path) -> dict[str, pd.DataFrame]:
    """All tables of a run, as text cells."""
    return {path.stem: read_text_table(path) for path in sorted(run.glob("*.csv"))}


def why_not(plans: Sequence[Plan]) -> tuple[ExitCode, str]:
    """Code and words of the plans that are missing."""
    codes, words = [], []
    for plan in plans:
        codes.append(STATUS_CODES[plan.found.status])
        summary = plan.subject.summary(plan.found)
        words += [f"{plan.subject.name}: {_reason(summary)}"]
        if summary["status"] == "infeasible":
            words += text.relaxation_lines(summary["relaxations"])
    return gravest(codes), "\n".join(words)


def _reason(summary: Mapping[str, object]) -> str:
    if summary["status"] == "failed check":
        violations = summary["violations"]
        assert isinstance(violations, list)
        return f"the plan failed its check and is not published: {violations[0]}"
    if summary["status"] == "no plan":
        return "no plan found within the time limit"
    return "no plan meets every hard target"
