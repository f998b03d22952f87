"""A real service: HTTP/1.1 on a thread per connection; it records the exact bytes and answers what the test says."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.waiting import eventually
from tests.support.wire import HeaderList, lines


@dataclass
class Seen:
    """One request, as it came."""

    method: str
    target: str
    headers: HeaderList
    body: bytes
    head: bytes
    connection: int
    complete: bool = False

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, f"`{name}` stands {len(values)} times in {self.headers}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}


class Hangup(Exception):
    """The behaviour closed the connection."""


@dataclass
class Stage:
    """What a behaviour has in its hands: the connection, and the request (its body unread unless asked for)."""

    origin: Origin
    socket: socket.socket
    request: Seen
    number: int
    pending: bytes
    raw: bytearray
    body_read: bool = False

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Hangup from error

    def more(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Hangup
        self.raw += data
        self.pending += data
        return data

    def read_exactly(self, count: int) -> bytes:
        parts, got = [self.pending], len(self.pending)
        while got < count:
            self.pending = b""
            parts.append(self.more())
            got += len(parts[-1])
        found = b"".join(parts)
        self.pending = found[count:]
        return found[:count]

    def read_line(self) -> bytes:
        while b"\r\n" not in self.pending:
            self.more()
        found, _, self.pending = self.pending.partition(b"\r\n")
        return found

    def read_body(self) -> bytes:
        if self.body_read:
            return self.request.body
        self.body_read = True
        request = self.request
        codings, lengths = request.all("transfer-encoding"), request.all("content-length")
        assert not (codings and lengths), f"ambiguous framing reached the origin: {request.headers}"
        if codings:
            assert codings == ["chunked"], codings
            while size := int(self.read_line(), 16):
                request.body += self.read_exactly(size)
                assert self.read_exactly(2) == b"\r\n"
            while self.read_line():
                pass
        elif lengths:
            assert len(lengths) == 1 and lengths[0].isdigit(), lengths
            request.body = self.read_exactly(int(lengths[0]))
        request.complete = True
        return request.body

    def close(self) -> None:
        raise Hangup

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()
        raise Hangup


Behaviour = Callable[[Stage], None]


def reply(
    status: int = 200, body: bytes = b"ok", headers: HeaderList | None = None, reason: str = "OK"
) -> Behaviour:
    """Reads the whole request and answers with a Content-Length."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers or [])
    length = "" if status in (204, 304) else f"Content-Length: {len(body)}\r\n"
    start = f"HTTP/1.1 {status} {reason}\r\n{fields}{length}\r\n".encode("latin-1")

    def behave(stage: Stage) -> None:
        stage.read_body()
        stage.send(start if stage.request.method == "HEAD" else start + body)

    return behave


def raw(data: bytes, close: bool = False, read_body: bool = True) -> Behaviour:
    """Answers with exactly these bytes."""

    def behave(stage: Stage) -> None:
        if read_body:
            stage.read_body()
        stage.send(data)
        if close:
            stage.close()

    return behave


@dataclass
class Origin:
    """A service on a free port of the loopback address."""

    name: str = "origin"
    tls: ssl.SSLContext | None = None
    address: str = "127.0.0.1"
    at_port: int = 0
    requests: list[Seen] = field(default_factory=list)
    received: list[bytearray] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    behaviour: Behaviour = field(default_factory=reply)
    paths: dict[str, Behaviour] = field(default_factory=dict)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.at_port))
        self.listener.listen(512)
        self.port: int = self.listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._accept, daemon=True, name=f"{self.name}-accept")
        self._thread.start()

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """As logs name it."""
        return f"{self.address}:{self.port}"

    @property
    def only(self) -> Seen:
        assert len(self.requests) == 1, f"{len(self.requests)} requests: {self.requests}"
        return self.requests[0]

    @property
    def last(self) -> Seen:
        return self.requests[-1]

    @property
    def connections(self) -> int:
        return len(self.received)

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def answers(self, status: int = 200, body: bytes = b"ok", headers: HeaderList | None = None) -> None:
        self.behaviour = reply(status, body, headers)

    def sends(self, data: bytes, close: bool = False) -> None:
        self.behaviour = raw(data, close)

    def saw_nothing(self) -> bool:
        """True when not one byte came over any connection."""
        seen = b"".join(bytes(data) for data in self.received)
        assert not seen, f"the origin saw {seen[:300]!r}"
        return True

    def saw_no_more_than(self, count: int) -> bool:
        """True when exactly so many requests came, and no byte beyond them."""
        assert len(self.requests) == count, [request.head for request in self.requests]
        return True

    def forget(self) -> None:
        self.requests.clear()
        for data in self.received:
            data.clear()

    def wait_for(self, count: int = 1, within: float = 40.0) -> list[Seen]:
        eventually(lambda: len(self.requests) >= count, within, f"{count} requests at {self.name}")
        return self.requests

    def stop_listening(self) -> None:
        """New connections are refused from now on."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def drop_connections(self) -> None:
        with self._lock:
            for connection in self._open.values():
                try:
                    # Below TLS, which its own thread is busy with.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self) -> None:
        try:
            self.stop_listening()
        except OSError:
            pass
        self.drop_connections()
        assert not self.faults, self.faults

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name=self.name).start()

    def _serve(self, connection: socket.socket) -> None:
        data = bytearray()
        with self._lock:
            number = len(self.received)
            self.received.append(data)
            self._open[number] = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                # The one before has nothing in it any more.
                with self._lock:
                    self._open[number] = connection
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                    pending += more
                pending = self._one(connection, number, pending, data)
        except (OSError, Hangup):
            pass
        except Exception as error:  # a test has to hear of it
            self.faults.append(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._open.pop(number, None)
            connection.close()

    def _one(self, connection: socket.socket, number: int, pending: bytes, data: bytearray) -> bytes:
        text, _, pending = pending.partition(b"\r\n\r\n")
        start, _, block = text.partition(b"\r\n")
        method, target, version = start.decode("latin-1").split(" ")
        assert version == "HTTP/1.1", start
        request = Seen(method, target, lines(block), b"", text + b"\r\n\r\n", number)
        self.requests.append(request)
        stage = Stage(self, connection, request, number, pending, data)
        path = target.partition("?")[0]
        behave = self.paths.get(path, self.behaviour)
        behave(stage)
        stage.read_body()
        if "close" in request.all("connection"):
            raise Hangup
        return stage.pending
