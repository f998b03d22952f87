"""JA4 of a client hello, computed apart from the gateway: from the bytes that a client sends to a socket."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable


def captured(connect: Callable[[int], None]) -> bytes:
    """What a client sends first: `connect` is given a port of the loopback, and may fail."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(40)
        port = server.getsockname()[1]
        client = threading.Thread(target=_tried, args=(connect, port), daemon=True)
        client.start()
        connection, _ = server.accept()
        with connection:
            connection.settimeout(40)
            received = b""
            while len(received) < 5 or len(received) < 5 + struct.unpack("!H", received[3:5])[0]:
                received += connection.recv(65536)
        client.join(40)
    return received


def _tried(connect: Callable[[int], None], port: int) -> None:
    try:
        connect(port)
    except OSError:
        pass


def ja4(record: bytes) -> str:
    """Of a hello in one record."""
    assert record[0] == 22 and record[5] == 1
    body = record[9 : 9 + int.from_bytes(record[6:9], "big")]
    version, at = struct.unpack("!H", body[:2])[0], 34
    at += 1 + body[at]
    count = struct.unpack("!H", body[at : at + 2])[0]
    ciphers = _numbers(body[at + 2 : at + 2 + count])
    at += 2 + count
    at += 1 + body[at] + 2
    extensions: dict[int, bytes] = {}
    while at < len(body):
        kind, length = struct.unpack("!HH", body[at : at + 4])
        extensions[kind] = body[at + 4 : at + 4 + length]
        at += 4 + length
    kinds = [kind for kind in extensions if not _made_up(kind)]
    if 43 in extensions:
        version = max(_numbers(extensions[43][1:]))
    alpn = "00"
    if 16 in extensions:
        name = extensions[16][3 : 3 + extensions[16][2]].decode()
        alpn = name[0] + name[-1]
    first = "t" + {0x304: "13", 0x303: "12"}[version] + ("d" if 0 in extensions else "i")
    first += f"{len(ciphers):02}{len(kinds):02}{alpn}"
    listed = ",".join(f"{kind:04x}" for kind in sorted(kinds) if kind not in (0, 16))
    algorithms = ",".join(f"{one:04x}" for one in _numbers(extensions[13][2:]))
    return "_".join(
        (first, _hash(",".join(sorted(f"{one:04x}" for one in ciphers))), _hash(f"{listed}_{algorithms}"))
    )


def _numbers(data: bytes) -> list[int]:
    found = [value for (value,) in struct.iter_unpack("!H", data)]
    return [value for value in found if not _made_up(value)]


def _made_up(value: int) -> bool:
    """GREASE (RFC 8701)."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
