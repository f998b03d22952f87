"""Real peers that speak HTTP/2 with the `h2` library: a service that does what a test says, and a client."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from tests.support.waiting import eventually
from tests.support.wire import HeaderList

WAIT = 20.0
MAX_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


class Gone(Exception):
    """The stream was reset, or its connection is gone."""


@dataclass
class Stream:
    """One stream, seen from either end."""

    connection: Connection
    number: int
    head: HeaderList = field(default_factory=list)
    interim: list[HeaderList] = field(default_factory=list)
    body: bytes = b""
    unread: int = 0
    trailers: HeaderList = field(default_factory=list)
    ended: bool = False
    reset_code: int | None = None

    def __getitem__(self, name: str) -> str:
        values = [value for key, value in self.head if key == name]
        assert len(values) == 1, f"`{name}` stands {len(values)} times in {self.head}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.head)

    @property
    def status(self) -> int:
        self.wait(lambda: self.head)
        return int(self[":status"])

    def wait(self, until: Callable[[], object]) -> None:
        """Until it is true; raises `Gone` when it never will be."""
        with self.connection.changed:
            done = self.connection.changed.wait_for(
                lambda: until() or self.reset_code is not None or self.connection.closed, WAIT
            )
            assert done, f"stream {self.number}: nothing came"
            if not until():
                raise Gone

    def acknowledge(self, count: int | None = None) -> None:
        """Lets the other end send as much again as came and was not acknowledged."""
        with self.connection.changed:
            count = self.unread if count is None else min(count, self.unread)
            self.unread -= count
            if count and not self.connection.closed:
                self.connection.lib.acknowledge_received_data(count, self.number)
                self.connection.flush()

    def read(self) -> bytes:
        """The whole body."""
        while True:
            self.wait(lambda: self.ended or self.unread)
            self.acknowledge()
            if self.ended and not self.unread:
                return self.body

    def headers(self, fields: HeaderList, end: bool = False) -> None:
        self._do(lambda lib: lib.send_headers(self.number, fields, end_stream=end))

    def data(self, data: bytes, end: bool = False) -> None:
        """Sends at the pace of the other end."""
        view = memoryview(data)
        while True:
            with self.connection.changed:
                lib = self.connection.lib
                if view and not self.connection.changed.wait_for(self._room, WAIT):
                    raise AssertionError(f"stream {self.number}: the window stays closed")
                if self.reset_code is not None or self.connection.closed:
                    raise Gone
                count = min(len(view), self._room(), lib.max_outbound_frame_size)
                piece, view = view[:count], view[count:]
                last = end and not view
                self._do(lambda lib, piece=piece, last=last: lib.send_data(self.number, bytes(piece), last))
                if not view:
                    return

    def _room(self) -> int:
        if self.reset_code is not None or self.connection.closed:
            return 1
        return self.connection.lib.local_flow_control_window(self.number)

    def finish(self, trailers: HeaderList) -> None:
        self.headers(trailers, end=True)

    def reset(self, code: int = h2.errors.ErrorCodes.CANCEL) -> None:
        self._do(lambda lib: lib.reset_stream(self.number, code))

    def _do(self, act: Callable[[h2.connection.H2Connection], None]) -> None:
        with self.connection.changed:
            try:
                act(self.connection.lib)
                self.connection.flush()
            except (h2.exceptions.ProtocolError, OSError) as error:
                raise Gone from error


class Connection:
    """One connection; a thread reads it."""

    def __init__(
        self, sock: socket.socket, client: bool, settings: dict[int, int], began: Callable[[Stream], None]
    ):
        self.socket = sock
        self.client = client
        self.began = began
        self.changed = threading.Condition(threading.RLock())
        self.streams: dict[int, Stream] = {}
        self.closed = False
        self.goaway: tuple[int, int] | None = None
        self.pings = 0
        self.answers_pings = True
        config = h2.config.H2Configuration(client_side=client, header_encoding="latin-1")
        config.validate_outbound_headers = config.normalize_outbound_headers = False
        self.lib = h2.connection.H2Connection(config)
        self.lib.local_settings = h2.settings.Settings(client, {**dict(self.lib.local_settings), **settings})
        self.lib.initiate_connection()
        self.flush()

    def start(self) -> Connection:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def flush(self) -> None:
        data = self.lib.data_to_send()
        if data:
            self.socket.sendall(data)

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def say_goaway(self, last: int, code: int = 0) -> None:
        """GOAWAY by hand: the library would end the connection."""
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        with self.changed:
            self.socket.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + payload)

    def _read(self) -> None:
        try:
            while True:
                data = self._receive()
                if not data:
                    break
                with self.changed:
                    for event in self.lib.receive_data(data):
                        self._take(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            with self.changed:
                self.closed = True
                self.changed.notify_all()
            self.socket.close()

    def _receive(self) -> bytes:
        """OpenSSL takes no reading and writing at once."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return self.socket.recv(65536)
        if not self.socket.pending():
            select.select([self.socket], [], [])
        with self.changed:
            return self.socket.recv(65536)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                stream = Stream(self, event.stream_id, list(event.headers))
                self.streams[stream.number] = stream
                self.began(stream)
            case h2.events.InformationalResponseReceived():
                self.streams[event.stream_id].interim.append(list(event.headers))
            case h2.events.ResponseReceived():
                self.streams[event.stream_id].head = list(event.headers)
            case h2.events.DataReceived():
                stream = self.streams[event.stream_id]
                stream.body += event.data
                stream.unread += event.flow_controlled_length
            case h2.events.TrailersReceived():
                self.streams[event.stream_id].trailers = list(event.headers)
            case h2.events.StreamEnded():
                self.streams[event.stream_id].ended = True
            case h2.events.StreamReset() if event.stream_id in self.streams:
                self.streams[event.stream_id].reset_code = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = (event.last_stream_id or 0, int(event.error_code))
            case h2.events.PingReceived():
                self.pings += 1
                if not self.answers_pings:
                    self.lib.clear_outbound_data_buffer()


