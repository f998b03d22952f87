"""When a certificate is ordered, and when again after a failure."""

from __future__ import annotations

import random
from datetime import datetime

from yett.config.acme import Ordered, Stored

LIVED = 2 / 3
"""The part of its life after which a certificate is renewed."""
SPREAD = 1 / 30
"""Up to this part of its life earlier, so that not everybody comes at once."""
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 6 * 3600.0
GROWTH = 3.0
"""Public authorities count failures by the hour: five tries in the first, then fewer."""


def due_at(stored: Stored, jitter: float) -> datetime:
    """When a stored certificate is renewed; `jitter` is from 0 to 1."""
    life = stored.not_after - stored.not_before
    return stored.not_before + life * (LIVED - SPREAD * jitter)


def is_due(one: Ordered, stored: Stored | None, now: datetime, jitter: float) -> bool:
    """Whether to order now: nothing stored, other names than those wanted, or old enough."""
    if stored is None or stored.names != frozenset(one.acme.domains):
        return True
    return due_at(stored, jitter) <= now


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row, at least 1: 1, 3, 9 minutes … to 6 hours, each a quarter more or less."""
    wanted = min(FIRST_PAUSE_S * GROWTH ** min(failures - 1, 20), LONGEST_PAUSE_S)
    return wanted * random.uniform(0.75, 1.25)  # noqa: S311
