"""Steady requests from several clients, each failure kept: new connections, kept ones, and streams of HTTP/2."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import trustme

from tests.support import http2
from tests.support.origin import Origin
from tests.support.waiting import eventually
from tests.support.wire import Wire

# GET https:/index.html with :authority a, in HPACK's static table.
REQUEST = b"\x82\x87\x85\x41\x01a"

Address = tuple[str, int]
Client = Callable[["Load"], Iterator[None]]


def document(service: Origin, tls: dict[str, Any], body: str) -> dict[str, Any]:
    """A configuration that answers these clients; `body` tells which one it was."""
    match = {"hosts": "any", "methods": "GET"}
    respond = {"access": "public", "respond": {"status": 200, "body": body}}
    echo = {"match": {**match, "path": "/echo", "methods": "POST"}, "access": "public", "service": "origin"}
    return {
        "version": 1,
        "process": {"drain": "10s"},
        "access_log": "off",
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": tls}},
        "services": {"origin": {"endpoints": service.url, "plaintext": "test"}},
        "routes": {
            "hello": {"match": {**match, "path": "/hello"}, **respond},
            "index": {"match": {**match, "path": "/index.html"}, **respond},
            "echo": echo,
        },
    }


class Load:
    """Clients that ask one after the other until the end of the block; `answered` counts by client."""

    def __init__(self, address: Address, authority: trustme.CA, *clients: Client) -> None:
        self.address = address
        self.tls, self.h2 = ssl.create_default_context(), ssl.create_default_context()
        for context in (self.tls, self.h2):
            authority.configure_trust(context)
        self.h2.set_alpn_protocols(["h2"])
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self.bodies: Counter[bytes] = Counter()
        self._stop = threading.Event()
        self._names = [f"{client.__name__}-{index}" for index, client in enumerate(clients)]
        self._threads = [
            threading.Thread(target=self._run, args=pair, daemon=True)
            for pair in zip(self._names, clients, strict=True)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def progress(self, count: int = 10) -> None:
        """Waits until every client has had so many more answers."""
        goal = {name: self.answered[name] + count for name in self._names}
        eventually(
            lambda: self.failed or all(self.answered[name] >= goal[name] for name in goal), 30, "answers"
        )

    def _run(self, name: str, client: Client) -> None:
        while not self._stop.is_set():
            try:
                with contextlib.closing(client(self)) as answers:  # type: ignore[type-var]
                    for _ in answers:
                        self.answered[name] += 1
                        if self._stop.is_set():
                            return
            except Exception as error:
                self.failed.append(f"{name} after {self.answered[name]}: {type(error).__name__}: {error}")

    def wire(self) -> Wire:
        return Wire(self.address, self.tls, "localhost")

    def check(self, status: int, body: bytes) -> None:
        assert status == 200, f"{status} {body[:200]!r}"
        self.bodies[body] += 1


def fresh(load: Load) -> Iterator[None]:
    """A connection for each request."""
    while True:
        with load.wire() as wire:
            reply = wire.ask(target="/hello", headers=[("Connection", "close")])
            load.check(reply.status, reply.body)
        yield


def kept(load: Load) -> Iterator[None]:
    """One connection until an answer says that it closes."""
    with load.wire() as wire:
        closing = False
        while not closing:
            reply = wire.ask(target="/hello")
            load.check(reply.status, reply.body)
            closing = reply.all("connection") == ["close"]
            yield


def posted(load: Load) -> Iterator[None]:
    """A body that goes to the service and comes back."""
    with load.wire() as wire:
        closing = False
        while not closing:
            reply = wire.ask("POST", "/echo", body=b"x" * 5000)
            assert (reply.status, len(reply.body)) == (200, 5000)
            closing = reply.all("connection") == ["close"]
            yield


def streams(load: Load) -> Iterator[None]:
    """Streams of one HTTP/2 connection until it is told to go away; what GOAWAY leaves out may be asked again."""
    raw = socket.create_connection(load.address, timeout=15)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with load.h2.wrap_socket(raw, server_hostname="localhost") as client:
        assert client.selected_alpn_protocol() == "h2"
        client.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
        frames = _frames(client)
        stream, last = -1, None
        while last is None:
            stream += 2
            client.sendall(http2.frame(http2.HEADERS, http2.END_STREAM | http2.END_HEADERS, stream, REQUEST))
            body, head = b"", b""
            for kind, flags, number, payload in frames:
                if kind == http2.SETTINGS and not flags & 1:
                    client.sendall(http2.frame(http2.SETTINGS, 1, 0))
                elif kind == http2.GOAWAY:
                    last = int.from_bytes(payload[:4], "big")
                    if last < stream:
                        return
                elif kind == http2.RST_STREAM:
                    raise AssertionError(f"stream {number} was reset: {payload!r}")
                elif kind == http2.HEADERS and number == stream:
                    head = payload
                elif kind == http2.DATA and number == stream:
                    body += payload
                    if payload:
                        window = http2.frame(http2.WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big"))
                        client.sendall(window)
                if number == stream and kind in {http2.HEADERS, http2.DATA} and flags & http2.END_STREAM:
                    break
            else:
                raise AssertionError(f"closed before stream {stream} was answered")
            # :status 200 is the eighth entry of the static table
            load.check(200 if b"\x88" in head[:2] else 0, body)
            yield


def _frames(client: ssl.SSLSocket) -> Iterator[tuple[int, int, int, bytes]]:
    pending = b""
    while True:
        while len(pending) >= 9:
            length = int.from_bytes(pending[:3], "big")
            if len(pending) < 9 + length:
                break
            yield pending[3], pending[4], int.from_bytes(pending[5:9], "big"), pending[9 : 9 + length]
            pending = pending[9 + length :]
        more = client.recv(65536)
        if not more:
            return
        pending += more
