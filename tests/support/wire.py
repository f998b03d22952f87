"""A client that sends the bytes it is told to, and reads answers strictly."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HeaderList = list[tuple[str, str]]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class Truncated(AssertionError):
    """The connection closed before the answer was complete."""


@dataclass
class Reply:
    """One answer, as it came."""

    status: int
    headers: HeaderList
    body: bytes
    head: bytes
    interim: list[int] = field(default_factory=list)
    trailers: HeaderList = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, f"`{name}` stands {len(values)} times in {self.headers}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        """The stable code of a problem document (RFC 9457)."""
        if not any("problem+json" in value for value in self.all("content-type")):
            return None
        document = self.json()
        assert document["status"] == self.status, document
        return str(document["reason"])


def lines(block: bytes) -> HeaderList:
    """Header fields of a block without its start line; anything odd fails."""
    fields = []
    for line in block.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        assert colon and name and name == name.strip(), f"odd header line {line!r}"
        assert not any((byte < 32 and byte != 9) or byte == 127 for byte in line), (
            f"control character in {line!r}"
        )
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return fields


def head(method: str, target: str, headers: Headers = (), host: str | None = "gateway.test") -> bytes:
    """A request head with exactly these fields, a Host first unless `host` is None."""
    fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if host is not None and not any(name.lower() == "host" for name, _ in fields):
        fields.insert(0, ("Host", host))
    text = (
        f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    )
    return text.encode("latin-1")


class Wire:
    """One connection to the gateway."""

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 15.0,
        receive_buffer: int | None = None,
        source: tuple[str, int] | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self.socket.bind(source)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name or address[0])
        self.pending = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def try_send(self, data: bytes) -> bool:
        """Sends; False when the gateway had closed already."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def _more(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Truncated(f"reset by the gateway after {self.pending[:300]!r}") from error
        except ssl.SSLEOFError:
            data = b""
        self.pending += data
        return data

    def until(self, mark: bytes) -> bytes:
        while mark not in self.pending:
            if not self._more():
                raise Truncated(f"closed before {mark!r}: {self.pending[:300]!r}")
        found, _, self.pending = self.pending.partition(mark)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self.pending) < count:
            if not self._more():
                raise Truncated(f"closed after {len(self.pending)} of {count} bytes: {self.pending[:300]!r}")
        found, self.pending = self.pending[:count], self.pending[count:]
        return found

    def rest(self) -> bytes:
        """Everything until the gateway closes."""
        while self._more():
            pass
        found, self.pending = self.pending, b""
        return found

    def closed(self, within: float = 40.0) -> bool:
        """Whether the gateway closes, by FIN or RST, without sending more."""
        if self.pending:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(within)
        try:
            return not self._more()
        except Truncated:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(before)

    def quiet(self, seconds: float) -> bool:
        """Whether nothing at all comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return not self.pending and self._more() is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(15.0)

    def read_head(self) -> tuple[int, HeaderList, bytes]:
        raw = self.until(b"\r\n\r\n")
        start, _, block = raw.partition(b"\r\n")
        version, _, rest = start.partition(b" ")
        assert version == b"HTTP/1.1", f"odd status line {start!r}"
        return int(rest[:3]), lines(block), raw + b"\r\n\r\n"

    def reply(self, method: str = "GET") -> Reply:
        """The next answer, interim ones noted; its framing has to be unambiguous."""
        interim = []
        while True:
            status, headers, raw = self.read_head()
            if status >= 200:
                break
            interim.append(status)
        answer = Reply(status, headers, b"", raw, interim)
        lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
        assert not (lengths and codings), f"both framings in {headers}"
        assert len(lengths) <= 1 and codings in ([], ["chunked"]), f"odd framing in {headers}"
        if status in (204, 304):
            assert not codings, "204 and 304 have no Transfer-Encoding"
        if method == "HEAD" or status in (204, 304):
            return answer
        if codings:
            answer.body, answer.trailers = self._chunks()
        elif lengths:
            assert lengths[0].isdigit()
            answer.body = self.exactly(int(lengths[0]))
        else:
            answer.body = self.rest()
        return answer

    def _chunks(self) -> tuple[bytes, HeaderList]:
        body = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            if size == 0:
                block = b""
                while line := self.until(b"\r\n"):
                    block += line + b"\r\n"
                return body, lines(block)
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"

    def ask(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Headers = (),
        body: bytes = b"",
        host: str | None = "gateway.test",
    ) -> Reply:
        """One request and its answer on this connection."""
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in fields}
        if body and not names & {"content-length", "transfer-encoding"}:
            fields.append(("Content-Length", str(len(body))))
        self.send(head(method, target, fields, host) + body)
        return self.reply(method)
