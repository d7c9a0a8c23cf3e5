"""How each command is called: its arguments, and where its work is done.

Nothing here loads what a command works with: help and wrong calls are answered at once.
"""

from __future__ import annotations

from optimize.cli.calls import instances, jobs, planning, questions, serve, stored

# In the order of the help; each adds the arguments of a group of commands.
GROUPS = (planning, instances, stored, questions, jobs, serve)
