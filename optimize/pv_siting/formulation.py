"""Public-sector PV siting in Pyomo, numbered as in ``docs/formulations/pv_siting.md``.

==================  ==========================================================================
Sets
==================  ==========================================================================
o in OPTIONS        options of all sites (`options.derive_options`): (P1) energy from the weather
                    and hourly profiles, (P2) only what fits, (P11) contracts an investor takes
s in SITES          institutions; O(s) the options of s
f, t                money sources (`municipal`, districts, `owner`) and investment years 0..T-1
==================  ==========================================================================

==================  ==========  ==============================================================
Variables           unit        meaning
==================  ==========  ==============================================================
option_chosen[o]    binary      the option is carried out
carried_over[f,t]   CNY         money of source f and year t used in year t + 1
shortfall[c]        clause's    what is missing of a soft clause c
==================  ==========  ==============================================================

===========================  =================================================================
Constraint                   statement
===========================  =================================================================
one_option_per_site          (P3) sum_{o in O(s)} x_o <= 1
required_sites_get_one       (P3) sum_{o in O(s)} x_o >= 1 where locked in or `must_choose`
together                     (lock) sum_{O(a)} x = sum_{O(b)} x
not_together                 (lock) sum_{O(a)} x + sum_{O(b)} x <= 1
capacity_target              (P4) [PV-50MW] sum kW x + shortfall >= required
spending_within_budget       (P5) sum payments_{o,f,t} x_o <= B_ft + carried_{f,t-1}
carry_within_unspent         (P5) carried_ft <= share (B_ft + carried_{f,t-1} - spent_ft)
paid_by_own_level            (P5) [PV-FUND] sum wrong_o x_o - shortfall <= required
feeder_hosts                 (P6) sum hosting kW x <= capacity left on the feeder
substation_hosts             (P6) the same by substation
lead_share                   (P7) [PV-LEAD] sum (lead_o - share) kW_o x_o + R shortfall >= 0
first_share                  (P7) for each t: sum_{built by t} (first_o - share) kW_o x_o >= 0
counts                       (P8) [PV-BIPV/CARPORT/HEAT/FLEX] sum counted_o x_o + shortfall >= n
district_minimum             (P9) sum_{o in district, in time} kW x >= minimum
installers                   (P10) sum_{o in year t} kW x <= capacity
contracts                    (P11) [PV-EMC] sum contract_o x_o + shortfall >= n
effects                      (P12) [PV-ENERGY], [PV-CO2] sum effect_o x_o + shortfall >= required
contracts_stand              (P13) sum_{o in O(s)} x_o >= 1 where s is contracted or later
changes_limited              (P13) [CITY-REVISE] c_0 + sum c_o x_o - shortfall <= required
===========================  =================================================================

R is ``pv_siting.reference_capacity_kw``: one missing unit of share is worth R missing kW at leading
sites.  A clause counts projects of years up to its deadline.  Effects (energy, CO2) are those of the
year after the last investment year.  c_o is what an option changes of the plan in force, c_0 what they
are when nothing is chosen (`changes`).  Goals: npv (less penalties and cancellation costs), cost (plus
both), energy, co2, capacity, changes.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
import pandas as pd
from pyomo.core.expr import LinearExpression
from pyomo.environ import (
    Binary,
    ConcreteModel,
    Constraint,
    NonNegativeReals,
    Objective,
    Set,
    Var,
    maximize,
    minimize,
)

from optimize.clauses import REVISE
from optimize.engine.pyomo_bridge import ElasticConstraint, elastic_budgets, solve_model
from optimize.engine.stopping import Watch
from optimize.milp import OTHER
from optimize.programme import SolveOptions
from optimize.pv_siting.extraction import extract_solution
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import (
    CAPACITY,
    CONTRACTS,
    COUNTS,
    EFFECTS,
    FUND,
    LEAD,
    MINIMISED,
    Limits,
    derive_limits,
)
from optimize.pv_siting.options import Options, derive_options
from optimize.pv_siting.solution import Solution
from optimize.result import Result


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Build the model and solve it for ``options.goal``."""
    watch = Watch(options, maximise=options.goal[-1] not in MINIMISED)
    candidates = derive_options(instance)
    limits = derive_limits(instance, candidates)
    model = build_model(instance, candidates, limits)
    outcome = solve_model(model, options, elastic_constraints(instance, model, limits), watch)
    solution = None
    if outcome.x is not None:
        value = outcome.value(model.option_chosen)
        chosen = np.array([o for o, x in value.items() if x > 0.5], dtype=np.int64)
        solution = extract_solution(
            instance, candidates, chosen, _carried_over(instance, candidates, model, outcome)
        )
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=outcome.objective,
        bound=outcome.bound,
        maximise=outcome.maximise,
        goal=options.goal,
        engine="formulation",
        trace=outcome.trace,
        timings=outcome.timings,
        relaxations=outcome.relaxations,
    )


