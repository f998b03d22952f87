"""What callers may do beside what they did: from the access log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from yett.policy.access.sample import methods
from yett.policy.access_log import AccessLog


@dataclass(frozen=True, order=True)
class Grant:
    """Callers of one provider, on one route with one method; of a public route, anyone."""

    route: str
    method: str
    provider: str


@dataclass
class Use:
    """How often and when last."""

    count: int = 0
    last: datetime | None = None


@dataclass
class Used:
    """Every grant of a configuration with its use, and what of the log was of no use."""

    grants: dict[Grant, Use]
    lines: int = 0
    damaged: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    """Requests that were let in by a route, method or provider that this configuration has not."""
    first: datetime | None = None
    last: datetime | None = None

    def unused(self, days: int, now: datetime) -> list[Grant]:
        """Grants that nobody used in the last days."""
        since = now - timedelta(days=days)
        return sorted(grant for grant, use in self.grants.items() if use.last is None or use.last < since)


ANYONE = "anyone"


def grants(document: dict[str, Any]) -> Iterator[Grant]:
    """Everything that a configuration grants."""
    for route in document["routes"]:
        access = route["access"]
        names = [ANYONE] if not isinstance(access, dict) else access["authenticated"]["providers"]
        if isinstance(access, dict) and access["authenticated"].get("all_of"):
            # whoever calls is whom the first one vouches for
            names = names[:1]
        for method in methods(route):
            for name in names:
                yield Grant(route["name"], method, name)


def read(document: dict[str, Any], log: Path) -> Used:
    """Counts what the log says was let in. A line that is damaged is counted and no more.

    Raises:
        Unanswerable: the log cannot be read.
    """
    used = Used({grant: Use() for grant in grants(document)})
    lines = AccessLog([log])
    for line, when in lines:
        _count(used, line, when)
    used.lines, used.damaged = lines.lines, lines.damaged
    return used


def _count(used: Used, line: dict[str, Any], when: datetime) -> None:
    used.first = min(used.first or when, when)
    used.last = max(used.last or when, when)
    if "route" not in line or line.get("fault") in {"client", "policy"}:
        # refused: nothing was used
        return
    method = "GET" if line.get("method") == "HEAD" else str(line.get("method"))
    grant = Grant(str(line["route"]), method, str(line.get("provider", ANYONE)))
    use = used.grants.get(grant)
    if use is None:
        used.foreign[f"{grant.route} {grant.method} by {grant.provider}"] += 1
        return
    use.count += 1
    use.last = max(use.last or when, when)
