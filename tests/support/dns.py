"""A small DNS server (RFC 1035) over UDP and TCP on one port, which says what a test tells it, lies included."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable

A, PTR, AAAA, CNAME = 1, 12, 28, 5
SERVFAIL, NXDOMAIN = 2, 3
Records = list[tuple[int, bytes]]
Answer = Records | int | Callable[[bytes], list[bytes]]
"""Records, a code of failure, or what makes datagrams of a question."""


def wire(name: str) -> bytes:
    """A name in labels."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def reverse(address: str) -> str:
    """Under which its names stand."""
    return ipaddress.ip_address(address).reverse_pointer


def message(
    question: bytes, records: Records = (), code: int = 0, flags: int = 0x8180, ttl: int = 300
) -> bytes:  # type: ignore[assignment]
    """An answer to this question; its records belong to the name that was asked for."""
    head = question[:2] + struct.pack("!HHHHH", flags | code, 1, len(records), 0, 0)
    body = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data for kind, data in records
    )
    return head + question[12:] + body


def ptr(name: str) -> Records:
    return [(PTR, wire(name))]


def address(*texts: str) -> Records:
    found = [ipaddress.ip_address(text) for text in texts]
    return [(A if one.version == 4 else AAAA, one.packed) for one in found]


class Dns:
    """`dns.zone[name, kind]` is what it says; whatever it does not know does not exist. `dns.asked` are the questions."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, int], Answer] = {}
        self.whole: dict[tuple[str, int], Records] = {}
        """What it says over TCP, where that is something else."""
        self.asked: list[tuple[str, int]] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        for serve in (self._datagrams, self._streams):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def resolver(self) -> str:
        return f"127.0.0.1:{self.port}"

    def knows(self, client: str, name: str, *addresses: str) -> None:
        """`client` is called `name`, which has these addresses (its own if none are given)."""
        self.zone[reverse(client), PTR] = ptr(name)
        kind = AAAA if ":" in client else A
        self.zone[name, kind] = address(*(addresses or (client,)))

    def close(self) -> None:
        self._udp.close()
        self._tcp.close()

    def _answers(self, question: bytes, streamed: bool = False) -> list[bytes]:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        key = ".".join(labels), struct.unpack("!H", question[at + 1 : at + 3])[0]
        self.asked.append(key)
        if streamed and key in self.whole:
            return [message(question, self.whole[key])]
        answer = self.zone.get(key, NXDOMAIN)
        if callable(answer):
            return answer(question)
        return [message(question, code=answer) if isinstance(answer, int) else message(question, answer)]

    def _datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, client = self._udp.recvfrom(4096)
                for one in self._answers(question):
                    self._udp.sendto(one, client)

    def _streams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    length = struct.unpack("!H", connection.recv(2))[0]
                    for one in self._answers(connection.recv(length), streamed=True)[:1]:
                        connection.sendall(struct.pack("!H", len(one)) + one)
