"""Services in Python under test: an ASGI or WSGI application on a real server and a free port."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn

from tests.support.waiting import eventually
from tests.support.wire import Headers, Reply


class Asgi:
    """uvicorn on a thread."""

    def __init__(self, app: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="critical", lifespan="off", interface="asgi3", ws="websockets-sansio"
            )
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        eventually(lambda: self.server.started, what="uvicorn serves")

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        """Then reads what the application did not: a close over it would take the answer back (RFC 9112 section 9.6)."""
        super().handle()
        self.connection.settimeout(15)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65_536):
                pass


class Wsgi:
    """wsgiref on a thread."""

    def __init__(self, app: Any) -> None:
        self.server = make_server("127.0.0.1", 0, app, server_class=_Threads, handler_class=_Quiet)
        self.port: int = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def ask(
    service: Asgi | Wsgi, method: str = "GET", target: str = "/", headers: Headers = (), body: bytes = b""
) -> Reply:
    """A request to the service itself, around any gateway."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=15)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        for name, value in [*fields, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read(), b"")
    finally:
        connection.close()
