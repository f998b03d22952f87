"""Waiting by asking, never by sleeping a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], within: float = 40.0, what: str = "") -> T:
    """Asks until the answer is true, and returns it; fails after `within` seconds."""
    deadline = time.monotonic() + within
    pause = 0.001
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or ask}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
