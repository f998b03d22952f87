"""What the service manager is told: sd_notify(3), in a few lines of our own."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from yett.control.logs import log


class Notifier:
    """Tells the service manager what the gateway does; says nothing where none listens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._stopping = False

    def ready(self, status: str) -> None:
        """The gateway serves; ends a reload, whether it changed anything or not."""
        if not self._stopping:
            self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it (Type=notify-reload)."""
        if not self._stopping:
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        """The drain begins."""
        self._stopping = True
        self._say("STOPPING=1", "STATUS=draining")

    async def watch(self, gateway: Any, interval_s: float) -> None:
        """Says `WATCHDOG=1` at least every `interval_s` while every worker answers, and until the end of a drain."""
        while True:
            # workers that have drained answer no more
            if self._stopping or await asyncio.to_thread(gateway.alive, interval_s / 2) or self._stopping:
                self._say("WATCHDOG=1")
            else:
                log().error("workers_do_not_answer")
            await asyncio.sleep(interval_s / 2)

    def _say(self, *lines: str) -> None:
        """Sends `NAME=value` lines. A manager that does not listen stops nothing."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.setblocking(False)
                manager.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log().warning("notify_failed", error=error.strerror or str(error))


def watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    """How often the service manager hears `WATCHDOG=1`: half of what it waits; None where it does not ask."""
    wanted = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or int(wanted) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(wanted) / 2_000_000
