"""Reloading through the gates: read, check, compile, apply; or nothing changes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from yett.config.acme import Ordered
from yett.config.collector import without_collector
from yett.config.spiffe import Context
from yett.control import source
from yett.control.logs import log
from yett.control.spiffe import Workloads
from yett.control.systemd import Notifier

T = TypeVar("T")
# Of the thread that reads a configuration again: a third of a worker's share where both want a core.
NICENESS = 5


@dataclass(frozen=True)
class Outcome:
    """How a reload ended."""

    ok: bool
    changed: bool
    revision: str
    cause: str
    at: str
    problems: list[dict[str, Any]]
    weakened: list[str]
    warnings: list[str]
    findings: list[str]


class Plane:
    """One configuration file and the gateway that serves it."""

    def __init__(
        self,
        file: Path,
        admin: str | None,
        gateway: Any,
        notifier: Notifier,
        zone: str | None = None,
        process_weakened: Collection[str] = (),
        gates: Collection[source.Gate] = (),
    ) -> None:
        self.file = file
        self.restarts = 0
        self.successor: int | None = None
        self.revision = ""
        self.drain_s = 30.0
        self.last: Outcome | None = None
        self._admin = admin
        self._zone = zone
        self._gateway = gateway
        self._notifier = notifier
        self._process_weakened = list(process_weakened)
        self._gates = tuple(gates)
        self._weakened: list[str] = []
        self._warnings: list[str] = []
        self._findings: list[str] = []
        self._files: Collection[Path] = (file,)
        self.ordered: list[Ordered] = []
        self.workloads = Workloads()
        self.sockets: frozenset[Path] = frozenset()
        self.loaded_workloads: dict[Path, Context] = {}
        self.state_directory: Path | None = None
        self._started = time.monotonic()
        self._one_at_a_time = asyncio.Lock()
        self._reader = ThreadPoolExecutor(1, "yett-reload", initializer=_yield_to_workers)

    def files(self) -> Collection[Path]:
        """What the last read that succeeded used; a change of any of them is a reason to reload."""
        return self._files

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """No reload while it is held."""
        async with self._one_at_a_time:
            yield

    async def reload(self, cause: str, first: source.Loaded | None = None) -> Outcome:
        """Reads everything again and applies it. Never raises for what a person wrote: the outcome says it.

        `first` was read already, with rights that the process has given up.
        """
        async with self._one_at_a_time:
            if self.revision:
                self._notifier.reloading()
            # until it serves: between two steps the collector would walk all that was read
            with without_collector():
                outcome = await self._reloaded(cause, first)
            self.last = outcome
            if self.revision and cause != "start":
                self._notifier.ready(self.summary())
        self._report(outcome)
        return outcome

    async def _reloaded(self, cause: str, first: source.Loaded | None) -> Outcome:
        try:
            if self.successor is not None:
                text = f"process {self.successor} has taken over; ask it"
                raise source.Refused([{"text": text}])
            given, loaded = ({}, first) if first is not None else await self._aside(self._read)
            if first is not None:
                await asyncio.to_thread(self.workloads.follow, first.sockets, 0.0)
            changed = loaded.revision != self.revision
            if changed:
                await self._aside(self._pass_gates, loaded)
                await asyncio.to_thread(source.apply, self._gateway, loaded)
        except source.Refused as refused:
            self._files = frozenset(self._files) | frozenset(refused.files)
            return self._outcome(cause, ok=False, changed=False, problems=refused.problems)
        except Exception as error:
            # a defect of ours is no reason to lose what serves
            log().exception("reload_crashed", cause=cause)
            text = f"the configuration could not be loaded: {type(error).__name__}"
            return self._outcome(cause, ok=False, changed=False, problems=[{"text": text}])
        self._files = loaded.files
        self.revision = loaded.revision
        self.drain_s = loaded.drain_s
        self.ordered = loaded.ordered
        self.sockets, self.loaded_workloads = loaded.sockets, given
        self.workloads.follow(loaded.sockets, 0.0)
        self.state_directory = loaded.state_directory
        self._weakened = self._process_weakened + loaded.weakened
        self._warnings = loaded.warnings
        return self._outcome(cause, ok=True, changed=changed, problems=[])

    async def _aside(self, step: Callable[..., T], *arguments: Any) -> T:
        """In the thread of reloads, which leaves the processor to the workers where there is not enough of it."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, step, *arguments)

    def _read(self) -> tuple[dict[Path, Context], source.Loaded]:
        """Reads everything, with what agents gave; those that are named the first time are waited for.

        What serves goes on to be listened to: this may be refused.
        """
        given = self.workloads.known()
        loaded = source.read(self.file, self._admin, self._zone, given)
        if self.workloads.follow(loaded.sockets | self.sockets):
            given = self.workloads.known()
            loaded = source.read(self.file, self._admin, self._zone, given)
        return _of(loaded.sockets, given), loaded

    def _pass_gates(self, loaded: source.Loaded) -> None:
        starting = not self.revision
        said = [problem for gate in self._gates for problem in gate(loaded, starting=starting)]
        problems = [problem for problem in said if not problem.get("listed")]
        if problems:
            raise source.Refused(problems, loaded.files)
        self._findings = [problem["text"] for problem in said]

    def revocations(self, document: bytes) -> bytes:
        """Lists, makes and undoes revocations; see `Gateway.revocations` of the native module."""
        return bytes(self._gateway.revocations(document))

    def bans(self, document: bytes) -> bytes:
        """Shows bans of guarded logins, or lifts one; see `Gateway.bans` of the native module."""
        return bytes(self._gateway.bans(document))

    def quotas(self, document: bytes) -> bytes:
        """Shows use of quotas, or gives a key its whole quota again; see `Gateway.quotas` of the native module."""
        return bytes(self._gateway.quotas(document))

    def summary(self) -> str:
        """One line for the service manager."""
        refused = "" if self.last is None or self.last.ok else "; the last reload was refused, see the log"
        return f"serving {self.revision[:12]}{refused}"

    def status(self) -> dict[str, Any]:
        """What `yett status` shows."""
        return {
            "file": str(self.file),
            "pid": os.getpid(),
            "up_s": round(time.monotonic() - self._started, 1),
            "revision": self.revision,
            "last_reload": None if self.last is None else asdict(self.last),
            "weakened": self._weakened,
            "warnings": self._warnings,
            "findings": self._findings,
            "control_restarts": self.restarts,
            "gateway": json.loads(self._gateway.status()),
        }

    def agents_said(self) -> bool:
        """Whether what agents give is something else than what serves."""
        return _of(self.sockets, self.workloads.known()) != self.loaded_workloads

    def _outcome(self, cause: str, *, ok: bool, changed: bool, problems: list[dict[str, Any]]) -> Outcome:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said = (self._weakened, self._warnings, self._findings)
        return Outcome(ok, changed, self.revision, cause, now, problems, *said)

    def _report(self, outcome: Outcome) -> None:
        if outcome.ok:
            event = "configuration_applied" if outcome.changed else "configuration_unchanged"
            log().info(event, cause=outcome.cause, revision=outcome.revision)
            if outcome.changed:
                for line in outcome.weakened:
                    log().warning("weakened", what=line)
                for line in outcome.warnings:
                    log().warning("certificate", what=line)
                for line in outcome.findings:
                    log().warning("lint", what=line)
            return
        report_problems(outcome.cause, outcome.problems)
        if self.revision:
            log().error("configuration_refused", cause=outcome.cause, still_serving=self.revision)


def _yield_to_workers() -> None:
    # Linux has priorities of threads; elsewhere it would be the whole process's
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _of(sockets: Collection[Path], given: dict[Path, Context]) -> dict[Path, Context]:
    return {socket: given[socket] for socket in sockets if socket in given}


def report_problems(cause: str, problems: list[dict[str, Any]]) -> None:
    """Logs what is wrong with a configuration, an event each."""
    for problem in problems:
        log().error("configuration_error", cause=cause, message=problem["text"])
