"""The columns: how each server is started, and how it is shown to do what it claims before it is measured."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench import tokens, tools
from bench.processes import Server, free_port, serving, status_of

PATH = "/orders/17"
REPLY = b"a reply of the origin, 54 bytes long, newline and all\n"
PLENTY, FEW = 100_000, 5


class Broken(Exception):
    """A column does not do what it claims, so its figures would mean nothing."""


@dataclass(frozen=True)
class Column:
    """A server under measurement."""

    key: str
    title: str
    does: str
    command: Callable[[Path, int, int], list[str]]
    template: str | None = None
    tokens: bool = False
    checks: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 1


def start_nginx(config: Path, port: int, origin: int) -> list[str]:
    """Workers by the configuration."""
    return [tools.tool("nginx"), "-e", "stderr", "-c", str(config)]


def start_haproxy(config: Path, port: int, origin: int) -> list[str]:
    """Threads by the configuration."""
    return [tools.tool("haproxy"), "-db", "-f", str(config)]


def start_envoy(config: Path, port: int, origin: int) -> list[str]:
    """One worker thread."""
    return [
        tools.envoy(),
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--disable-hot-restart",
        "-c",
        str(config),
    ]


def start_caddy(config: Path, port: int, origin: int) -> list[str]:
    """One processor, by GOMAXPROCS."""
    return [tools.caddy(), "run", "--adapter", "caddyfile", "--config", str(config)]


def start_yett(config: Path, port: int, origin: int) -> list[str]:
    """One worker, with the admin listener that serves its metrics."""
    return [str(tools.yett()), "run", str(config), "--workers", "1", "--admin", f"127.0.0.1:{free_port()}"]


def start_yett_2(config: Path, port: int, origin: int) -> list[str]:
    """Two workers."""
    return ["2" if before == "--workers" else word
            for before, word in pairwise(["", *start_yett(config, port, origin)])]  # fmt: skip


def start_copier(config: Path, port: int, origin: int) -> list[str]:
    """One thread."""
    return [tools.copier(), str(port), str(origin)]


COLUMNS = [
    Column("copier", "byte copier", "copies bytes, parses nothing: the limit", start_copier),
    Column("nginx", "nginx", "proxy", start_nginx, "nginx.conf"),
    Column("haproxy", "HAProxy", "proxy", start_haproxy, "haproxy.cfg"),
    Column("envoy", "Envoy", "proxy", start_envoy, "envoy.yaml"),
    Column("caddy", "Caddy", "proxy", start_caddy, "Caddyfile", environment={"GOMAXPROCS": "1"}),
    Column("yett", "Yett", "proxy", start_yett, "yett.yaml"),
    Column("nginx-tokens", "nginx, with tokens", "proxy that checks nothing; the requests of the chains", start_nginx,
           "nginx.conf", tokens=True),
    Column("haproxy-chain", "HAProxy, chain", "jwt_verify and claims, stick table by subject, httplog",
           start_haproxy, "haproxy-chain.cfg", tokens=True, checks=True),
    Column("envoy-chain", "Envoy, chain", "jwt_authn with its cache, RBAC on a claim, one local limit, access log",
           start_envoy, "envoy-chain.yaml", tokens=True, checks=True),
    Column("yett-chain", "Yett, chain", "jwt, scopes, limit by caller, JSON access log, metrics",
           start_yett, "yett-chain.yaml", tokens=True, checks=True),
]  # fmt: skip


def chosen(only: str, without: str) -> list[Column]:
    """Columns by key; what each needs is found or installed first, so that nothing is installed between rounds."""
    names = {column.key for column in COLUMNS}
    wanted = set(only.split(",")) if only else names
    unwanted = set(without.split(",")) if without else set()
    if unknown := (wanted | unwanted) - names:
        raise tools.Missing(
            f"no column is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
        )
    columns = [column for column in COLUMNS if column.key in wanted - unwanted]
    for column in columns:
        column.command(Path(), 0, 0)
    return columns


def render(template: str, directory: Path, **values: object) -> Path:
    """A configuration of bench/peers with its `@NAME@`s filled in, written into the directory."""
    text = (tools.HERE / "peers" / template).read_text()
    for name, value in {"DIR": directory, "WORKERS": 1, **values}.items():
        text = text.replace(f"@{name}@", str(value))
    path = directory / f"{values.get('PORT', 'origin')}-{template}"
    path.write_text(text)
    return path


@contextlib.contextmanager
def started(column: Column, directory: Path, origin: int, rate: int = PLENTY) -> Iterator[Server]:
    """The column's server on a free port; `rate` is its limit, requests a second."""
    port = free_port()
    config = directory
    if column.template is not None:
        config = render(
            column.template, directory, PORT=port, ORIGIN=origin, RATE=rate, ISSUER=tokens.ISSUER,
            AUDIENCE=tokens.AUDIENCE, ALG=tokens.ALGORITHM, WORKERS=column.workers,
        )  # fmt: skip
    name = f"{column.key}-{rate}"
    with serving(name, port, column.command(config, port, origin), directory, column.environment) as server:
        yield server


def origin_config(directory: Path, port: int) -> Path:
    """nginx as the origin; as who runs this, so that it can read its large file."""
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    return render("origin.nginx.conf", directory, ORIGIN=port, USER=user, GROUP=group)


def expect(column: Column, what: str, wanted: int, got: int) -> None:
    """Raises unless the status is the wanted one."""
    if got != wanted:
        raise Broken(f"{column.title} answers {got} {what}, {wanted} was expected")


def verify(column: Column, server: Server, made: tokens.Tokens) -> None:
    """200 and the origin's bytes; a chain also refuses what it has to."""
    status, body = status_of(server.port, PATH, made.good[0] if column.tokens else None)
    expect(column, "to a good request", 200, status)
    if body != REPLY:
        raise Broken(f"{column.title} changes the reply")
    if not column.checks:
        return
    expect(column, "without a token", 401, status_of(server.port, PATH)[0])
    expect(column, "to an expired token", 401, status_of(server.port, PATH, made.expired)[0])
    head, _, signature = made.good[0].rpartition(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    expect(column, "to a forged signature", 401, status_of(server.port, PATH, f"{head}.{flipped}")[0])
    expect(column, "without the scope", 403, status_of(server.port, PATH, made.without_scope)[0])


def verify_limit(column: Column, directory: Path, origin: int, made: tokens.Tokens) -> None:
    """With a limit of a few a second, some of many quick requests get 429, and some 200."""
    with started(column, directory, origin, rate=FEW) as server:
        seen = {status_of(server.port, PATH, made.good[1])[0] for _ in range(8 * FEW)}
    if seen != {200, 429}:
        raise Broken(f"{column.title} over its limit answers {sorted(seen)}, 200 and 429 were expected")
