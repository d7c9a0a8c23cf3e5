"""Call of ``optimize serve``: the page in a browser, and the REST API."""

from __future__ import annotations

import os
from pathlib import Path

from optimize.cli.arguments import Commands, count, positive
from optimize.deferred import Deferred


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser("serve", help="the same in a browser: upload, run, compare (docs/web.md)")
    command.set_defaults(run=Deferred("optimize.cli.serve", "run_serve"))
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)"
    )
    command.add_argument("--port", type=count, default=8000, help="(%(default)s)")
    command.add_argument(
        "--workspace", type=Path, default=Path("workspace"), metavar="FOLDER",
        help="where instances, jobs and plans are kept (workspace)",
    )  # fmt: skip
    command.add_argument(
        "--instance", type=Path, action="append", default=[], metavar="PATH",
        help="begin with this instance where the workspace has none of its name; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--cores", type=count, default=os.cpu_count() or 1, help="cores of all jobs together (%(default)s)"
    )
    command.add_argument(
        "--job-memory", type=count, default=4096, metavar="MB", help="most memory of one job (4096)"
    )
    command.add_argument(
        "--job-time", type=positive, default=3600.0, metavar="S", help="most seconds a job may ask for (3600)"
    )
    command.add_argument("--upload", type=count, default=64, metavar="MB", help="largest upload (64)")
    command.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="file with the token that callers have to know; or the variable OPTIMIZE_TOKEN",
    )  # fmt: skip
    command.add_argument(
        "--users",
        type=Path,
        metavar="FILE",
        help="file of names, each with the SHA-256 of a token of its own",
    )
    command.add_argument(
        "--identity-header", default="", metavar="NAME", help="header in which a reverse proxy names the user"
    )
    command.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="believe that header from here (127.0.0.1)",
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="what the page is called besides its address",
    )
    command.add_argument("--https", action="store_true", help="behind HTTPS: cookies go nowhere else")
