"""``optimize serve``."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import uvicorn

from optimize.errors import ExitCode, UsageError
from optimize.io.place import is_instance
from optimize.web.app import create_app
from optimize.web.settings import LOCAL, Settings, read_named_tokens
from optimize.web.workspace import Workspace

_TOKEN = "OPTIMIZE_TOKEN"


def run_serve(call: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; jobs that run then begin again with the next server."""
    settings = Settings(
        workspace=call.workspace.resolve(),
        host=call.host,
        port=call.port,
        cores=call.cores,
        job_memory_mb=call.job_memory,
        job_time_s=call.job_time,
        upload_mb=call.upload,
        token=_token(call.token_file),
        named_tokens={} if call.users is None else read_named_tokens(call.users),
        identity_header=call.identity_header,
        proxies=tuple(call.proxy) or ("127.0.0.1", "::1"),
        hosts=tuple(call.allow_host),
        behind_https=call.https,
    )
    app = create_app(settings)
    _begin_with(app.state.workspace, call.instance)
    _refuse_taken(call.host, call.port)
    print(f"http://{call.host}:{call.port} · workspace {call.workspace} · Ctrl-C ends", flush=True)
    config = uvicorn.Config(
        app, host=call.host, port=call.port, log_level="warning", access_log=False, proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    uvicorn.Server(config).run()
    return ExitCode.SOLVED


def _token(path: Path | None) -> str | None:
    if path is not None:
        if not path.is_file():
            raise UsageError(f"--token-file {path} is not there; `openssl rand -hex 32 > {path}` makes one")
        return path.read_text(encoding="utf-8").strip()
    return os.environ.get(_TOKEN) or None


def _begin_with(space: Workspace, folders: list[Path]) -> None:
    """Copies of the instances named, where the workspace has not got them yet."""
    known = {record.source for record in space.instances.listed()}
    for path in folders:
        if not is_instance(path):
            raise UsageError(f"--instance {path} is no instance")
        source = path.resolve().name
        if source in known:
            continue
        if path.is_dir():
            space.instances.adopt(path, source, LOCAL)
            continue
        with space.instances.being_received() as place:
            upload = place / "upload.xlsx"
            upload.write_bytes(path.read_bytes())
            space.instances.receive(upload, source, LOCAL)


def _refuse_taken(host: str, port: int) -> None:
    """A port that somebody has is a wrong call, said in one line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: {error.strerror}; name another --port") from error
