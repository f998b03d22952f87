"""Socket activation: listening sockets that the service manager has opened (sd_listen_fds(3))."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from yett.control import source

FIRST = 3
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

Endpoint = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


@dataclass(frozen=True)
class Activated:
    """A socket that came with the start."""

    number: int
    name: str


def take(environment: MutableMapping[str, str]) -> list[Activated]:
    """The sockets that are meant for this process. No child inherits them, nor the variables.

    Raises:
        Refused: the variables contradict each other.
    """
    process, count, names = (environment.pop(name, "") for name in VARIABLES)
    if process != str(os.getpid()) or not count:
        return []
    if not count.isdecimal() or int(count) > 4096:
        raise source.Refused([{"text": f"LISTEN_FDS: `{count}` is no number of descriptors"}])
    numbers = range(FIRST, FIRST + int(count))
    named = names.split(":") if names else [""] * len(numbers)
    if len(named) != len(numbers):
        text = f"LISTEN_FDNAMES has {len(named)} names, LISTEN_FDS {len(numbers)} descriptors"
        raise source.Refused([{"text": text}])
    for number in numbers:
        try:
            fcntl.fcntl(number, fcntl.F_SETFD, fcntl.fcntl(number, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)
        except OSError as error:
            text = f"LISTEN_FDS: descriptor {number} is not open: {error.strerror}"
            raise source.Refused([{"text": text}]) from None
    return [Activated(number, name) for number, name in zip(numbers, named, strict=True)]


def match(activated: list[Activated], ir: bytes, adopted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the data plane adopts: each socket goes to the listener of its name, else to the one of its address.

    `adopted` came from a predecessor already.

    Raises:
        Refused: a socket belongs to no listener, or not as the configuration has it.
    """
    document = json.loads(ir)
    wanted: dict[str | None, str] = {one["name"]: one["address"] for one in document["listeners"]}
    if document["admin"] is not None:
        wanted[None] = document["admin"]["address"]
    found: dict[str | None, list[int]] = {}
    problems = []
    for one in activated:
        try:
            listener = _listener(one, wanted)
        except ValueError as error:
            problems.append({"text": f"socket activation: descriptor {one.number} (`{one.name}`) {error}"})
        else:
            found.setdefault(listener, []).append(one.number)
    taken = {one["listener"] for one in adopted}
    problems += [
        {"text": f"socket activation: {_what(listener)} has its sockets from the gateway before already"}
        for listener in found
        if listener in taken
    ]
    if len(found.get(None, [])) > 1:
        problems.append({"text": "socket activation: the admin listener takes one socket"})
    if problems:
        raise source.Refused(problems)
    return [
        {"listener": listener, "address": wanted[listener], "sockets": numbers, "lock": None}
        for listener, numbers in found.items()
    ]


def _listener(one: Activated, wanted: dict[str | None, str]) -> str | None:
    with socket.socket(fileno=os.dup(one.number)) as found:
        if found.family not in {socket.AF_INET, socket.AF_INET6} or found.type != socket.SOCK_STREAM:
            raise ValueError("is no TCP socket; use ListenStream= with an address and a port")
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError("does not listen; the unit needs Accept=no")
        host, port = found.getsockname()[:2]
    real = (ipaddress.ip_address(host), port)
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if one.name in wanted:
        if not _fits(real, wanted[one.name]):
            raise ValueError(
                f"is on `{shown}`, and the listener of that name on `{wanted[one.name]}`; "
                "write the same in both places"
            )
        return one.name
    for listener, address in wanted.items():
        if _endpoint(address) == real:
            return listener
    raise ValueError(
        f"is on `{shown}`, which is the address of no listener; remove it from the unit, or add a listener"
    )


def _endpoint(address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")), int(port)


def _fits(real: Endpoint, address: str) -> bool:
    host, port = _endpoint(address)
    return host == real[0] and port in {0, real[1]}


def _what(listener: str | None) -> str:
    return "the admin listener" if listener is None else f"the listener `{listener}`"
