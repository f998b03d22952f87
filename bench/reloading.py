"""Reload with 5,000 routes: how long until the last worker serves it, and what requests notice of it."""

from __future__ import annotations

import gc
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench import tools
from bench.connections import Connection
from bench.processes import free_port, serving
from bench.report import Figure

ROUTES, WORKERS, CONNECTIONS = 5_000, 2, 16
SAVED_S, APPLIED_MS, WAIT_MS = 1.0, 250, 5

ROUTE = """\
  route-{number}:
    match: {{hosts: any, path: "/teams/{number}/items/{{item}}", methods: GET}}
    access: public
    service: origin
"""


def configuration(port: int, origin: int, marker: int) -> str:
    """5,000 routes and one whose answer tells which configuration it is from."""
    return (
        "version: 1\n"
        f'listeners: {{bench: {{address: 127.0.0.1:{port}, plaintext: "benchmark on loopback"}}}}\n'
        "access_log: off\n"
        f'services: {{origin: {{endpoints: http://127.0.0.1:{origin}, plaintext: "benchmark on loopback"}}}}\n'
        "routes:\n"
        + "".join(ROUTE.format(number=number) for number in range(ROUTES))
        + '  marker:\n    match: {hosts: any, path: "/marker", methods: GET}\n    access: public\n'
        + f'    respond: {{status: 200, body: "{marker}"}}\n'
    )


def save(path: Path, text: str) -> None:
    """As an editor does: a new file in place of the old one."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def longest_wait(
    connections: list[Connection], until: bytes | None, seconds: float
) -> tuple[float, float, int]:
    """Requests in turn on all connections, until every one answers `until` or the time is up.

    Returns seconds that it took, the longest single request in milliseconds, and how many failed.
    """
    began, longest, failed = time.monotonic(), 0.0, 0
    waiting = set(range(len(connections)))
    while waiting and time.monotonic() - began < seconds:
        for number, connection in enumerate(connections):
            sent = time.perf_counter()
            status, body = connection.get("/marker")
            longest = max(longest, time.perf_counter() - sent)
            failed += status != 200
            if body == until:
                waiting.discard(number)
    if waiting and until is not None:
        raise RuntimeError(f"the new configuration did not serve within {seconds:.0f} s")
    return time.monotonic() - began, longest * 1000, failed


@dataclass(frozen=True)
class Reloads:
    """What three reloads were like."""

    took: list[float]
    """Seconds from the saved file to the last worker that serves it, each."""
    quiet_ms: float
    """The longest wait of a request in two seconds before them."""
    longest_ms: float
    """The longest wait of a request during them."""
    failed: int
    """Requests."""


def reloads(path: Path, origin: int) -> Reloads:
    """Saves another configuration into the watched file three times, under load."""
    port = free_port()
    save(path, configuration(port, origin, 1))
    command = [str(tools.yett()), "run", str(path), "--workers", str(WORKERS), "--watch"]
    command += ["--admin", f"127.0.0.1:{free_port()}"]
    with serving("reload", port, command, path.parent) as server:
        connections = [Connection(port) for _ in range(CONNECTIONS)]
        longest_wait(connections, b"1", 10)
        gc.collect()
        gc.disable()
        _, quiet, _ = longest_wait(connections, None, 2)
        took, during, failed = [], 0.0, 0
        for marker in (2, 3, 4):
            save(path, configuration(port, origin, marker))
            seconds, longest, refused = longest_wait(connections, str(marker).encode(), 20)
            took.append(seconds)
            during, failed = max(during, longest), failed + refused
        gc.enable()
        for connection in connections:
            connection.close()
        del server
    return Reloads(took, quiet, during, failed)


def measure(directory: Path, origin: int) -> list[Figure]:
    """File saved to last worker serving; the longest wait of a request; IR to serving."""
    path = directory / "many.yaml"
    found = reloads(path, origin)
    took, quiet, during, failed = found.took, found.quiet_ms, found.longest_ms, found.failed
    applied = float(
        subprocess.run(
            [str(tools.yett().with_name("python")), str(tools.HERE / "apply_time.py"), str(path)],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
    )  # fmt: skip
    worst = max(took)
    return [
        Figure(f"{ROUTES:,} routes: file saved to last worker serving (--watch, worst of {len(took)})",
               f"{worst * 1000:.0f} ms", f"at most {SAVED_S * 1000:.0f} ms", worst <= SAVED_S),
        Figure(f"{ROUTES:,} routes: IR to serving", f"{applied:.0f} ms", f"at most {APPLIED_MS} ms",
               applied <= APPLIED_MS),
        Figure("requests that failed during these reloads", str(failed), "0", failed == 0),
        Figure(f"longest wait of a request during them ({quiet:.1f} ms in two quiet seconds)", f"{during:.1f} ms",
               f"at most {WAIT_MS} ms", during <= WAIT_MS),
    ]  # fmt: skip
