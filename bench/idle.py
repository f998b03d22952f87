"""Memory: of an idle process, and of 10,000 connections that have sent a request each and wait."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import trustme

from bench.columns import PATH, render, start_yett
from bench.connections import Connection, Http2Connection
from bench.processes import free_port, resident_bytes, serving
from bench.report import MEGABYTE, Figure

IDLE_MB, PLAIN_MB, TLS_MB, HTTP2_MB = 90, 200, 450, 600


def certificate(directory: Path) -> ssl.SSLContext:
    """Writes `edge.pem` and `edge.key`; the context trusts their authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (directory / "edge.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (directory / "edge.key").write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def settled(pid: int) -> int:
    """Resident bytes, once they have stopped growing."""
    last, deadline = resident_bytes(pid), time.monotonic() + 5
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = resident_bytes(pid)
        if now <= last:
            return now
        last = now
    return last


def measure(directory: Path, origin: int, count: int) -> list[Figure]:
    """Idle memory, then the growth for so many plain and TLS connections."""
    context = certificate(directory)
    figures = []
    for name, template, limit, trust, kind in (
        ("plain", "yett.yaml", PLAIN_MB, None, Connection),
        ("TLS", "yett-tls.yaml", TLS_MB, context, Connection),
        ("HTTP/2 over TLS", "yett-tls.yaml", HTTP2_MB, context, Http2Connection),
    ):
        port = free_port()
        config = render(template, directory, PORT=port, ORIGIN=origin)
        with serving(f"idle-{port}", port, start_yett(config, port, origin), directory) as server:
            idle = settled(server.pid)
            if trust is None:
                mb = idle / MEGABYTE
                figures.append(
                    Figure(
                        "memory of the whole process, idle",
                        f"{mb:.0f} MB",
                        f"at most {IDLE_MB} MB",
                        mb <= IDLE_MB,
                    )
                )
            kept: list[Connection | Http2Connection] = []
            try:
                for _ in range(count):
                    connection = kind(port, trust)
                    kept.append(connection)
                    if connection.get(PATH)[0] != 200:
                        raise ConnectionError("a connection of the memory figure was refused")
                grown = (settled(server.pid) - idle) / MEGABYTE
                alive = kept[0].get(PATH)[0] == 200 and kept[-1].get(PATH)[0] == 200
            finally:
                for connection in kept:
                    connection.close()
            what = f"{count:,} idle connections, {name}"
            if not alive:
                what += " (the first or last of them had been closed)"
            figures.append(
                Figure(what, f"{grown:.0f} MB more", f"at most {limit} MB", grown <= limit and alive)
            )
    return figures
