"""`yett run`: the main thread's loop beside the data plane's threads; signals, the control socket, the watcher."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from yett.control import channel, logs, privileges, source, spiffe, watch
from yett.control.acme.manager import Manager
from yett.control.channel import Conversation
from yett.control.handover import Handover
from yett.control.key_uses import KeyUses
from yett.control.logs import log
from yett.control.plane import Plane, report_problems
from yett.control.start import Options, Start, prepare
from yett.control.supervise import Supervisor
from yett.control.systemd import Notifier, watchdog_interval_s

EVENTS_WAIT_S = 0.5
# After a second signal: what the threads get to close their connections before the process is gone.
HURRY_S = 2.0


def serve(options: Options) -> int:
    """Runs until a signal or a successor ends it. Returns the exit code: 1 when it did not come to serve."""
    logs.configure()
    # until the first configuration serves, there is nothing to read again and no log to reopen
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        begun = prepare(options)
        with begun.claimed:
            try:
                return asyncio.run(_main(options, begun))
            finally:
                if begun.before is not None:
                    begun.before.close()
    except source.Refused as refused:
        report_problems("start", refused.problems)
    except (channel.Unreachable, privileges.Denied) as error:
        print(error, file=sys.stderr)  # noqa: T201
    return 1


async def _main(options: Options, begun: Start) -> int:
    signals = _Signals()
    before, claimed = begun.before, begun.claimed
    gateway = source.new_gateway(json.dumps({"workers": options.workers, "adopted": begun.adopted}).encode())
    notifier = Notifier(os.environ)
    plane = Plane(
        options.file.absolute(), options.admin, gateway, notifier, options.zone, begun.weakened, options.gates
    )
    supervisor = Supervisor()
    handover = Handover(gateway, claimed, plane)
    uses = KeyUses(gateway, plane)
    control = channel.Channel(claimed, _Commands(plane, supervisor, handover, uses))
    leaving = False
    try:
        first = await plane.reload("start", begun.loaded)
        if not first.ok or signals.stop.is_set():
            if before is not None:
                before.fail("its configuration does not load" if not first.ok else "it was stopped")
            return 1
        if before is not None and not await asyncio.to_thread(before.ready):
            log().warning("predecessor_is_gone", process=before.pid)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: _reopen(gateway))
        reloads = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reloads.set)
        answering = supervisor.start("control_socket", control.serve)
        if before is not None:
            # the socket is answered here before the other one leaves it
            await asyncio.sleep(0)
            before.done()
        supervisor.start("sighup", lambda: _reload_on_signal(reloads, plane))
        for name, task in (
            ("acme", Manager(plane, gateway).run),
            ("spiffe", lambda: spiffe.reload_on_change(plane)),
            ("key_uses", uses.run),
            ("events", lambda: _events(gateway)),
        ):
            supervisor.start(name, task)
        if options.watch:
            supervisor.start("watch", lambda: _reload_on_change(plane))
        interval = watchdog_interval_s(os.environ)
        if interval is not None:
            supervisor.start("watchdog", lambda: notifier.watch(gateway, interval))
        listeners = plane.status()["gateway"].get("listeners", [])
        log().info(
            "serving",
            revision=plane.revision,
            listeners=listeners,
            workers=options.workers,
            **({"took_over_from": before.pid} if before else {}),
        )
        notifier.ready(plane.summary())
        await _first(signals.stop, handover.leaving)
        leaving = await handover.settle()
        if leaving:
            answering.cancel()
        notifier.stopping()
        log().info("stopping", drain_s=plane.drain_s)
        return 0
    finally:
        await _drain(gateway, plane.drain_s, signals.hurry, leaving=leaving)
        await supervisor.stop()
        plane.workloads.close()
        await control.close()
        _log_events(gateway.events(0.0))
        log().info("stopped")


class _Signals:
    """SIGTERM and SIGINT: the first stops, the second hurries."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._one)

    def _one(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _drain(gateway: Any, deadline_s: float, hurry: asyncio.Event, *, leaving: bool) -> None:
    """Lets requests finish; a second signal cuts them."""
    end = gateway.leave if leaving else gateway.stop
    graceful = asyncio.create_task(asyncio.to_thread(end, deadline_s))
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


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


async def _asked(desk: Callable[[bytes], bytes], request: dict[str, Any]) -> dict[str, Any]:
    """What a desk of the data plane answers to a person at the command line."""
    document = json.dumps({**_object(request.get("request")), "by": "cli"}).encode()
    return dict(json.loads(await asyncio.to_thread(desk, document)))


class _Commands:
    """What the control socket answers."""

    def __init__(self, plane: Plane, supervisor: Supervisor, handover: Handover, uses: KeyUses) -> None:
        self._plane = plane
        self._uses = uses
        self._supervisor = supervisor
        self._handover = handover

    async def __call__(self, conversation: Conversation, request: dict[str, Any]) -> dict[str, Any] | None:
        self._plane.restarts = self._supervisor.restarts
        match request.get("command"):
            case "reload":
                return asdict(await self._plane.reload("yett reload"))
            case "status":
                return self._plane.status()
            case "key_uses":
                return {"uses": await asyncio.to_thread(self._uses.known)}
            case "revocations":
                return await _asked(self._plane.revocations, request)
            case "bans":
                return await _asked(self._plane.bans, request)
            case "quotas":
                return await _asked(self._plane.quotas, request)
            case "takeover":
                return await self._handover.give(conversation, request)
            case other:
                return {"error": f"`{other}` is not a command"}
