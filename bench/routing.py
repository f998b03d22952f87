"""Instructions to find a route, counted by callgrind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bench import tools
from bench.report import Figure

LOOKUPS = 20_000
FEW, MANY, LIMIT = 10, 10_000, 1.05


def instructions(binary: str, directory: Path, routes: int, lookups: int) -> int:
    """Of one run of the example."""
    command = [
        tools.tool("valgrind"),
        "--tool=callgrind",
        f"--callgrind-out-file={directory / 'callgrind.out'}",
    ]
    command += [binary, str(routes), str(lookups)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise tools.Missing(f"callgrind printed no count:\n{done.stderr[-1000:]}")
    return int(found[1])


def measure(directory: Path, lookups: int = LOOKUPS) -> list[Figure]:
    """What a lookup costs with few and with many routes; building the table is taken off by a run without lookups."""
    tools.say("routing: building the example router_cost in release")
    tools.run(
        ["cargo", "build", "--release", "--workspace", "--locked", "--quiet", "--example", "router_cost"]
    )
    binary = str(tools.ROOT / "target" / "release" / "examples" / "router_cost")
    cost = {}
    for routes in (FEW, MANY):
        with_lookups = instructions(binary, directory, routes, lookups)
        cost[routes] = (with_lookups - instructions(binary, directory, routes, 0)) / lookups
    ratio = cost[MANY] / cost[FEW]
    return [
        Figure(
            f"instructions to find one of {MANY:,} routes ÷ one of {FEW} ({cost[MANY]:.0f} ÷ {cost[FEW]:.0f})",
            f"{ratio:.3f}",
            f"at most {LIMIT}",
            ratio <= LIMIT,
        )
    ]
