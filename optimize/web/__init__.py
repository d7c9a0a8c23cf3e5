"""The page of `optimize serve`: instances, scenarios, runs and comparisons in a browser, and the same as a REST API.

Everything that computes is a process of the product's own commands (`optimize.web.worker`); this room keeps
instances and a queue of jobs in one workspace folder, reads finished runs, and shows them.
"""
