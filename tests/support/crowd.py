"""A crowd of clients that hold on to a gateway process, while another client asks for something."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.http2 import memory
from tests.support.process import Process
from tests.support.waiting import eventually


def descriptors(process: Process) -> int:
    """Open ones."""
    return len(os.listdir(f"/proc/{process.process.pid}/fd"))


def hold(
    process: Process,
    begin: Callable[[socket.socket], None],
    trickle: Callable[[socket.socket], None] | None = None,
    count: int = 300,
    within: float = 15.0,
    growth: int = 32 << 20,
    receive_buffer: int | None = None,
    ask: Callable[[], int] | None = None,
) -> None:
    """Opens `count` connections, does `begin` on each, then `trickle` now and again, reading nothing.

    Every one of them is ended by the gateway, another client is answered all the while, memory stays within `growth`
    and descriptors come back.
    """
    status = ask or (lambda: process.get("/a").status)
    assert status() == 200
    before, files = memory(process), descriptors(process)
    crowd: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.socket()
            if receive_buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.connect(("127.0.0.1", process.port))
            begin(client)
            crowd.append(client)
        deadline = time.monotonic() + within
        most = 0
        waiting = set(crowd)
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} of {count} are still connected"
            assert status() == 200
            most = max(most, memory(process))
            waiting -= ended(waiting, process.port)
            if trickle is not None:
                for client in waiting:
                    with contextlib.suppress(OSError):
                        trickle(client)
        assert most - before < growth, f"grew by {most - before} bytes"
    finally:
        for client in crowd:
            client.close()
    eventually(lambda: descriptors(process) <= files + 2, within=10, what="descriptors that come back")


def ended(clients: set[socket.socket], port: int) -> set[socket.socket]:
    """Those that were told of the end, and those of which the system holds nothing any more on the gateway's side.

    A client that reads nothing is not told: what it did not read stands before the end.
    """
    poll = select.poll()
    by_number = {client.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.POLLRDHUP)
    gone = select.POLLRDHUP | select.POLLHUP | select.POLLERR
    told = {by_number[number] for number, events in poll.poll(50) if events & gone}
    held = peers(port)
    return told | {client for client in clients if client.getsockname()[1] not in held}


def peers(port: int) -> set[int]:
    """Ports of the clients whose connection to this local port the system holds, with or without a process."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].partition(":")[2], 16) for row in rows if int(row[1].partition(":")[2], 16) == port}
