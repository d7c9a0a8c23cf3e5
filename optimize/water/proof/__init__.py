"""What proves the bound of a network: multipliers of a Lagrangian relaxation, evaluated without the engine.

The year is cut into seasons, each the mean of its periods by days.  A mean of plans meets every row
that a plan meets in each period, so it is a plan of the seasons; storage, which moves water between
periods, is allowed only in a year that is one season.  Rows that only forbid are left out.

Every m3 on the network is counted twice: by who uses it (its commodity: a demand in a quality) and by
who made it (its origin: a plant or a cascade).  A plan's flows fall apart into paths from one origin to
one use, so on a corridor, in one direction, no commodity is more than its demand, no origin more than it
can make, and both counts are equal.  With multipliers

    pi  for every season, node and commodity     (water conserved by commodity)
    rho for every season, node, origin, quality  (water conserved by origin)
    lambda, mu, sigma >= 0 for purses, raw water of each season and source, and effects asked for

the worth of a plan is at most

    lambda'budget + mu'available - sigma'need
    + sum over corridors and qualities   max over pipes: sum over seasons of W(capacity) - cost
    + sum over sources and qualities     max over steps: sum over seasons of W(capacity) - cost
    + sum over users                     max (connected, served by tanker, neither)

where W(capacity) of a corridor fills it with the dearest commodities (each gains the difference of its
pi) and, independently, the dearest origins (the difference of their rho), as long as a commodity and an
origin together gain more than the fare; of a source with the commodities worth most at its node; and a
user takes each demand in the quality and from the origin that cost least at its node.  Costs are those
at the prices lambda: present cost, and what the cheapest mix takes from the purses.

This holds whatever pi, rho and whatever non-negative prices there are, so nothing that a certificate
claims can make the bound wrong, only weaker.
"""
