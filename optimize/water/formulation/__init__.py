"""The reclaimed-water model in Pyomo, as one reads it in a paper.

Sets: n nodes (plants p, junctions, users u), q demands, g qualities, e corridors (direction a: 0 along,
1 against), d diameters, k module sizes, h storage sites, c cascades, t periods, s stages.  A stage is a
build year; all variables of it describe the state once everything built up to that year stands, which
operates from the next year on (growth: the part reached by then).  Unless ``water.phased``, there is one
stage: everything is built in the base year out of the budgets of all years together.

Variables (m3/d unless said)
  pipe_built[e,g,d,s] module_built[k,s] user_connected[u,s] tanker_served[u,s] storage_built[h,s]
  cascade_built[c,s] zld_built[i,s]                                   stands by stage s, binary, never taken away
  growth_refused[u,s] plant_upgraded[p,s] feed_used[u,e,a] pilot_done[i] system_unbalanced[y,g]   binary
  mix_used[kind,i,m,s]                                                binary, only where several mixes are open
  flow[e,a,g,s,t] product[p,g,s,t] delivered[q,g,s,t] hauled[q,g,s,t] reused[c,s,t]   >= 0
  stored_in[h,s,t] stored_out[h,s,t] >= 0, level[h,s,t] m3;  carry[f,s] CNY;  shortfall[clause,where] its unit

Equations
  (W1) sum_g product/recovery <= effluent less ecological discharge; product <= standing + built modules, at most
       one new size per plant and quality; nitrogen left in the discharge within the plant's limit (the concentrate
       returns what the product does not keep out)
  (W2) at most one new diameter per corridor and quality; |flow| <= existing + built capacity.  Direction may
       differ between periods.  Within one, flows of one quality both ways cancel: carrying costs are not
       negative, so the net flow (which is what the plan holds) is never worse and needs no binary
  (W3) conservation at every node, quality, period.  Users accept qualities by table; water is not mixed in pipes
  (W4) capacities of pipes, modules, cascades.  Flow is also bounded by what accepting users can take
  (W5) storage: level over the cyclic year; on the peak day (last period, no days of its own, demand of the
       highest month times the user's peak factor) a site gives at most its volume.  The minimum take holds
       on that day too: it sizes the works
  (W6) min take <= sum_g delivered <= demand if connected; tanker instead of a pipe, from the plant named; a user
       is piped, tankered or refused growth, at most one; single feed
  (W7) [W-QUOTA] listed users connected or refused growth.  Refusing forgoes growth at a stated loss per m3
  (W8) [W-CASCADE] a giver's effluent: share of its own use, reduced by refused growth; a source at its node
  (W9) [W-PILOT] and [W-ZLD] counts; a pilot needs connected members and volume, by kind and district
  (W10) [W-PRICE] per price system and quality: revenue at the highest price a user would pay covers cost.  Plants,
       corridors and users belong to a system by table; trade between systems is not priced
  (W11) [W-CAP] fresh water = demand - refused growth - reclaimed, in total and by table
  (W12) budgets by source and build year with carry-over, one funding mix per investment, locks
  (W13) [W-UPGRADE], [W-TN], [W-VOLUME], [W-NEAR] (volume-weighted pipe length), exact number of plants

Goals: npv = sum_s stage weight * (alternative cost avoided + nitrogen and CO2 valued - running cost - refusal
loss) - present cost of investments - penalties; cost = running cost, refusal loss, present cost, penalties;
volume, tn, co2 of a year at the last stage.
"""

from optimize.water.formulation.model import WaterModel
from optimize.water.formulation.solve import build_model, solve_built, solve_formulation

__all__ = ["STRENGTHENING", "WaterModel", "build_model", "solve_built", "solve_formulation"]

STRENGTHENING = ("flow_only_from_built_treatment",)
"""Components that cut off no plan: they only tighten the relaxation."""