def build_model(instance: Instance, candidates: Options, limits: Limits) -> ConcreteModel:
    """The whole model over the given options."""
    m = ConcreteModel("pv_siting")
    m.option_chosen = Var(range(len(candidates)), domain=Binary)
    m.nothing = Var(bounds=(0.0, 0.0))  # keeps a row a row when no option can serve it
    chosen = list(m.option_chosen.values())

    def total(coefficient, members=None):
        if members is None:
            members = np.flatnonzero(coefficient)
        values = np.broadcast_to(coefficient, len(candidates))[members]
        return LinearExpression(
            constant=0.0,
            linear_coefs=[*values.tolist(), 1.0],
            linear_vars=[*(chosen[o] for o in members), m.nothing],
        )

    _add_choice(m, instance, candidates, limits, total)
    _add_targets(m, limits, total)
    _add_budgets(m, instance, candidates, limits, chosen)
    _add_grid(m, candidates, limits, total)
    _add_order(m, instance, candidates, limits, total)
    _add_capacities(m, instance, candidates, limits, total)
    _add_goals(m, candidates, limits, total)
    return m


def _members(group, count):
    """Options of each group 0..count-1 (options with -1 belong to none)."""
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(count + 1))
    return [order[edges[g] : edges[g + 1]] for g in range(count)]


def _add_choice(m, instance, candidates, limits, total):
    of_site = _members(candidates.site, len(instance.sites))
    m.SITES = Set(initialize=[s for s, members in enumerate(of_site) if len(members)])

    @m.Constraint(m.SITES, doc="(P3)")
    def one_option_per_site(m, s):
        return total(1.0, of_site[s]) <= 1.0

    @m.Constraint(range(len(limits.required)), doc="(P3) locks and must_choose")
    def required_sites_get_one(m, k):
        return total(1.0, of_site[limits.required[k].site]) >= 1.0

    @m.Constraint(
        [s for s, members in enumerate(of_site) if limits.changes.frozen[members].any()], doc="(P13)"
    )
    def contracts_stand(m, s):
        return total(1.0, of_site[s]) >= 1.0

    @m.Constraint(range(len(limits.together)), doc="(locks)")
    def together(m, k):
        a, b = limits.together[k]
        return total(1.0, of_site[a]) - total(1.0, of_site[b]) == 0.0

    @m.Constraint(range(len(limits.not_together)), doc="(locks)")
    def not_together(m, k):
        a, b = limits.not_together[k]
        return total(1.0, of_site[a]) + total(1.0, of_site[b]) <= 1.0


_COMPONENT_OF_CLAUSE = {
    CAPACITY: ("capacity_target", "(P4)"),
    FUND: ("paid_by_own_level", "(P5)"),
    LEAD: ("lead_share", "(P7)"),
    **dict.fromkeys(COUNTS, ("counts", "(P8)")),
    CONTRACTS: ("contracts", "(P11)"),
    **dict.fromkeys(EFFECTS, ("effects", "(P12)")),
    REVISE: ("changes_limited", "(P13)"),
}


def _add_targets(m, limits, total):
    rows = {row.target.id: row for row in limits.targets}
    soft = [clause for clause, row in rows.items() if not row.target.hard]
    m.shortfall = Var(soft, domain=NonNegativeReals)
    for clause in soft:
        m.shortfall[clause].setub(rows[clause].shortfall_bound)
    for name, doc in dict.fromkeys(_COMPONENT_OF_CLAUSE.values()):
        clauses = [c for c in rows if _COMPONENT_OF_CLAUSE[c][0] == name]

        def statement(m, clause):
            row = rows[clause]
            missing = row.per_unit * m.shortfall[clause] if clause in m.shortfall else 0.0
            if row.is_cap:
                return total(row.coefficient) - missing <= row.side
            return total(row.coefficient) + missing >= row.side

        m.add_component(name, Constraint(clauses, rule=statement, doc=doc))


def _add_budgets(m, instance, candidates, limits, chosen):
    num_years = instance.num_years
    budget, share = limits.budget_cny, instance.carry_over_share
    purse = candidates.payment_source * num_years + candidates.payment_year
    entries = _members(purse, len(budget) * num_years)

    def spent(f, t):
        paid = entries[f * num_years + t]
        return LinearExpression(
            constant=0.0,
            linear_coefs=[*candidates.payment_cny[paid].tolist(), 1.0],
            linear_vars=[*(chosen[o] for o in candidates.payment_option[paid]), m.nothing],
        )

    carrying = share > 0
    pairs = [
        (int(f), t) for f in limits.limited_sources for t in range(num_years) if np.isfinite(budget[f, t])
    ]
    m.carried_over = Var(pairs if carrying else [], domain=NonNegativeReals)
    for f, t in m.carried_over:
        m.carried_over[f, t].setub(float(budget[f, : t + 1][np.isfinite(budget[f, : t + 1])].sum()) * share)

    def available(m, f, t):
        received = (f, t - 1) in m.carried_over
        return budget[f, t] + (m.carried_over[f, t - 1] if received else 0.0)

    @m.Constraint(pairs, doc="(P5)")
    def spending_within_budget(m, f, t):
        return spent(f, t) - (available(m, f, t) - budget[f, t]) <= budget[f, t]

    @m.Constraint(pairs if carrying else [], doc="(P5)")
    def carry_within_unspent(m, f, t):
        return m.carried_over[f, t] - share * (available(m, f, t) - spent(f, t)) <= 0.0


