"""Assertions that were used before."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

from yett.backend.refused import Refused


class Replays(Protocol):
    """Remembers the ids of assertions; write one on a shared store where a service has several processes."""

    def first(self, assertion_id: str, until: float) -> bool:
        """Whether this id is new; it is remembered until then (Unix seconds). Raise `Refused` where that is unknown."""


class MemoryReplays:
    """In this process: at most so many ids, some 200 bytes each. Full of ids that still count, it refuses."""

    def __init__(self, entries: int = 100_000) -> None:
        self.entries = entries
        self._until: dict[str, float] = {}
        self._order: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()

    def first(self, assertion_id: str, until: float) -> bool:
        """Whether this id is new. Raises `Refused` (`replays_full`)."""
        now = time.time()
        with self._lock:
            # They end in about the order in which they come.
            while self._order and self._order[0][0] <= now:
                _, old = self._order.popleft()
                self._until.pop(old, None)
            if assertion_id in self._until:
                return False
            if len(self._until) >= self.entries:
                raise Refused("replays_full")
            self._until[assertion_id] = until
            self._order.append((until, assertion_id))
            return True

    def __len__(self) -> int:
        return len(self._until)
