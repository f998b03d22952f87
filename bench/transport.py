"""TLS, HTTP/2, handshakes and large bodies: what each costs nginx, HAProxy, Envoy and Yett, in one run."""

from __future__ import annotations

import contextlib
import re
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import idle, tokens, tools
from bench.columns import (
    PATH,
    Broken,
    Column,
    start_envoy,
    start_haproxy,
    start_nginx,
    start_yett,
    start_yett_2,
    started,
)
from bench.connections import Connection
from bench.load import wrk
from bench.processes import Server, cpu_seconds
from bench.report import Row
from bench.tools import say

LARGE = 1_000_000
HANDSHAKES = 2_000

PEERS = {
    "plain": [
        Column("nginx", "nginx", "", start_nginx, "nginx.conf"),
        Column("haproxy", "HAProxy", "", start_haproxy, "haproxy.cfg"),
        Column("yett", "Yett", "", start_yett, "yett.yaml"),
    ],
    "tls": [
        Column("nginx-tls", "nginx", "", start_nginx, "nginx-tls.conf"),
        Column("haproxy-tls", "HAProxy", "", start_haproxy, "haproxy-tls.cfg"),
        Column("envoy-tls", "Envoy", "", start_envoy, "envoy-tls.yaml"),
        Column("yett-tls", "Yett", "", start_yett, "yett-tls.yaml"),
        Column("yett-chain-tls", "Yett, chain", "", start_yett, "yett-chain-tls.yaml", tokens=True),
    ],
    "two workers": [
        Column("nginx-2", "nginx", "", start_nginx, "nginx.conf", workers=2),
        Column("haproxy-2", "HAProxy", "", start_haproxy, "haproxy.cfg", workers=2),
        Column("yett-2", "Yett", "", start_yett_2, "yett.yaml"),
    ],
}

Load = Callable[[Server, int, "Bench"], int]
"""Puts load on a server for about so many seconds; returns how many requests or handshakes that was."""


@dataclass(frozen=True)
class Bench:
    """What loads need."""

    directory: Path
    trust: ssl.SSLContext
    made: tokens.Tokens


@dataclass(frozen=True)
class Workload:
    """A row: what is asked, of which servers."""

    title: str
    peers: str
    load: Load
    without: tuple[str, ...] = ()


def over_tls(server: Server, seconds: int, bench: Bench) -> int:
    """wrk, 64 kept connections."""
    return clean(server, wrk(server.port, PATH, seconds, scheme="https"))


def over_tls_with_tokens(server: Server, seconds: int, bench: Bench) -> int:
    """wrk, 64 kept connections, the tokens in turn."""
    return clean(server, wrk(server.port, PATH, seconds, bench.directory / "tokens.txt", scheme="https"))


def plain(server: Server, seconds: int, bench: Bench) -> int:
    """wrk, 64 kept connections."""
    return clean(server, wrk(server.port, PATH, seconds))


def download(scheme: str) -> Load:
    """wrk, 16 kept connections, a megabyte each."""

    def load(server: Server, seconds: int, bench: Bench) -> int:
        return clean(server, wrk(server.port, "/large", seconds, scheme=scheme, connections=16))

    return load


def upload(scheme: str) -> Load:
    """wrk, 16 kept connections, a megabyte each."""

    def load(server: Server, seconds: int, bench: Bench) -> int:
        return clean(
            server, wrk(server.port, "/upload", seconds, scheme=scheme, connections=16, upload=LARGE)
        )

    return load


def clean(server: Server, result: tuple[int, float, int, int, int]) -> int:
    """The requests; raises where one failed."""
    if result[2]:
        raise Broken(f"{server.name}: {result[2]} of {result[0]} requests failed")
    return result[0]


def http2_with_token(server: Server, seconds: int, bench: Bench) -> int:
    """h2load, 16 connections with 4 streams each, one token."""
    return http2(server, seconds, bench, "-H", f"authorization: Bearer {bench.made.good[0]}")


