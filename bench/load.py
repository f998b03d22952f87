"""Load from wrk, and what it costs the server under it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench import tools
from bench.processes import cpu_seconds

CONNECTIONS = 64


@dataclass(frozen=True)
class Round:
    """One round of wrk against one server."""

    requests: int
    seconds: float
    failures: int
    p50_us: int
    p99_us: int
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """CPU a request, microseconds."""
        return self.cpu_s / max(self.requests, 1) * 1e6

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def wrk(
    port: int,
    path: str,
    seconds: int,
    tokens: Path | None = None,
    *,
    scheme: str = "http",
    connections: int = CONNECTIONS,
    upload: int = 0,
    refused: bool = False,
) -> tuple[int, float, int, int, int]:
    """Requests, seconds, failures, p50 and p99 in microseconds; POSTs of `upload` bytes instead of GETs; `refused` where that is asked for."""
    environment = {**os.environ, "BENCH_PATH": path, "BENCH_UPLOAD": str(upload)}
    if tokens is not None:
        environment["BENCH_TOKENS"] = str(tokens)
    command = [tools.tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    command += ["-s", str(tools.HERE / "tokens.lua"), f"{scheme}://localhost:{port}"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    line = next(text for text in done.stdout.splitlines() if text.startswith("RESULT "))
    requests, microseconds, failures, p50, p99 = (int(part) for part in line.split()[1:])
    if failures and not refused:
        kinds = [text.strip() for text in done.stdout.splitlines() if "errors:" in text or "Non-2xx" in text]
        tools.say(f"  wrk on {path}: {'; '.join(kinds) or f'{failures} failures'}")
    return requests, microseconds / 1e6, failures, p50, p99


def measure(pid: int | None, port: int, path: str, seconds: int, tokens: Path | None) -> Round:
    """CPU of the process tree around one run of wrk; without a `pid` (the direct run) it is 0."""
    before = cpu_seconds(pid) if pid is not None else 0.0
    requests, spent, failures, p50, p99 = wrk(port, path, seconds, tokens)
    after = cpu_seconds(pid) if pid is not None else 0.0
    return Round(requests, spent, failures, p50, p99, after - before)
