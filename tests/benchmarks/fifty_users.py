"""Fifty people on the page at once while two solves run: how long each page takes.

    python tests/benchmarks/fifty_users.py [--users 50] [--seconds 40] [--pause 2]

Starts ``optimize serve`` with the Shanghai instance in a workspace of its own, solves and explains once so that there
is something to look at, starts two long solves, and lets the users walk through the pages, each with a pause for
reading between two of them.  Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
SHORT = {"programme": "pv_siting", "gap": 0.05, "time_limit_s": 60}
LONG = {"gap": 0.0, "time_limit_s": 600}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--pause", type=float, default=2.0, help="for reading, on average")
    parser.add_argument("--port", type=int, default=8899)
    call = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "optimize", "serve", "--workspace", f"{folder}/workspace", "--port", str(call.port),
            "--cores", "2", "--instance", str(ROOT / "instances" / "shanghai"),
        ]  # fmt: skip
        process = subprocess.Popen(command)
        try:
            print(json.dumps(measured(f"http://127.0.0.1:{call.port}", call)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def measured(server: str, call: argparse.Namespace) -> dict[str, Any]:
    wait(lambda: httpx.get(f"{server}/health").status_code == 200)
    api = f"{server}/api/v1"
    instance = httpx.get(f"{api}/instances").json()[0]["id"]
    runs = [ended(api, ask(api, instance, {**SHORT, "scenario": name})) for name in ("today", "less_money")]
    jobs = [ask(api, instance, {**LONG, "programme": name}) for name in ("pv_siting", "water")]
    wait(lambda: all(httpx.get(f"{api}/jobs/{job}").json()["state"] == "running" for job in jobs))
    pages = [
        "/", f"/instances/{instance}", f"/instances/{instance}/tables/pv_siting.sites", f"/instances/{instance}/scenarios",
        f"/instances/{instance}/settings", "/jobs", f"/jobs/{jobs[0]}", f"/jobs/{jobs[0]}/live", f"/jobs/{jobs[1]}/live",
        "/runs", f"/runs/{runs[0]}", f"/runs/{runs[0]}/projects", f"/compare?run={runs[0]}&run={runs[1]}",
    ]  # fmt: skip
    asyncio.run(
        walk(server, pages * 2, 1, 0.0, 1e9)
    )  # what runs are drawn as is kept from the first reader on
    times = asyncio.run(walk(server, pages, call.users, call.pause, call.seconds))
    running = [httpx.get(f"{api}/jobs/{job}").json()["state"] for job in jobs]
    for job in jobs:
        httpx.post(f"{api}/jobs/{job}/cancel")
    every = sorted(itertools.chain.from_iterable(times.values()))
    return {
        "users": call.users,
        "pages": len(every),
        "pages_per_s": round(len(every) / call.seconds, 1),
        "median_ms": round(1000 * statistics.median(every)),
        "p95_ms": round(1000 * every[int(0.95 * len(every))]),
        "slowest_ms": round(1000 * every[-1]),
        "solves": running,
        "load": os.getloadavg()[0],
        "median_ms_by_page": {
            page.replace(instance, "ID").replace(runs[0], "RUN"): round(1000 * statistics.median(own))
            for page, own in sorted(times.items())
        },
    }


async def walk(
    server: str, pages: list[str], users: int, pause: float, seconds: float
) -> dict[str, list[float]]:
    """Seconds of every page that was read; with one user and no pause, each page once in order."""
    times: dict[str, list[float]] = {page: [] for page in pages}
    until = time.monotonic() + seconds

    async def user(number: int) -> None:
        chance = random.Random(number)
        limits = httpx.Limits(max_connections=2)
        async with httpx.AsyncClient(
            base_url=server, limits=limits, timeout=60, follow_redirects=True
        ) as client:
            await asyncio.sleep(chance.uniform(0, pause))
            wanted = iter(pages) if users == 1 else iter(lambda: chance.choice(pages), None)
            for page in wanted:
                if time.monotonic() > until:
                    return
                began = time.perf_counter()
                answer = await client.get(page)
                times[page].append(time.perf_counter() - began)
                answer.raise_for_status()
                await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)

    await asyncio.gather(*(user(number) for number in range(users)))
    return times


def ask(api: str, instance: str, question: dict[str, Any]) -> str:
    answer = httpx.post(f"{api}/instances/{instance}/solves", json=question)
    answer.raise_for_status()
    return str(answer.json()["id"])


def ended(api: str, job: str) -> str:
    wait(lambda: httpx.get(f"{api}/jobs/{job}").json()["ended"])
    return job


def wait(holds: Any, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise SystemExit(f"not within {seconds:g} s")


if __name__ == "__main__":
    main()
