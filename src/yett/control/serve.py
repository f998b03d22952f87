"""`yett run`: the main thread's loop beside the data plane's threads; signals, the control socket, the watcher."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yett.control import channel, logs, source, watch
from yett.control.logs import log
from yett.control.plane import Plane
from yett.control.supervise import Supervisor
from yett.control.systemd import Notifier, watchdog_interval_s

EVENTS_WAIT_S = 0.5
# After a second signal: what the threads get to close their connections before the process is gone.
HURRY_S = 2.0


@dataclass(frozen=True)
class Options:
    """How a gateway is run."""

    file: Path
    workers: int
    admin: str | None = None
    watch: bool = False
    socket: Path | None = None
    zone: str | None = None


def serve(options: Options) -> int:
    """Runs until a signal ends it. Returns the exit code: 1 when the configuration did not load."""
    logs.configure()
    path = options.socket or channel.socket_path(options.file)
    try:
        with channel.claim(path, derived=options.socket is None) as bound:
            return asyncio.run(_main(options, bound))
    except channel.Unreachable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1


async def _main(options: Options, bound: socket.socket) -> int:
    stop = asyncio.Event()
    hurry = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopping() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping)
    # until the first configuration serves, there is nothing to read again and no log to reopen
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)

    gateway = source.new_gateway(json.dumps({"workers": options.workers}).encode())
    notifier = Notifier(os.environ)
    plane = Plane(options.file.absolute(), options.admin, gateway, notifier, options.zone)
    supervisor = Supervisor()
    try:
        first = await plane.reload("start")
        if not first.ok:
            return 1
        loop.add_signal_handler(signal.SIGUSR1, lambda: _reopen(gateway))
        reloads = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reloads.set)
        supervisor.start("control_socket", lambda: channel.serve(bound, _Commands(plane, supervisor)))
        supervisor.start("sighup", lambda: _reload_on_signal(reloads, plane))
        supervisor.start("events", lambda: _events(gateway))
        if options.watch:
            supervisor.start("watch", lambda: _reload_on_change(plane))
        interval = watchdog_interval_s(os.environ)
        if interval is not None:
            supervisor.start("watchdog", lambda: notifier.watch(gateway, interval))
        listeners = plane.status()["gateway"].get("listeners", [])
        log().info("serving", revision=plane.revision, listeners=listeners, workers=options.workers)
        notifier.ready(plane.summary())
        await stop.wait()
        notifier.stopping()
        log().info("stopping", drain_s=plane.drain_s)
        return 0
    finally:
        await _drain(gateway, plane.drain_s, hurry)
        await supervisor.stop()
        _log_events(gateway.events(0.0))
        log().info("stopped")


async def _drain(gateway: Any, deadline_s: float, hurry: asyncio.Event) -> None:
    """Lets requests finish; a second signal cuts them."""
    graceful = asyncio.create_task(asyncio.to_thread(gateway.stop, deadline_s))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({graceful, hurried}, return_when=asyncio.FIRST_COMPLETED)
    if graceful.done():
        hurried.cancel()
        return
    log().warning("stopping_now")
    now = asyncio.create_task(asyncio.to_thread(gateway.stop, 0.0))
    await asyncio.wait({graceful, now}, timeout=HURRY_S)
    if not graceful.done():
        # a thread that is still draining would hold the interpreter's exit
        os._exit(1)


def _reopen(gateway: Any) -> None:
    gateway.reopen_logs()
    log().info("logs_reopened")


async def _reload_on_signal(signalled: asyncio.Event, plane: Plane) -> None:
    while True:
        await signalled.wait()
        signalled.clear()
        await plane.reload("SIGHUP")


async def _reload_on_change(plane: Plane) -> None:
    async for _ in watch.changes(plane.files):
        await plane.reload("watch")


async def _events(gateway: Any) -> None:
    while True:
        _log_events(await asyncio.to_thread(gateway.events, EVENTS_WAIT_S))


def _log_events(lines: list[str]) -> None:
    for line in lines:
        fields = json.loads(line)
        level = fields.pop("level", "info")
        event = fields.pop("event", "event")
        fields.pop("timestamp", None)
        getattr(log(), level if level in {"info", "warning", "error"} else "info")(event, **fields)


class _Commands:
    """What the control socket answers."""

    def __init__(self, plane: Plane, supervisor: Supervisor) -> None:
        self._plane = plane
        self._supervisor = supervisor

    async def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        self._plane.restarts = self._supervisor.restarts
        match request.get("command"):
            case "reload":
                return asdict(await self._plane.reload("yett reload"))
            case "status":
                return self._plane.status()
            case other:
                return {"error": f"`{other}` is not a command"}
