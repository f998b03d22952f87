"""Frames of HTTP/2 by hand, and attacks with them on a gateway process while another client asks for something."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.support import configs
from tests.support.process import Process
from tests.support.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
ENHANCE_YOUR_CALM = 11
# GET http:/index.html with :authority a, in HPACK's static table.
REQUEST = b"\x82\x86\x85\x41\x01a"
POST = b"\x83\x86\x85\x41\x01a"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def raw(address: tuple[str, int], settings: bytes = b"") -> socket.socket:
    client = socket.create_connection(address, timeout=10)
    client.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return client


def listener(**changes: object) -> configs.Config:
    return configs.listener(http2={"prior_knowledge": True}, **changes)


def memory(process: Process) -> int:
    """Resident bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def floods(process: Process) -> float:
    with Wire(("127.0.0.1", process.admin_port)) as wire:
        text = wire.ask(target="/metrics", host=f"127.0.0.1:{process.admin_port}").body.decode()
    return float(
        next(line.split()[-1] for line in text.splitlines() if line.startswith("yett_http2_floods_total"))
    )


def send_until_closed(client: socket.socket, blocks: Callable[[int], bytes], deadline: float) -> bool:
    """Sends `blocks(0)`, `blocks(1)`, … and says whether the gateway ended the connection before the deadline."""
    client.settimeout(0.5)
    number = 0
    while time.monotonic() < deadline:
        try:
            client.sendall(blocks(number))
        except TimeoutError:
            continue
        except OSError:
            return True
        number += 1
    return False


def attack(
    process: Process, blocks: Callable[[int], bytes], seconds: float = 1.0, settings: bytes = b""
) -> int:
    """Attacks on one connection after the other, and asks as another client: how many connections were ended.

    The other client is answered each time, and the process does not grow.
    """
    assert process.get("/a").status == 200
    before = memory(process)
    ended = 0
    deadline = time.monotonic() + seconds

    def one_after_the_other() -> None:
        nonlocal ended
        while time.monotonic() < deadline:
            with raw(("127.0.0.1", process.port), settings) as client:
                ended += send_until_closed(client, blocks, deadline)

    thread = threading.Thread(target=one_after_the_other)
    thread.start()
    most = before
    try:
        while thread.is_alive():
            assert process.get("/a").status == 200
            most = max(most, memory(process))
            thread.join(0.02)
    finally:
        thread.join(10)
    assert most - before < 48 << 20, f"grew by {most - before} bytes"
    return ended
