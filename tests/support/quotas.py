"""Quotas whose period does not end while a test runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def zone() -> str:
    """A time zone whose month has more than an hour to go."""
    now = datetime.now(UTC)
    return "UTC" if (now + timedelta(hours=1)).month == now.month else "America/Los_Angeles"
