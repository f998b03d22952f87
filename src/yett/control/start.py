"""What happens before the first thread: sockets from outside, sockets that only root may bind, another user."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 (read later otherwise, when the user may be one who cannot)
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yett.control import activation, channel, predecessor, privileges, source
from yett.control.channel import Claim
from yett.control.logs import log
from yett.control.predecessor import Predecessor


@dataclass(frozen=True)
class Options:
    """How a gateway is run."""

    file: Path
    workers: int
    admin: str | None = None
    watch: bool = False
    socket: Path | None = None
    zone: str | None = None
    takeover: bool = False
    user: str | None = None
    gates: tuple[source.Gate, ...] = ()
    """What a configuration has to pass before it serves."""


@dataclass
class Start:
    """What the gateway begins with."""

    claimed: Claim
    before: Predecessor | None = None
    adopted: list[dict[str, Any]] = field(default_factory=list)
    loaded: source.Loaded | None = None
    weakened: list[str] = field(default_factory=list)


def prepare(options: Options) -> Start:
    """Raises nothing but what says why this process cannot serve.

    Raises:
        Unreachable: the control socket, or the gateway to take over from. Denied: the user. Refused: the configuration.
    """
    account = privileges.account(options.user) if options.user is not None else None
    activated = activation.take(os.environ)
    uid = os.getuid() if account is None else account.uid
    path = options.socket or channel.socket_path(options.file, uid)
    before = predecessor.connect(path, uid) if options.takeover else None
    if options.takeover and before is None:
        log().info("nobody_to_take_over_from", socket=str(path))
    adopted = list(before.adopted) if before is not None else []
    loaded: source.Loaded | None = None
    try:
        if activated or account is not None:
            loaded = source.read(options.file.absolute(), options.admin, options.zone)
            adopted += activation.match(activated, loaded.ir, adopted)
        if account is not None and loaded is not None:
            adopted += _bind(options.workers, loaded.ir, adopted)
            privileges.drop(account)
            log().info("user", uid=account.uid, gid=account.gid, groups=list(account.groups))
        claimed = before.claimed if before is not None else channel.claim(path, options.socket is None)
    except BaseException as error:
        if before is not None:
            before.fail(f"it cannot start: {error}")
            before.close()
        raise
    weakened = [privileges.AS_ROOT] if os.geteuid() == 0 else []
    return Start(claimed, before, adopted, loaded, weakened)


def _bind(workers: int, ir: bytes, adopted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sockets of the listeners that have none yet, while the process may bind any port."""
    from yett import _core

    document = json.loads(ir)
    wanted = [{"listener": one["name"], "address": one["address"]} for one in document["listeners"]]
    if document["admin"] is not None:
        wanted.append({"listener": None, "address": document["admin"]["address"]})
    have = {(one["listener"], one["address"]) for one in adopted}
    missing = [one for one in wanted if (one["listener"], one["address"]) not in have]
    held = sorted(set(_held(number for one in adopted for number in one["sockets"])))
    text = json.dumps({"workers": workers, "listeners": missing, "held": held}).encode()
    try:
        given: list[dict[str, Any]] = json.loads(_core.bind(text))
    except RuntimeError as error:
        raise source.Refused([{"text": str(error)}]) from None
    return given


def _held(numbers: Iterable[int]) -> Iterable[str]:
    for number in numbers:
        with socket.socket(fileno=os.dup(number)) as one:
            host, port = one.getsockname()[:2]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
