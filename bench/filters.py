"""What each filter costs: instructions a request that it adds, counted by callgrind, which noise does not touch."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import tokens, tools
from bench.columns import PATH, Broken, start_yett
from bench.connections import Connection
from bench.processes import Server, free_port, serving
from bench.report import Figure

REQUESTS = 1_000

TOKEN = {"authenticate": "id", "access": "authenticated"}
VARIANTS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    # name, the variant that it stands on, changes of the configuration, changes of the route
    ("bare", "", {}, {}),
    ("access log", "bare", {"access_log": {"file": "cost.jsonl"}}, {}),
    ("address_limit", "bare", {}, {"address_limit": {"a": {"rate": "1000000/s", "burst": 100000}}}),
    ("request_headers", "bare", {}, {"request_headers": {"set": {"x-team": "orders"}}}),
    ("response_headers", "bare", {}, {"response_headers": {"set": {"x-team": "orders"}}}),
    ("security_headers", "bare", {"defaults": {"security_headers": "basic"}}, {}),
    ("jwt, remembered", "bare", {}, TOKEN),
    ("authorize: scopes", "jwt, remembered", {}, {"authenticate": "id", "authorize": {"scopes": "orders.read"}}),
    ("rate_limit by caller", "jwt, remembered", {},
     {**TOKEN, "rate_limit": {"c": {"rate": "1000000/s", "burst": 100000, "key": "principal"}}}),
]  # fmt: skip


def configuration(port: int, origin: int, whole: dict[str, Any], route: dict[str, Any]) -> dict[str, Any]:
    """The bare one with these changes."""
    bench = {"address": f"127.0.0.1:{port}", "plaintext": "benchmark on loopback"}
    service = {"endpoints": f"http://127.0.0.1:{origin}", "plaintext": "benchmark on loopback"}
    id_ = {"type": "jwt", "issuer": tokens.ISSUER, "audience": tokens.AUDIENCE, "jwks": "jwks.json"}
    match = {"hosts": "any", "path": "/{rest...}", "methods": "GET"}
    access = {} if "authenticate" in route else {"access": "public"}
    return {
        "version": 1,
        "listeners": {"bench": bench},
        "access_log": "off",
        **({"identity_providers": {"id": id_}} if "authenticate" in route else {}),
        "services": {"origin": service},
        **whole,
        "routes": {"all": {"match": match, "service": "origin", **access, **route}},
    }


def control(server: Server, *command: str) -> None:
    """Tells callgrind something."""
    tools.run([tools.tool("callgrind_control"), *command, str(server.pid)])


def instructions(directory: Path, origin: int, name: str, config: dict[str, Any], token: str) -> float:
    """Instructions a request, one request at a time on one connection."""
    port = int(str(config["listeners"]["bench"]["address"]).rpartition(":")[2])
    path = directory / f"cost-{port}.yaml"
    path.write_text(json.dumps(config))
    out = directory / f"cost-{port}.out"
    command = [
        tools.tool("valgrind"),
        "--tool=callgrind",
        "--instr-atstart=no",
        f"--callgrind-out-file={out}",
    ]
    with serving(f"cost-{port}", port, [*command, *start_yett(path, port, origin)], directory) as server:
        connection = Connection(port)
        for _ in range(200):
            status = connection.get(PATH, token)[0]
            if status != 200:
                raise Broken(f"the filter `{name}` answers {status}")
        control(server, "-i", "on")
        for _ in range(REQUESTS):
            connection.get(PATH, token)
        control(server, "-d")
        dump = out.with_name(out.name + ".1")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (dump.exists() and "totals:" in dump.read_text()):
            time.sleep(0.1)
        connection.close()
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    if found is None:
        raise subprocess.SubprocessError("callgrind wrote no totals")
    return int(found[1]) / REQUESTS


def measure(directory: Path, origin: int, made: tokens.Tokens) -> list[Figure]:
    """Instructions of the bare proxy, and what each filter adds; every request carries a token."""
    costs: dict[str, float] = {}
    figures = []
    for name, base, whole, route in VARIANTS:
        config = configuration(free_port(), origin, whole, route)
        cost = costs[name] = instructions(directory, origin, name, config, made.good[0])
        tools.say(f"  {name}: {cost:,.0f} instructions a request")
        if base:
            below = costs[base]
            title = f"instructions that `{name}` adds to {base}"
            figures.append(
                Figure(title, f"{cost - below:,.0f} ({(cost - below) / costs['bare']:.1%} of bare)")
            )
        else:
            figures.append(
                Figure("instructions of a request, bare, one at a time (user space)", f"{cost:,.0f}")
            )
    return figures
