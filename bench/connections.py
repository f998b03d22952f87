"""A small HTTP/1.1 client on plain sockets: connections that are opened, used and kept."""

from __future__ import annotations

import socket
import ssl

HEAD_END = b"\r\n\r\n"


class Connection:
    """One kept connection. Answers have a Content-Length."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        """Connects, with a TLS handshake where there is a context."""
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

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
