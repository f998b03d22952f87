"""A real WebSocket service (the `websockets` library) on a thread, and a client for it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.configs import Config
from tests.support.gateway import Gateway


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


class WebSocketService:
    """Answers each message as the behaviour says; it keeps the requests that it was asked with."""

    def __init__(self, behaviour: Callable[[ServerConnection], None] = echo, **options: Any) -> None:
        self.requests: list[Any] = []
        self.open = 0
        self.ends: list[tuple[int | None, str]] = []
        self._lock = threading.Lock()
        self._behaviour = behaviour
        self.server: Server = serve(self._serve, "127.0.0.1", 0, **options)
        self.port: int = self.server.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _serve(self, connection: ServerConnection) -> None:
        with self._lock:
            self.requests.append(connection.request)
            self.open += 1
        try:
            self._behaviour(connection)
        finally:
            with self._lock:
                self.open -= 1
                self.ends.append((connection.close_code, connection.close_reason or ""))

    def saw_nothing(self) -> bool:
        assert self.requests == []
        return True

    def config(self, **changes: Any) -> Config:
        return {"endpoints": self.url, "plaintext": "test", **changes}

    def close(self) -> None:
        self.server.shutdown()


def dial(
    gateway: Gateway, target: str = "/a", headers: dict[str, str] | None = None, **options: Any
) -> ClientConnection:
    """A WebSocket connection through the gateway."""
    tls: ssl.SSLContext | None = options.pop("tls", None)
    scheme, name = ("wss", "localhost") if tls else ("ws", "gateway.test")
    options.setdefault("compression", None)
    host, port = gateway.address()
    connection = socket.create_connection((host, port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connect(
        f"{scheme}://{name}:{port}{target}",
        sock=connection,
        additional_headers=headers,
        ssl=tls,
        proxy=None,
        open_timeout=10,
        close_timeout=5,
        ping_interval=None,
        **options,
    )