def _add_grid(m, candidates, limits, total):
    of_feeder = _members(limits.feeder, len(limits.feeder_left_kw))
    of_substation = _members(limits.substation, len(limits.substation_left_kw))

    @m.Constraint([g for g, o in enumerate(of_feeder) if len(o)], doc="(P6)")
    def feeder_hosts(m, g):
        return total(candidates.hosting_kw, of_feeder[g]) <= limits.feeder_left_kw[g]

    @m.Constraint([g for g, o in enumerate(of_substation) if len(o)], doc="(P6)")
    def substation_hosts(m, g):
        return total(candidates.hosting_kw, of_substation[g]) <= limits.substation_left_kw[g]


def _add_order(m, instance, candidates, limits, total):
    share = instance.pv.first_share

    @m.Constraint(range(instance.num_years) if share > 0 else [], doc="(P7)")
    def first_share(m, t):
        standing = candidates.year <= t
        return total((limits.first - share) * candidates.kw * standing) >= limits.first_side_kw[t]


def _add_capacities(m, instance, candidates, limits, total):
    @m.Constraint(range(len(limits.minimum_kw)), doc="(P9)")
    def district_minimum(m, k):
        counted = (limits.district == limits.minimum_district[k]) & (
            candidates.year <= limits.minimum_year[k]
        )
        return total(candidates.kw * counted) >= limits.minimum_kw[k]

    @m.Constraint(np.flatnonzero(np.isfinite(limits.installer_kw)).tolist(), doc="(P10)")
    def installers(m, t):
        return total(candidates.kw * (candidates.year == t)) <= limits.installer_kw[t]


def _add_goals(m, candidates, limits, total):
    price = {r.target.id: r.target.penalty_cny_per_unit for r in limits.targets}
    penalty = sum(price[clause] * m.shortfall[clause] for clause in m.shortfall)
    changes = limits.changes
    owed = changes.owed_for_nothing_cny
    npv, cost = candidates.npv_cny - changes.owed_cny, candidates.cost_cny + changes.owed_cny
    m.goal_npv = Objective(expr=total(npv) - owed - penalty, sense=maximize)
    m.goal_cost = Objective(expr=total(cost) + owed + penalty, sense=minimize)
    m.goal_energy = Objective(expr=total(candidates.energy_mwh), sense=maximize)
    m.goal_co2 = Objective(expr=total(candidates.co2_t), sense=maximize)
    m.goal_capacity = Objective(expr=total(candidates.kw), sense=maximize)
    m.goal_changes = Objective(expr=total(changes.weight) + changes.weight_of_nothing, sense=minimize)


def elastic_constraints(instance: Instance, m: ConcreteModel, limits: Limits) -> list[ElasticConstraint]:
    """The policy rows that may give way when they cannot all hold."""
    elastic = []
    for row in limits.targets:
        if row.target.hard:
            name = _COMPONENT_OF_CLAUSE[row.target.id][0]
            elastic.append(
                ElasticConstraint(
                    clause=row.target.id,
                    where="",
                    unit=row.target.clause.unit,
                    constraint=getattr(m, name)[row.target.id],
                    required=row.target.required,
                    per_unit=row.per_unit,
                    is_cap=row.is_cap,
                )
            )
    sources = ("municipal", *instance.districts["district"], "owner")
    budgets = list(m.spending_within_budget)
    carried = m.component("carry_within_unspent")
    elastic += elastic_budgets(
        [f"{sources[f]} {instance.base_year + t}" for f, t in budgets],
        [float(limits.budget_cny[key]) for key in budgets],
        [m.spending_within_budget[key] for key in budgets],
        [carried[key] if carried is not None and key in carried else None for key in budgets],
        instance.carry_over_share,
    )
    for t in m.first_share:
        elastic.append(
            ElasticConstraint(
                "order", str(instance.base_year + t), "share", m.first_share[t],
                instance.pv.first_share, per_unit=instance.pv.reference_capacity_kw, rank=OTHER,
            )
        )  # fmt: skip
    for k in m.district_minimum:
        district = instance.districts["district"].iloc[limits.minimum_district[k]]
        elastic.append(
            ElasticConstraint(
                "district minimum", str(district), "kW", m.district_minimum[k], float(limits.minimum_kw[k])
            )
        )
    for t in m.installers:
        elastic.append(
            ElasticConstraint(
                "installers", str(instance.base_year + t), "kW", m.installers[t],
                float(limits.installer_kw[t]), is_cap=True, rank=OTHER,
            )
        )  # fmt: skip
    for k in m.required_sites_get_one:
        required = limits.required[k]
        site = str(instance.sites["site"].iloc[required.site])
        elastic.append(
            ElasticConstraint(required.reason, site, "count", m.required_sites_get_one[k], 1.0, rank=OTHER)
        )
    return elastic


def _carried_over(instance, candidates, m, outcome):
    rows = [
        (candidates.source_names[f], instance.base_year + t, amount)
        for (f, t), amount in outcome.value(m.carried_over).items()
        if amount > 0.0
    ]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])
