"""Small clients on plain sockets: connections that are opened, used and kept."""

from __future__ import annotations

import socket
import ssl

HEAD_END = b"\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4


class Connection:
    """One kept connection. Answers have a Content-Length."""

    def __init__(
        self, port: int, context: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> None:
        """Connects, with a TLS handshake where there is a context, resumed where there is a session."""
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session)

    def get(self, path: str, token: str | None = None) -> tuple[int, bytes]:
        """Status and body of a GET."""
        credential = f"Authorization: Bearer {token}\r\n" if token else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{credential}\r\n".encode())
        data = b""
        while HEAD_END not in data:
            data += self._more()
        head, _, body = data.partition(HEAD_END)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += self._more()
        return int(head.split(b" ", 2)[1]), body

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a kept connection")
        return data

    def close(self) -> None:
        """Closes it."""
        self.socket.close()


class Http2Connection:
    """One kept HTTP/2 connection over TLS, one stream at a time (RFC 9113). Only tells 200 from anything else."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        """Connects; the context has to offer `h2`."""
        raw = socket.create_connection(("127.0.0.1", port), 20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            raise ValueError("HTTP/2 is measured over TLS")
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.buffer = b""
        self.stream = 1
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))

    def get(self, path: str) -> tuple[int, bytes]:
        """Status (200, or 0 for any other) and body of a GET."""
        stream, self.stream = self.stream, self.stream + 2
        # RFC 7541: `:method GET`, `:scheme https`, then `:authority` and `:path` as literals that are not indexed.
        block = b"\x82\x87" + literal(1, b"localhost") + literal(4, path.encode())
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        status, body = 0, b""
        while True:
            kind, flags, of, payload = self._frame()
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                raise ConnectionError("the server ends a kept connection")
            elif of == stream and kind == HEADERS:
                # Index 8 of the static table is `:status 200`; a dynamic table's size update may stand before it.
                block = payload.lstrip(bytes(range(0x20, 0x40)))
                status = 200 if block[:1] == b"\x88" else 0
            elif of == stream and kind == DATA:
                body += payload
            if of == stream and flags & END_STREAM and kind in {DATA, HEADERS}:
                return status, body

    def _frame(self) -> tuple[int, int, int, bytes]:
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3]):
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed a kept connection")
            self.buffer += data
        length = int.from_bytes(self.buffer[:3])
        kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9])
        payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
        return kind, flags, stream, payload

    def close(self) -> None:
        """Closes it."""
        self.socket.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def literal(name: int, value: bytes) -> bytes:
    """A field with an indexed name (below 15), not indexed itself (RFC 7541 section 6.2.2)."""
    return bytes([name, len(value)]) + value