def http2(server: Server, seconds: int, bench: Bench, *more: str) -> int:
    """h2load, 16 connections with 4 streams each."""
    command = [
        tools.tool("h2load"),
        "-t1",
        "-c16",
        "-m4",
        f"-D{seconds}",
        f"https://localhost:{server.port}{PATH}",
    ]
    done = subprocess.run(
        [*command, *more], capture_output=True, text=True, timeout=seconds + 30, check=True
    ).stdout
    found = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done)
    if found is None or "Application protocol: h2" not in done:
        raise Broken(f"{server.name} does not speak HTTP/2:\n{done[-500:]}")
    if found[3] != "0" or found[4] != "0" or found[1] != found[2] or found[2] == "0":
        raise Broken(f"{server.name}: {found[0]}")
    return int(found[2])


def handshakes(server: Server, seconds: int, bench: Bench) -> int:
    """Full TLS 1.3 handshakes (P-256, X25519), each with one request."""
    for _ in range(HANDSHAKES):
        connection = Connection(server.port, bench.trust)
        if connection.get(PATH)[0] != 200:
            raise Broken(f"{server.name} refuses after a handshake")
        connection.close()
    return HANDSHAKES


def resumed(server: Server, seconds: int, bench: Bench) -> int:
    """TLS 1.3 handshakes with the ticket of the one before, each with one request."""
    session: ssl.SSLSession | None = None
    reused = 0
    for _ in range(HANDSHAKES):
        connection = Connection(server.port, bench.trust, session)
        if connection.get(PATH)[0] != 200:
            raise Broken(f"{server.name} refuses after a handshake")
        socket = connection.socket
        if isinstance(socket, ssl.SSLSocket):
            reused += bool(socket.session_reused)
            session = socket.session
        connection.close()
    if reused < HANDSHAKES - 2:
        raise Broken(f"{server.name} resumed {reused} of {HANDSHAKES} sessions")
    return HANDSHAKES


CHAIN = ("yett-chain-tls",)
BARE = ("yett-tls", "envoy-tls")
WORKLOADS = [
    Workload("HTTP/1.1 over TLS", "tls", over_tls, CHAIN),
    Workload("HTTP/1.1 over TLS, with tokens", "tls", over_tls_with_tokens, BARE),
    Workload("HTTP/2 over TLS", "tls", http2, CHAIN),
    Workload("HTTP/2 over TLS, with a token", "tls", http2_with_token, BARE),
    Workload("full handshake and a request", "tls", handshakes, CHAIN),
    Workload("resumed handshake and a request", "tls", resumed, CHAIN),
    Workload("1 MB down", "plain", download("http")),
    Workload("1 MB up", "plain", upload("http")),
    Workload("1 MB down over TLS", "tls", download("https"), CHAIN),
    Workload("1 MB up over TLS", "tls", upload("https"), CHAIN),
    Workload("HTTP/1.1, two workers", "two workers", plain),
]


def prepare(directory: Path, made: tokens.Tokens) -> Bench:
    """A certificate for all of them, and the large file of the origin."""
    trust = idle.certificate(directory)
    pem = (directory / "edge.pem").read_bytes() + (directory / "edge.key").read_bytes()
    (directory / "edge.both.pem").write_bytes(pem)
    (directory / "large").write_bytes(b"0123456789abcdef" * (LARGE // 16))
    return Bench(directory, trust, made)


def measure(bench: Bench, origin: int, seconds: int, rounds: int, *, envoy: bool) -> list[Row]:
    """Every workload on each of its servers, in turn, so many rounds."""
    rows = []
    with contextlib.ExitStack() as stack:
        servers: dict[str, tuple[Column, Server]] = {}
        for column in [column for group in PEERS.values() for column in group]:
            if envoy or "envoy" not in column.key:
                server = stack.enter_context(started(column, bench.directory, origin))
                servers[column.key] = (column, server)
        for workload in WORKLOADS:
            say(workload.title)
            cost: dict[str, float] = {}
            for number in range(rounds + 1):
                for column in PEERS[workload.peers]:
                    if column.key in workload.without or column.key not in servers:
                        continue
                    server = servers[column.key][1]
                    before = cpu_seconds(server.pid)
                    count = workload.load(server, seconds if number else 1, bench)
                    spent = (cpu_seconds(server.pid) - before) / count * 1e6
                    if number:
                        cost[column.title] = min(spent, cost.get(column.title, spent))
            for title, spent in cost.items():
                say(f"  {title:22} {spent:9.2f} us")
            rows.append(Row(workload.title, cost))
    return rows
