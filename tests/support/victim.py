"""A service of its own process, to be killed: `python -m tests.support.victim PORT`. It sends back what it gets, padded to 16 KiB."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import eventually

ANSWER = 16 * 1024
ROOT = Path(__file__).resolve().parents[2]


def answer(method: bytes, body: bytes) -> bytes:
    """What a request with this body is answered."""
    return (method + b" " + body).ljust(ANSWER, b".")[:ANSWER]


class Victim:
    """Runs the service on one port, again and again."""

    def __init__(self) -> None:
        self.port: int = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it accepts connections."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.victim", str(self.port)], cwd=ROOT
        )
        eventually(self._accepts, what="a service that accepts connections")

    def _accepts(self) -> bool:
        assert self.process.poll() is None, "the service has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def serve(connection: socket.socket) -> None:
    """Requests with a Content-Length, or without a body."""
    pending = b""
    try:
        while True:
            while b"\r\n\r\n" not in pending:
                if not (more := connection.recv(65536)):
                    return
                pending += more
            head, _, pending = pending.partition(b"\r\n\r\n")
            fields = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in fields if line.startswith(b"content-length:")), 0)
            while len(pending) < length:
                if not (more := connection.recv(65536)):
                    return
                pending += more
            body, pending = pending[:length], pending[length:]
            text = answer(head.split(b" ", 1)[0], body)
            start = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            connection.sendall(start + text[:9000])
            connection.sendall(text[9000:])
    except OSError:
        pass
    finally:
        connection.close()


def main(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
