"""`make bench`: measures every column, then Yett's own figures, and writes bench/RESULTS.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import tempfile
from pathlib import Path

from bench import latency, report, tokens, tools, transport, yett_figures
from bench.columns import PATH, Broken, Column, chosen, origin_config, started, verify, verify_limit
from bench.load import Round, measure
from bench.processes import Server, free_port, resident_bytes, serving
from bench.tools import Missing, say

OPEN_FILES = 65_536


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rounds of one second: a look, not a figure")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each over all columns (default 3)")
    parser.add_argument(
        "--seconds", type=int, default=5, help="of load for each figure of a round (default 5)"
    )
    parser.add_argument("--only", default="", help="columns, by comma: copier,nginx,…,yett-chain")
    parser.add_argument("--without", default="", help="columns to leave out, by comma")
    parser.add_argument(
        "--no-transport", action="store_true", help="no TLS, HTTP/2, handshakes, large bodies"
    )
    parser.add_argument(
        "--no-extras", action="store_true", help="no memory, system call, routing and reload figures"
    )
    parser.add_argument(
        "--extras",
        default=",".join(yett_figures.PARTS),
        help=f"some of these, by comma: {','.join(yett_figures.PARTS)}",
    )
    parser.add_argument(
        "--output", type=Path, default=tools.HERE / "RESULTS.md", help="default: bench/RESULTS.md"
    )
    return parser.parse_args(arguments)


def raise_open_files() -> None:
    """10,000 connections need as many descriptors; the limit is inherited by the servers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, max(hard, OPEN_FILES)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))


def compare(columns: list[Column], directory: Path, origin: int, made: tokens.Tokens, seconds: int, rounds: int
            ) -> report.Comparison:  # fmt: skip
    """Every column in every round, in turn, so that a slow minute of the machine hits all of them."""
    results: dict[str, list[Round]] = {column.key: [] for column in columns}
    direct: list[Round] = []
    memory: dict[str, tuple[int, int]] = {}
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {}
        for column in columns:
            server = servers[column.key] = stack.enter_context(started(column, directory, origin))
            memory[column.key] = (resident_bytes(server.pid), 0)
            verify(column, server, made)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            direct.append(measure(None, origin, PATH, seconds, None))
            for column in columns:
                server = servers[column.key]
                file = directory / "tokens.txt" if column.tokens else None
                measure(None, server.port, PATH, 1, file)
                result = measure(server.pid, server.port, PATH, seconds, file)
                if result.failures:
                    raise Broken(f"{column.title}: {result.failures} of {result.requests} requests failed")
                say(f"  {column.title:22} {result.cpu_us:7.2f} us a request, {result.rate:9,.0f} requests/s")
                results[column.key].append(result)
        for column in columns:
            memory[column.key] = (memory[column.key][0], resident_bytes(servers[column.key].pid))
    return report.Comparison(columns, results, direct, memory)


def main() -> int:
    """Exit status: 0, 1 when a column is broken, 2 when something is missing."""
    asked = options()
    raise_open_files()
    os.umask(0o022)
    try:
        tools.debian()
        columns = chosen(asked.only, asked.without)
        tools.WORK.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tools.WORK, prefix="run-") as name:
            directory = Path(name)
            made = tokens.make(directory)
            bench = transport.prepare(directory, made)
            port = free_port()
            command = [tools.tool("nginx"), "-e", "stderr", "-c", str(origin_config(directory, port))]
            with serving("origin", port, command, directory):
                for column in columns:
                    if column.checks:
                        verify_limit(column, directory, port, made)
                seconds = 1 if asked.quick else asked.seconds
                comparison = compare(columns, directory, port, made, seconds, asked.rounds)
                rows: list[report.Row] = []
                extras: list[report.Figure] = []
                keys = {column.key for column in columns}
                if not asked.no_transport and "yett" in keys:
                    rows = transport.measure(bench, port, seconds, asked.rounds, envoy="envoy" in keys)
                    maximum = max(one.rate for one in comparison.rounds["yett"])
                    say("latency added")
                    extras = latency.measure(directory, port, maximum, seconds, asked.rounds)
                if not asked.no_extras and "yett" in keys:
                    extras += yett_figures.measure(directory, port, made, asked.extras, quick=asked.quick)
        report.write(asked.output, comparison, rows, extras, seconds=seconds, quick=asked.quick)
    except Missing as problem:
        say(str(problem))
        return 2
    except Broken as problem:
        say(str(problem))
        return 1
    say(f"wrote {asked.output.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