Behaviour = Callable[[Stream], None]


def reply(body: bytes = b"ok", *fields: tuple[str, str], status: int = 200) -> Behaviour:
    """Reads the whole request and answers."""

    def behave(stream: Stream) -> None:
        stream.read()
        stream.headers([(":status", str(status)), ("content-length", str(len(body))), *fields])
        stream.data(body, end=True)

    return behave


@dataclass
class Http2Service:
    """A service on a free port of the loopback address; each request is answered by a thread."""

    tls: ssl.SSLContext | None = None
    settings: dict[int, int] = field(default_factory=dict)
    behaviour: Behaviour = field(default_factory=reply)
    paths: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[Stream] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tls is not None:
            self.tls.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self.listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def only(self) -> Stream:
        assert len(self.requests) == 1, self.requests
        return self.requests[0]

    @property
    def open_connections(self) -> int:
        return sum(not connection.closed for connection in self.connections)

    def saw_nothing(self) -> bool:
        assert not self.requests, [request.head for request in self.requests]
        return True

    def wait_for(self, count: int = 1) -> list[Stream]:
        eventually(lambda: len(self.requests) >= count, WAIT, f"{count} requests")
        return self.requests

    def close(self) -> None:
        self.listener.close()
        for connection in self.connections:
            connection.close()
        assert not self.faults, self.faults

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._begin, args=(connection,), daemon=True).start()

    def _begin(self, sock: socket.socket) -> None:
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, False, self.settings, self._serve)
            self.connections.append(connection)
            connection.start()
        except OSError:
            sock.close()

    def _serve(self, stream: Stream) -> None:
        self.requests.append(stream)

        def run() -> None:
            path = stream[":path"].partition("?")[0]
            try:
                self.paths.get(path, self.behaviour)(stream)
            except Gone:
                pass
            except Exception as error:  # a test has to hear of it
                self.faults.append(f"{type(error).__name__}: {error}")

        threading.Thread(target=run, daemon=True).start()


class Http2Client:
    """A client's connection to the gateway."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None, **settings: int) -> None:
        sock = socket.create_connection(address, timeout=WAIT)
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
            sock = tls.wrap_socket(sock, server_hostname="localhost")
        sock.settimeout(None)
        self.scheme = "https" if tls else "http"
        chosen = {
            int(getattr(h2.settings.SettingCodes, name.upper())): value for name, value in settings.items()
        }
        self.connection = Connection(sock, True, chosen, lambda _: None).start()

    def __enter__(self) -> Http2Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def begin(
        self, method: str = "GET", path: str = "/", fields: HeaderList = (), end: bool = False
    ) -> Stream:  # type: ignore[assignment]
        """A request's head."""
        connection = self.connection
        with connection.changed:
            stream = Stream(connection, connection.lib.get_next_available_stream_id())
            connection.streams[stream.number] = stream
            names = [
                (":method", method),
                (":scheme", self.scheme),
                (":authority", "gateway.test"),
                (":path", path),
            ]
            stream.headers([*names, *fields], end)
        return stream

    def get(self, path: str = "/", fields: HeaderList = ()) -> Stream:  # type: ignore[assignment]
        """The answer, read to its end."""
        stream = self.begin("GET", path, fields, end=True)
        stream.read()
        return stream

    def post(self, path: str = "/", body: bytes = b"", fields: HeaderList = ()) -> Stream:  # type: ignore[assignment]
        """The answer, read to its end."""
        stream = self.begin("POST", path, fields)
        stream.data(body, end=True)
        stream.read()
        return stream
