"""Latency that a proxy adds: requests at a fixed rate, half of what Yett can do, whatever the answers take."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from bench import tools
from bench.columns import PATH, Broken, Column, start_nginx, start_yett, started
from bench.report import Figure
from bench.tools import say

CLIENTS = 64
ADDED_MS = 0.3
COLUMNS = [
    Column("nginx", "nginx", "", start_nginx, "nginx.conf"),
    Column("yett", "Yett", "", start_yett, "yett.yaml"),
]


def percentile(values: list[int], share: float) -> float:
    """The value below which the share lies; milliseconds of microseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000


def paced(port: int, rate: float, seconds: int, log: Path) -> list[int]:
    """Microseconds of each request at `rate` a second, over 64 kept connections."""
    log.unlink(missing_ok=True)
    command = [
        tools.tool("h2load"),
        "--h1",
        "-t1",
        f"-c{CLIENTS}",
        f"-D{seconds}",
        f"--rps={rate / CLIENTS:.2f}",
    ]
    command += [f"--log-file={log}", f"http://localhost:{port}{PATH}"]
    subprocess.run(command, capture_output=True, timeout=seconds + 60, check=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    if not rows or any(status != "200" for _, status, _ in rows):
        raise Broken("a request at a fixed rate failed")
    return [int(took) for _, _, took in rows]


def measure(directory: Path, origin: int, maximum: float, seconds: int, rounds: int) -> list[Figure]:
    """p99 added by nginx and by Yett at half of `maximum` requests a second: the least of the rounds of each."""
    log = directory / "h2load.log"
    rate = maximum / 2
    found: dict[str, list[float]] = {"direct": []}
    with contextlib.ExitStack() as stack:
        servers = [
            (column.key, stack.enter_context(started(column, directory, origin))) for column in COLUMNS
        ]
        for number in range(rounds):
            direct = percentile(paced(origin, rate, seconds, log), 0.99)
            found["direct"].append(direct)
            for key, server in servers:
                paced(server.port, rate, 1, log)
                p99 = percentile(paced(server.port, rate, seconds, log), 0.99)
                found.setdefault(key, []).append(p99)
                say(f"  round {number + 1}: {key} p99 {p99:.2f} ms, direct {direct:.2f} ms")
    direct = min(found["direct"])
    nginx, yett = (max(0.0, min(found[key]) - direct) for key in ("nginx", "yett"))
    at = f"p99 added at {rate:,.0f} requests/s, half of Yett's maximum"
    return [
        Figure(f"{at}: nginx", f"{nginx:.2f} ms"),
        Figure(f"{at}: Yett", f"{yett:.2f} ms", f"at most nginx's + {ADDED_MS} ms", yett <= nginx + ADDED_MS),
    ]
