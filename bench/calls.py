"""System calls a request, counted by strace over requests on kept connections."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

from bench import tools
from bench.columns import PATH, render, start_yett
from bench.connections import Connection
from bench.processes import free_port, serving
from bench.report import Figure

LIMIT = 4.05
TRANSFER = {
    "read", "readv", "pread64", "recvfrom", "recvmsg", "write", "writev", "pwrite64", "sendto", "sendmsg", "splice",
}  # fmt: skip


def counts(summary: str) -> dict[str, int]:
    """Calls by name, from the table of `strace -c`."""
    row = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
    return {name: int(calls) for calls, name in row.findall(summary) if name != "total"}


def traced(pid: int) -> bool:
    """Whether every thread of the process has a tracer."""
    return all(
        re.search(r"TracerPid:\s+[1-9]", (task / "status").read_text())
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def measure(directory: Path, origin: int, requests: int) -> list[Figure]:
    """Read and write calls a request of the bare configuration, and all calls beside them."""
    port = free_port()
    config = render("yett.yaml", directory, PORT=port, ORIGIN=origin)
    with serving("calls", port, start_yett(config, port, origin), directory) as server:
        connections = [Connection(port) for _ in range(4)]
        for connection in connections:
            connection.get(PATH)
        out = directory / "strace.txt"
        command = [tools.tool("strace"), "-f", "-c", "-o", str(out), "-p", str(server.pid)]
        tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not traced(server.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        for number in range(requests):
            connections[number % len(connections)].get(PATH)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        for connection in connections:
            connection.close()
    found = counts(out.read_text())
    transfers = sum(calls for name, calls in found.items() if name in TRANSFER) / requests
    rest = sum(calls for name, calls in found.items() if name not in TRANSFER) / requests
    return [
        Figure(
            f"read and write calls a request, over {requests:,} plain requests",
            f"{transfers:.3f}",
            f"at most {LIMIT}",
            transfers <= LIMIT,
        ),
        Figure("other system calls a request, one request at a time (polling)", f"{rest:.2f}"),
    ]
