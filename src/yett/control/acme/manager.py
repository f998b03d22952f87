"""Looks twice a second: challenges to answer, certificates that another instance renewed, orders that are due."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from yett.config.acme import Ordered, Stored, mark_of, read_stored
from yett.control.acme.renewal import is_due, pause_s
from yett.control.acme.store import Retry, Store
from yett.control.logs import log

if TYPE_CHECKING:
    from yett.control.plane import Plane

ROUND_S = 0.5
SETTLE_S = 1.25
"""From the moment when challenges are stored until the authority is told: other instances have seen them by then."""
RELOAD_AGAIN_S = 30.0
"""After a reload with a new certificate was refused."""


class Manager:
    """The certificates of one gateway that are ordered."""

    def __init__(self, plane: Plane, gateway: Any) -> None:
        self._plane = plane
        self._gateway = gateway
        self._challenges: dict[str, str] = {}
        self._wait_until: dict[str, float] = {}
        self._reload_after = 0.0
        self._jitter = random.random()  # noqa: S311
        self._order: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._round()
            await asyncio.sleep(ROUND_S)

    async def _round(self) -> None:
        ordered = self._plane.ordered
        if not ordered and not self._challenges:
            return
        # a file system that hangs holds up no one else
        challenges, now = await asyncio.to_thread(_look, ordered)
        self._answer(challenges)
        if any(is_new for _, is_new in now) and time.monotonic() >= self._reload_after:
            outcome = await self._plane.reload("acme")
            if not outcome.ok:
                log().error("acme_certificate_waits", problem="the configuration on disk does not load")
                self._reload_after = time.monotonic() + RELOAD_AGAIN_S
            return
        if self._order is not None and not self._order.done():
            return
        for one, (stored, _) in zip(ordered, now, strict=True):
            if self._is_due(one, stored):
                self._order = _on_a_thread(lambda one=one: self._try(one))  # type: ignore[misc]
                return

    def _answer(self, challenges: dict[str, str]) -> None:
        if challenges != self._challenges:
            self._gateway.set_challenges(json.dumps(challenges).encode())
            self._challenges = challenges

    def _is_due(self, one: Ordered, stored: Stored | None) -> bool:
        waiting = self._wait_until.get(_name(one), 0.0) > time.time()
        return not waiting and is_due(one, stored, datetime.now(UTC), self._jitter)

    def _try(self, one: Ordered) -> None:
        """One order, unless another instance is at it, or has just done it, or failed lately."""
        store = Store(one.root)
        try:
            store.prepare()
            with store.lock() as ours:
                if ours and is_due(one, read_stored(one.file)[0], datetime.now(UTC), self._jitter):
                    self._place(one, store)
        except OSError as error:
            why = f"`{error.filename}` {error.strerror or 'cannot be used'}"
            self._failed(one, None, 1, why)

    def _place(self, one: Ordered, store: Store) -> None:
        from yett.control.acme.order import Failed, place

        before = store.retry(one)
        if before and before.not_before > time.time():
            self._wait_until[_name(one)] = before.not_before
            return
        log().info("acme_ordering", listener=one.listener, names=list(one.acme.domains))
        try:
            place(one, store, lambda answers: self._solved(store, answers))
        except Failed as failed:
            self._failed(one, store, (before.failures if before else 0) + 1, str(failed))
            return
        store.clear_retry(one)
        self._gateway.count_order(True)
        stored, _ = read_stored(one.file)
        until = stored.not_after.isoformat() if stored else ""
        log().info("acme_issued", listener=one.listener, names=list(one.acme.domains), until=until)

    @contextlib.contextmanager
    def _solved(self, store: Store, answers: dict[str, str]) -> Iterator[None]:
        with store.open_challenges(answers):
            if answers:
                # this instance at once, the others when they look
                self._gateway.set_challenges(json.dumps(answers).encode())
                time.sleep(SETTLE_S)
            yield

    def _failed(self, one: Ordered, store: Store | None, failures: int, why: str) -> None:
        pause = pause_s(failures)
        until = time.time() + pause
        self._wait_until[_name(one)] = until
        self._gateway.count_order(False)
        if store:
            with contextlib.suppress(OSError):
                store.save_retry(one, Retry(sorted(one.acme.domains), failures, until))
        serving = one.stored.not_after.isoformat() if one.stored else None
        log().error(
            "acme_failed", listener=one.listener, names=list(one.acme.domains), problem=why, failures=failures,
            again_in_s=round(pause), serving_until=serving,
        )  # fmt: skip


def _look(ordered: list[Ordered]) -> tuple[dict[str, str], list[tuple[Stored | None, bool]]]:
    """What is open, and what is stored, in the state directory now."""
    if not ordered:
        return {}, []
    return Store(ordered[0].root).challenges(), [_now(one) for one in ordered]


def _now(one: Ordered) -> tuple[Stored | None, bool]:
    """What is stored by now, and whether to load it. What was lost or damaged is ordered anew; what is loaded serves on."""
    if mark_of(one.file) == one.mark:
        return one.stored, False
    stored, _ = read_stored(one.file)
    return stored, stored is not None


def _name(one: Ordered) -> str:
    """Other names are another order: they do not wait for what failed."""
    return f"{one.file} {' '.join(one.acme.domains)}"


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _on_a_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """On a thread that the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        try:
            work()
        except Exception:
            log().exception("acme_crashed")
        # the loop may have ended meanwhile
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_finish, future)

    threading.Thread(target=run, name="yett-acme", daemon=True).start()
    return future
