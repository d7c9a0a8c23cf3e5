"""The answer in sentences: what to build and what it buys, four key figures, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts, RunFacts

# From this gap on a plan is said to be good, but not known to be near the best.
_WIDE_GAP = 0.05
_ROUNDING = 1e-9


@dataclass(frozen=True)
class KeyFigure:
    """A figure that stands out: what it is, the figure, and a word more."""

    label: str
    value: str
    note: str = ""


def answer(run: RunFacts, words: Words) -> str:
    """What to build, for how much, what it buys, and how near it is to the best."""
    summary = run.summary
    reached = words.text(
        "Its {goal} is {value}: {certainty}.", goal=words.either(summary["goal_zh"], summary["goal_en"]),
        value=goal_amount(summary, summary["objective"], words), certainty=certainty_in_short(summary, words),
    )  # fmt: skip
    if not run.is_city:
        return words.sentences([_ANSWERS[run.programme](run.parts[0], words), reached])
    head = words.text(
        "Plan {programmes} under one budget, with {money} of public money.",
        money=words.money(public_cny(run)), programmes=words.joined([words.within(part.title(words)) for part in run.parts]),
    )  # fmt: skip
    return words.sentences([head, reached, *silo_words(run, words)[:1]])


def plan_answer(plan: PlanFacts, words: Words) -> str:
    """The sentence of one programme."""
    return _ANSWERS[plan.name](plan, words)


def goal_amount(summary: Mapping[str, Any], value: float | None, words: Words) -> str:
    return words.amount(value, str(summary["goal_unit"]))


def public_cny(run: RunFacts) -> float:
    """What the city and its districts spend, as the checker counted it."""
    money = run.money
    return math.fsum(money.loc[money["source"] != "owner", "spent_cny"])


def spent_cny(run: RunFacts) -> float:
    """What all sources spend, as the checker counted it."""
    return math.fsum(run.money["spent_cny"])


def _pv_answer(plan: PlanFacts, words: Words) -> str:
    figures, projects = plan.figures, plan.table("projects")
    if projects.empty:
        return _nothing(words)
    num_heat = int((projects["hot_water"] != "").sum())
    built = words.amount(figures["capacity"], "kW")
    if num_heat:
        built = words.text(
            "{capacity} of photovoltaics and {heat}", capacity=built,
            heat=words.plural("{n} hot-water system", "{n} hot-water systems", num_heat),
        )  # fmt: skip
    else:
        built = words.text("{capacity} of photovoltaics", capacity=built)
    return words.text(
        "Give {sites} public institutions {built} for {capex}: they generate {energy}, {share} of it used on site, and avoid {co2}.",
        sites=words.number(projects["site"].nunique()), built=built,
        capex=words.money(figures["capex"]), energy=words.amount(figures["energy"], "MWh/a"),
        share=words.percent(figures["used_on_site_share"], 0), co2=words.amount(figures["co2"], "tCO2/a"),
    )  # fmt: skip


def _centre_answer(plan: PlanFacts, words: Words) -> str:
    figures = plan.figures
    done = []
    if figures["num_retrofits"]:
        done.append(
            words.plural("retrofit {n} data centre", "retrofit {n} data centres", figures["num_retrofits"])
        )
    if figures["num_closed"]:
        done.append(
            words.plural(
                "close {n} small room and move its load",
                "close {n} small rooms and move their load",
                figures["num_closed"],
            )
        )
    if figures["num_heat_links"]:
        done.append(
            words.plural("lay {n} waste-heat link", "lay {n} waste-heat links", figures["num_heat_links"])
        )
    if figures["num_offers"]:
        done.append(
            words.plural("take {n} tendered offer", "take {n} tendered offers", figures["num_offers"])
        )
    if not done:
        return _nothing(words)
    told = words.listed(done)
    return words.text(
        "{done} for {capex}: this saves {energy} of electricity and avoids {co2}.",
        done=told[:1].upper() + told[1:], capex=words.money(figures["capex_cny"]),
        energy=words.amount(figures["energy"], "MWh/a"), co2=words.amount(figures["co2"], "tCO2/a"),
    )  # fmt: skip


def _water_answer(plan: PlanFacts, words: Words) -> str:
    figures = plan.figures
    if plan.table("plants").empty and plan.table("users").empty:
        return _nothing(words)
    return words.text(
        "Upgrade {plants}, lay {pipes} of pipe and connect {users} for {capex}: {volume} of reclaimed water "
        "replaces fresh water, and {tn} of nitrogen stays out of the estuary.",
        plants=words.plural("{n} plant", "{n} plants", plan.table("plants")["plant"].nunique()),
        pipes=words.number(float(plan.table("pipes")["length_m"].sum()) / 1000.0, "km", 0),
        users=words.plural("{n} user", "{n} users", plan.table("users")["user"].nunique()), capex=words.money(figures["capex_cny"]),
        volume=words.amount(figures["volume"], "m3/a"), tn=words.amount(figures["tn"], "kg/a"),
    )  # fmt: skip


def _nothing(words: Words) -> str:
    return words.text("Build nothing: nothing is worth its money under these targets and budgets.")


_ANSWERS: Mapping[str, Callable[[PlanFacts, Words], str]] = {
    "pv_siting": _pv_answer,
    "datacenter": _centre_answer,
    "water": _water_answer,
}


def key_figures(run: RunFacts, words: Words) -> list[KeyFigure]:
    """Four figures of a run."""
    worth = KeyFigure(
        _goal_name(run.summary, words),
        goal_amount(run.summary, run.summary["objective"], words),
        certainty_in_short(run.summary, words),
    )
    if run.is_city:
        price = run.summary["price_of_silos"]
        together = words.text("against today's fixed shares") if price["found"] is not None else ""
        shared = [name for name in ("co2", "energy") if name in run.figures]
        return [
            worth,
            KeyFigure(
                words.text("Public money"),
                words.money(public_cny(run)),
                words.plural("in {n} year", "over {n} years", len(run.years)),
            ),
            *(
                KeyFigure(
                    words.figure_name(name),
                    words.amount(run.figures[name], "tCO2/a" if name == "co2" else "MWh/a"),
                )
                for name in shared[:1]
            ),
            KeyFigure(
                words.text("Worth of planning together"),
                goal_amount(run.summary, price["found"], words),
                together,
            ),
        ]
    figures = run.figures
    capex = KeyFigure(words.text("Investment"), words.money(figures["capex" if "capex" in figures else "capex_cny"]),
                      words.text("{money} of it public money", money=words.money(public_cny(run))))  # fmt: skip
    co2 = KeyFigure(words.text("CO₂ avoided a year"), words.amount(figures["co2"], "tCO2/a"))
    if run.programme == "pv_siting":
        more = [
            KeyFigure(
                words.text("Generation a year"),
                words.amount(figures["energy"], "MWh/a"),
                words.text("{share} used on site", share=words.percent(figures["used_on_site_share"], 0)),
            ),
            co2,
        ]
    elif run.programme == "datacenter":
        pue = words.text(
            "PUE of those retrofitted {before} → {after}",
            before=words.number(figures["pue_before_of_treated"], digits=2),
            after=words.number(figures["pue_after_of_treated"], digits=2),
        )
        more = [
            KeyFigure(
                words.text("Electricity saved a year"),
                words.amount(figures["energy"], "MWh/a"),
                pue if figures["num_retrofits"] else "",
            ),
            co2,
        ]
    else:
        more = [
            KeyFigure(words.text("Reclaimed water used"), words.amount(figures["volume"], "m3/a")),
            KeyFigure(words.text("Nitrogen kept out of the estuary"), words.amount(figures["tn"], "kg/a")),
        ]
    return [worth, capex, *more]


def certainty_in_short(summary: Mapping[str, Any], words: Words) -> str:
    """Under a figure: how far it can be from the best."""
    if summary["gap"] is None:
        return words.text("no bound is proven")
    if summary["gap"] <= _ROUNDING:
        return words.text("proven: no plan is better")
    if summary["gap"] > _WIDE_GAP:
        return words.text("a plan up to {gap} better cannot be ruled out", gap=words.percent(summary["gap"]))
    return words.text("no plan can be more than {gap} better", gap=words.percent(summary["gap"]))


def certainty(summary: Mapping[str, Any], words: Words) -> str:
    """The proof in plain words."""
    plan, bound, unit = summary["objective"], summary["bound"], str(summary["goal_unit"])
    goal = _goal_name(summary, words)
    if bound is None:
        return words.text(
            "Nothing is proven about how good other plans could be: the search found this one, and no bound."
        )
    if summary["gap"] <= _ROUNDING:
        return words.text(
            "This is the best plan there is under these targets, budgets and data: that is proven."
        )
    told = words.text(
        "{goal} of this plan: {plan}. No plan that keeps the same targets and budgets can get beyond {bound}: that is proven, whatever "
        "anyone might still try. At most {distance} ({gap}) could be gained by searching on.",
        goal=goal, plan=words.amount(plan, unit), bound=words.amount(bound, unit),
        distance=words.amount(abs(bound - plan), unit), gap=words.percent(summary["gap"]),
    )  # fmt: skip
    if summary["gap"] > _WIDE_GAP:
        told = words.sentences(
            [
                told,
                words.text(
                    "That is a wide margin. The plan can be carried out as it stands and everything in it is checked, but a clearly better one may "
                    "exist; more time for the search narrows the margin from both sides."
                ),
            ]
        )
    return told


def how_sure(run: RunFacts, words: Words) -> list[str]:
    """Sentences on proof, check and search; a stress test is told apart."""
    summary = run.summary
    told = [certainty(summary, words)]
    certificate = summary.get("certificate")
    if certificate is not None and certificate["gap"] is not None:
        told.append(words.text(
            "A bound of {bound} ({gap} from the plan) can be recomputed by anyone from the stored multipliers and the raw tables alone; "
            "“optimize verify” does so.",
            bound=goal_amount(summary, certificate["bound"], words), gap=words.percent(certificate["gap"]),
        ))  # fmt: skip
    told.append(words.text(
        "An independent check recomputed {rows} rows and figures of the plan from the raw tables and found no violation. Every figure "
        "of this report is the checker's.",
        rows=words.number(summary["rows_checked"]),
    ))  # fmt: skip
    missed = [clause for _, clause in run.clauses if not clause["met"]]
    if missed:
        told.append(words.plural(
            "{n} soft target is missed and paid for in the goal: {names}.", "{n} soft targets are missed and paid for in the goal: {names}.",
            len(missed), names=words.listed(list(dict.fromkeys(clause["id"] for clause in missed))),
        ))  # fmt: skip
    told.append(words.text(
        "The search ended after {seconds}: {reason}.", seconds=words.duration(float(summary["seconds"])),
        reason=words.value("stop_reason", str(summary["stop_reason"])),
    ))  # fmt: skip
    told.append(words.text(
        "All of this holds for the data as they are. How far they can be trusted is told under “Data and their grades”; what happens "
        "if costs, yields or prices turn out otherwise is what a stress test tells."
    ))  # fmt: skip
    return told


def silo_words(run: RunFacts, words: Words) -> list[str]:
    """Of a joint run: what planning together is worth against today's fixed shares, and how sure that is."""
    summary, unit = run.summary, str(run.summary["goal_unit"])
    silos, price = summary["silos"], summary["price_of_silos"]
    if silos["objective"] is None:
        return [words.text("On today's fixed shares of the money there is no plan that meets the targets.")]
    found, least, most = price["found"], price["at_least"], price["at_most"]
    base = abs(float(silos["objective"]))
    if found is None or abs(found) <= 1e-7 * max(base, 1.0):
        return [
            words.text(
                "Planning together is worth nothing here: the fixed shares are already the best split."
            )
        ]
    told = [words.text(
        "Planning together is worth {found} ({share}): this plan against the best one found on today's fixed shares.",
        found=words.amount(abs(found), unit), share=words.percent(abs(found) / base) if base else words.text("not comparable"),
    )]  # fmt: skip
    if most is None:
        told.append(
            words.text(
                "For certain it is at least {least}; no upper limit is proven.",
                least=words.amount(least, unit),
            )
        )
    else:
        told.append(words.text(
            "For certain it lies between {least} and {most}, because better plans may exist on either side.",
            least=words.amount(least, unit), most=words.amount(most, unit),
        ))  # fmt: skip
    return told


def _goal_name(summary: Mapping[str, Any], words: Words) -> str:
    shown = words.either(str(summary["goal_zh"]), str(summary["goal_en"]))
    return shown[:1].upper() + shown[1:]
