"""Tasks of the control plane that are restarted when they crash; the workers never notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from yett.control.logs import log

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
# What ran so long has recovered: its next crash is a first one again.
RECOVERED_S = 60.0


class Supervisor:
    """Runs tasks for ever and counts how often one had to be started again."""

    def __init__(self) -> None:
        self.restarts = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Runs `work` until it returns; after a crash again, with a pause that grows up to 30 s."""
        task = asyncio.create_task(self._keep(name, work), name=name)
        self._tasks.append(task)
        return task

    async def stop(self) -> None:
        """Cancels all tasks and waits for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE_S
        while True:
            begun = time.monotonic()
            try:
                await work()
            except Exception as error:
                self.restarts += 1
                if time.monotonic() - begun > RECOVERED_S:
                    pause = FIRST_PAUSE_S
                log().exception("control_task_crashed", task=name, error=str(error), restart_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            else:
                return
