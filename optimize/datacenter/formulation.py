"""Data-centre retrofit and consolidation: the model in Pyomo.

Sets
----
O            options, each of one centre ``i(o)``; the first of a centre is "nothing" (R1, R2)
I            centres; F funding sources; T investment years 0..num_years-1
S, Z, G      trades, zones, redundancy groups; H, K hosts, heat sinks; M months; C clauses

Variables
---------
chosen[o]        1 if option o is chosen                                      binary
carried_over[f,t]  money of source f of year t usable in year t+1             CNY, >= 0
shortfall[c]     missing units of a soft clause                               unit of c, >= 0

Data of an option (`options`, `linking`): pay[o,f,t] CNY, weeks[o,s,t], works[o,t] 0/1, load_kw[i],
moved_kw[o,h,t], heat_kwh[o,k,m], counts[o,c] in units of clause c times its scale, npv[o], cost[o] CNY,
energy[o] MWh/a, co2[o] tCO2/a.  Packages are exact products of what their measures leave (R1);
they are enumerated, and dominated ones dropped by the rule argued in `packages`.

Equations
---------
(R2)   one_option_per_centre[i]     sum_{o of i} chosen[o] = 1
(R3)   spent_within_budget[f,t]     sum_o pay[o,f,t] chosen[o] <= B[f,t] + carried_over[f,t-1]
(R3)   carried_over_is_unspent[f,t] carried_over[f,t] <= share (B[f,t] + carried_over[f,t-1] - spent[f,t])
(R4)   weeks_within_trade[s,t]      sum_o weeks[o,s,t] chosen[o] <= W[s,t]
(R5)   works_within_zone_share[z,t] sum_o works[o,t] load_kw[i(o)] chosen[o] <= share[z] sum_{i in z} load_kw[i]
(R5)   partners_never_together[g,t] sum_{o of g} works[o,t] chosen[o] <= 1
(R6)   moved_within_host[h,t]       sum_o moved_kw[o,h,t] chosen[o] <= capacity[h,t] - own load[h,t]
(R7)   heat_within_sink[k,m]        sum_o heat_kwh[o,k,m] chosen[o] <= demand[k,m]
(R8-R12) target_met[c]              sum_o counts[o,c] chosen[o] + scale shortfall[c] >= scale required[c]
         cap_kept[c]                sum_o counts[o,c] chosen[o] - scale shortfall[c] <= scale required[c]
         R8 DC-GREEN, DC-BATT, DC-TECH; R9 DC-PUE, DC-CLOSE; R10 DC-LIMIT; R11 DC-ENERGY, DC-CO2,
         and DC-HEAT; R12 DC-WATER; R13 CITY-REVISE, less what the changes are where nothing is done
(lock) together_both_or_none, not_together_at_most_one; the other locks bound ``chosen``

What is contracted has one option, and "nothing" is not allowed (R13).  Goals: npv = sum npv chosen - penalties -
cancellation costs (max); cost = sum cost chosen + both (min); energy, co2 (max); changes (min).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr import LinearExpression

from optimize.datacenter import linking
from optimize.datacenter.changes import derive_changes
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.options import Options, derive_options
from optimize.datacenter.payments import derive_payments
from optimize.datacenter.plan import plan_from_choice
from optimize.datacenter.solution import Solution
from optimize.engine.pyomo_bridge import ElasticConstraint, elastic_budgets, solve_model
from optimize.engine.stopping import Watch
from optimize.milp import OTHER
from optimize.programme import SolveOptions
from optimize.result import Result


def build_model(instance: Instance, options: Options) -> pyo.ConcreteModel:
    """The model over the given options."""
    model = pyo.ConcreteModel("data_centres")
    model.O = pyo.RangeSet(0, len(options) - 1)
    model.I = pyo.Set(initialize=list(instance.centres["centre"]))
    model.chosen = pyo.Var(model.O, domain=pyo.Binary)
    for option in np.flatnonzero(~options.allowed):
        model.chosen[int(option)].setub(0)
    _one_option_per_centre(model, instance, options)
    _budgets(model, instance, options)
    _physical_limits(model, instance, options)
    _clauses(model, instance, options)
    _pair_locks(model, instance, options)
    _goals(model, instance, options)
    return model


def _sum(model, members, amounts):
    """sum amounts[j] * chosen[members[j]] as one linear expression."""
    return LinearExpression(
        constant=0.0,
        linear_coefs=[float(a) for a in amounts],
        linear_vars=[model.chosen[int(o)] for o in members],
    )


def _sums_by_row(model, use):
    """Expression of every row of a `linking.Use`; None for a row without entries."""
    members, amounts = defaultdict(list), defaultdict(list)
    for row, option, amount in zip(use.row.tolist(), use.option.tolist(), use.amount.tolist(), strict=True):
        members[row].append(option)
        amounts[row].append(amount)
    return {key: _sum(model, members[r], amounts[r]) for r, key in enumerate(use.keys) if members[r]}


def _one_option_per_centre(model, instance, options):
    bounds = np.searchsorted(options.centre, np.arange(len(instance.centres) + 1))
    own = {name: range(bounds[k], bounds[k + 1]) for k, name in enumerate(instance.centres["centre"])}
    model.one_option_per_centre = pyo.Constraint(  # (R2)
        model.I, rule=lambda m, i: _sum(m, own[i], np.ones(len(own[i]))) == 1
    )


def _budgets(model, instance, options):
    use = linking.budget_use(instance, derive_payments(instance, options))
    spent = _sums_by_row(model, use)
    budget = dict(zip(use.keys, use.limit.tolist(), strict=True))
    share = float(instance.parameters["budgets.carry_over_share"])
    last = instance.base_year + instance.num_years - 1
    carrying = [key for key in use.keys if share > 0 and key[1] < last]
    model.FT = pyo.Set(initialize=use.keys, dimen=2)
    model.carried_over = pyo.Var(pyo.Set(initialize=carrying, dimen=2), domain=pyo.NonNegativeReals)

    def available(m, source, year):
        before = (source, year - 1)
        carried = m.carried_over[before] if before in m.carried_over else 0.0  # noqa: SIM401
        return budget[source, year] + carried

    model.spent_within_budget = pyo.Constraint(  # (R3)
        model.FT,
        rule=lambda m, f, t: spent[f, t] <= available(m, f, t) if (f, t) in spent else pyo.Constraint.Skip,
    )
    model.carried_over_is_unspent = pyo.Constraint(  # (R3)
        list(carrying),
        rule=lambda m, f, t: m.carried_over[f, t] <= share * (available(m, f, t) - spent.get((f, t), 0.0)),
    )
    model.budget_cny = budget
    model.carry_over_share = share


def _physical_limits(model, instance, options):
    uses = {
        "weeks_within_trade": linking.trade_use(instance, options),  # (R4)
        "works_within_zone_share": linking.zone_use(instance, options),  # (R5)
        "partners_never_together": linking.partner_use(instance, options),  # (R5)
        "moved_within_host": linking.host_use(instance, options),  # (R6)
        "heat_within_sink": linking.sink_use(instance, options),  # (R7)
    }
    model.limits = {}
    for name, use in uses.items():
        sums = _sums_by_row(model, use)
        limit = dict(zip(use.keys, use.limit.tolist(), strict=True))
        model.limits[name] = limit
        constraint = pyo.Constraint(
            list(sums), rule=lambda m, k, t, sums=sums, limit=limit: sums[k, t] <= limit[k, t]
        )
        model.add_component(name, constraint)


def _clauses(model, instance, options):
    rows = {clause.target.id: clause for clause in linking.clause_rows(instance, options)}
    soft = [name for name, clause in rows.items() if not clause.target.hard]
    model.shortfall = pyo.Var(soft, domain=pyo.NonNegativeReals)

    def missing(m, c):
        return rows[c].scale * m.shortfall[c] if c in m.shortfall else 0.0

    def reached(m, c):
        return _sum(m, rows[c].option, rows[c].amount)

    def side(c):
        return rows[c].side

    targets = [name for name, clause in rows.items() if clause.target.clause.sense == ">="]
    caps = [name for name in rows if name not in targets]
    # A row without any option can be met only by its shortfall; kept so that it is seen.
    model.idle = pyo.Var(bounds=(0, 0))
    model.target_met = pyo.Constraint(  # (R8, R9, R11)
        targets, rule=lambda m, c: reached(m, c) + missing(m, c) + m.idle >= side(c)
    )
    model.cap_kept = pyo.Constraint(  # (R10, R12)
        caps, rule=lambda m, c: reached(m, c) - missing(m, c) + m.idle <= side(c)
    )
    model.penalty_cny = {name: rows[name].target.penalty_cny_per_unit for name in soft}
    model.clause_rows = rows


def _pair_locks(model, instance, options):
    pairs = linking.pair_locks(instance, options)
    idle = {
        kind: {(i, j): (a, b) for k, i, j, a, b in pairs if k == kind}
        for kind in ("together", "not_together")
    }
    model.together_both_or_none = pyo.Constraint(
        list(idle["together"]),
        rule=lambda m, i, j: m.chosen[idle["together"][i, j][0]] == m.chosen[idle["together"][i, j][1]],
    )
    model.not_together_at_most_one = pyo.Constraint(
        list(idle["not_together"]),
        rule=lambda m, i, j: sum(m.chosen[o] for o in idle["not_together"][i, j]) >= 1,
    )


def _goals(model, instance, options):
    everything = np.arange(len(options))
    penalties = pyo.quicksum(model.penalty_cny[c] * model.shortfall[c] for c in model.penalty_cny)
    changes = derive_changes(instance, options)
    owed = _sum(model, everything, changes.owed_cny) + changes.owed_for_nothing_cny
    model.goal_npv = pyo.Objective(
        expr=_sum(model, everything, options.npv_cny) - owed - penalties, sense=pyo.maximize
    )
    model.goal_cost = pyo.Objective(
        expr=_sum(model, everything, options.cost_cny) + owed + penalties, sense=pyo.minimize
    )
    model.goal_changes = pyo.Objective(
        expr=_sum(model, everything, changes.weight) + changes.weight_of_nothing, sense=pyo.minimize
    )
    model.goal_energy = pyo.Objective(expr=_sum(model, everything, options.energy_mwh), sense=pyo.maximize)
    model.goal_co2 = pyo.Objective(expr=_sum(model, everything, options.co2_t), sense=pyo.maximize)


def elastic_constraints(model: pyo.ConcreteModel) -> list[ElasticConstraint]:
    """Statements that may give way when the plan asked for does not exist."""
    budgets = list(model.spent_within_budget)
    carried = dict(model.carried_over_is_unspent.items())
    elastic = elastic_budgets(
        [f"{f} {t}" for f, t in budgets],
        [float(model.budget_cny[key]) for key in budgets],
        [model.spent_within_budget[key] for key in budgets],
        [carried.get(key) for key in budgets],
        model.carry_over_share,
    )
    for name, label, unit in (
        ("weeks_within_trade", "contractor weeks", "week"),
        ("works_within_zone_share", "zone works share", "kW"),
        ("moved_within_host", "host capacity", "kW"),
    ):
        elastic += [
            ElasticConstraint(
                label, f"{key} {t}", unit, row, model.limits[name][key, t], is_cap=True, rank=OTHER
            )
            for (key, t), row in model.component(name).items()
        ]
    for component, is_cap in ((model.target_met, False), (model.cap_kept, True)):
        for clause, row in component.items():
            target = model.clause_rows[clause].target
            if target.hard:
                scale = model.clause_rows[clause].scale
                elastic.append(
                    ElasticConstraint(
                        clause, "", target.clause.unit, row, target.required, per_unit=scale, is_cap=is_cap
                    )
                )
    return elastic


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Build the Pyomo model, solve it, return the plan."""
    watch = Watch(options, options.goal[-1] not in ("cost", "changes"))
    choices = derive_options(instance, options.goal)
    model = build_model(instance, choices)
    built = watch.seconds()
    outcome = solve_model(model, options, elastic=elastic_constraints(model), watch=watch)
    solution = None
    if outcome.x is not None:
        values = outcome.value(model.chosen)
        chosen = np.array([values[o] > 0.5 for o in range(len(choices))])
        solution = plan_from_choice(instance, choices, np.flatnonzero(chosen & (choices.kind != NOTHING)))
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=outcome.objective,
        bound=outcome.bound,
        maximise=outcome.maximise,
        goal=options.goal,
        engine="formulation",
        trace=outcome.trace,
        timings={"build_s": built, **outcome.timings},
        relaxations=outcome.relaxations,
    )
