"""How much callers asked for, from access logs: requests of one caller in a second, ten seconds and a minute; sizes of bodies.

Memory is bounded, whatever a log holds: `MAX_OPEN` counters of windows that are still open, `MAX_GROUPS` pairs of a route and a
class of callers, `MAX_CALLERS` callers of each and `MAX_TOLD` of all that are told apart to be counted, histograms of three
significant digits.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from yett.policy.access_log import AccessLog

WIDTHS = (1, 10, 60)
"""Seconds of a window."""
SLACK_S = 60.0
"""How long a window stays open for requests that began in it and end later."""
CLOSE_EVERY_S = 10.0
MAX_OPEN = 300_000
MAX_GROUPS = 10_000
MAX_CALLERS = 10_000
MAX_TOLD = 500_000
MAX_NAME = 64
"""Characters of names of routes, providers and kinds; longer ones are none of a configuration."""
ANYONE = "anyone"
"""Who asks on a public route; told apart by address."""
LIMITED = frozenset({"rate_limited", "address_limited"})
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Group:
    """A class of callers on a route: those of a provider and kind, or anyone."""

    route: str
    provider: str
    kind: str = ""

    @property
    def callers(self) -> str:
        """In words."""
        return f"{self.provider} ({self.kind})" if self.kind else self.provider


@dataclass
class Figures:
    """How often something was so large."""

    counts: Counter[int] = field(default_factory=Counter)
    most: int = 0

    def add(self, value: int, times: int = 1) -> None:
        """Counts a value; beyond three digits it is rounded up."""
        self.most = max(self.most, value)
        self.counts[_rounded(value)] += times

    def percentile(self, part: float) -> int:
        """The smallest value that so much of all does not exceed (nearest rank); 0 where there is none."""
        left = math.ceil(sum(self.counts.values()) * part)
        for value, times in sorted(self.counts.items()):
            left -= times
            if left <= 0:
                return min(value, self.most)
        return self.most


def _rounded(value: int) -> int:
    if value < 1000:
        return value
    step: int = 10 ** (len(str(value)) - 3)
    return -(-value // step) * step


@dataclass
class Observed:
    """What one class of callers did on one route."""

    requests: int = 0
    limited: int = 0
    """Requests that a limit refused: callers wanted more than was counted."""
    callers: set[int] = field(default_factory=set)
    windows: dict[int, Figures] = field(default_factory=lambda: {width: Figures() for width in WIDTHS})
    """By seconds: requests of one caller in each window in which it asked at all."""
    bodies: Figures = field(default_factory=Figures)
    """Bytes of request bodies, of requests that had one."""


class Windows:
    """Counts requests of each caller in windows of one width, until no more can come."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.open: dict[int, dict[tuple[int, int], int]] = {}
        """By number of the window: requests by number of the class, and caller."""

    def close(self, before: float) -> Iterator[tuple[int, int]]:
        """Ends windows that end at or before this moment: number of a class, and requests of one of its callers."""
        for index in [index for index in self.open if (index + 1) * self.width <= before]:
            for (number, _), count in self.open.pop(index).items():
                yield number, count


@dataclass
class Traffic:
    """All of some access logs."""

    groups: dict[Group, Observed] = field(default_factory=dict)
    lines: int = 0
    damaged: int = 0
    places: list[str] = field(default_factory=list)
    unrouted: int = 0
    """Requests that no route took, and connections that were passed on unopened."""
    refused: int = 0
    """Requests that were refused for another reason than a limit: they say nothing of what callers need."""
    foreign: Counter[str] = field(default_factory=Counter)
    """Requests of routes that the configuration has not."""
    uncounted: int = 0
    """Requests beyond the bounds of memory."""
    backwards: int = 0
    """How often the time of a log went back by more than a minute."""
    first: datetime | None = None
    last: datetime | None = None
    hours: set[int] = field(default_factory=set)
    """Hours since 1970 in which there were requests."""


class Observer:
    """Reads access logs once."""

    def __init__(self, routes: Iterable[str] | None, now: datetime, max_open: int = MAX_OPEN) -> None:
        """`routes`: those of the configuration, where there is one. `now`: what is later by a day is damaged."""
        self.routes = frozenset(routes) if routes is not None else None
        self.latest = now + timedelta(days=1)
        self.max_open = max_open
        self.traffic = Traffic()
        self._windows = [Windows(width) for width in WIDTHS]
        self._entries = self._told = 0
        self._observed: list[Observed] = []
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._mark = self._due = -math.inf

    def read(self, paths: Iterable[Path]) -> Traffic:
        """All lines.

        Raises:
            Unanswerable: a log cannot be read.
        """
        log = AccessLog(paths)
        found, file = self.traffic, 0
        for line, when in log:
            if log.file != file:
                file = log.file
                self._end()
            try:
                self._line(line, when)
            except (ValueError, TypeError, KeyError, OverflowError):
                log.damaged += 1
        self._end()
        found.lines, found.damaged, found.places = log.lines, log.damaged, log.places
        return found

    def _line(self, line: dict[str, Any], when: datetime) -> None:
        if not _EARLIEST <= when <= self.latest:
            raise ValueError
        found = self.traffic
        ended = when.timestamp()
        took = line["duration_us"]
        if type(took) is not int or took < 0:
            raise ValueError
        self._advance(ended)
        found.first = when if found.first is None else min(found.first, when)
        found.last = when if found.last is None else max(found.last, when)
        route = line.get("route")
        if route is None or line.get("passthrough"):
            found.unrouted += 1
            return
        if not _is_name(route):
            raise TypeError
        if self.routes is not None and route not in self.routes:
            if len(found.foreign) < MAX_GROUPS or route in found.foreign:
                found.foreign[route] += 1
            return
        limited = line.get("reason") in LIMITED
        if not limited and line.get("fault") in {"client", "policy"}:
            found.refused += 1
            return
        self._asked(route, line, ended, took, limited)

    def _asked(self, route: str, line: dict[str, Any], ended: float, took: int, limited: bool) -> None:
        """A request that was let in, or that a limit refused."""
        found = self.traffic
        provider, kind, caller = _who(line)
        number = self._numbers.get((route, provider, kind))
        if number is None:
            number = self._new(route, provider, kind)
            if number is None:
                found.uncounted += 1
                return
        size = line.get("bytes_in", 0)
        if type(size) is not int or size < 0:
            raise TypeError
        observed = self._observed[number]
        if limited:
            observed.limited += 1
            return
        found.hours.add(int(ended // 3600))
        observed.requests += 1
        if len(observed.callers) < MAX_CALLERS and self._told < MAX_TOLD and caller not in observed.callers:
            observed.callers.add(caller)
            self._told += 1
        if size:
            observed.bodies.add(size)
        self._count(number, caller, max(ended - took / 1e6, self._mark - SLACK_S))

    def _new(self, route: str, provider: str, kind: str) -> int | None:
        """The number of a class that was not seen before; none where there are too many."""
        if not (_is_name(route) and _is_name(provider) and _is_name(kind)):
            raise TypeError
        if len(self._observed) >= MAX_GROUPS:
            return None
        self._observed.append(Observed())
        self.traffic.groups[Group(route, provider, kind)] = self._observed[-1]
        self._numbers[route, provider, kind] = len(self._observed) - 1
        return len(self._observed) - 1

    def _advance(self, ended: float) -> None:
        """Time goes on: windows that nothing can begin in any more are closed."""
        if ended < self._mark - SLACK_S:
            self.traffic.backwards += 1
            self._end()
        self._mark = max(ended, self._mark)
        if self._mark >= self._due:
            self._due = self._mark + CLOSE_EVERY_S
            self._close(self._mark - SLACK_S)

    def _count(self, number: int, caller: int, began: float) -> None:
        if self._entries + len(WIDTHS) > self.max_open:
            self._close(self._mark)  # all but the newest windows end early
            if self._entries + len(WIDTHS) > self.max_open:
                self.traffic.uncounted += 1
                return
        key = (number, caller)
        for windows in self._windows:
            counts = windows.open.setdefault(int(began // windows.width), {})
            before = counts.get(key, 0)
            self._entries += not before
            counts[key] = before + 1

    def _close(self, before: float) -> None:
        for windows in self._windows:
            for number, count in windows.close(before):
                self._entries -= 1
                self._observed[number].windows[windows.width].add(count)

    def _end(self) -> None:
        """No line that follows belongs to what was read."""
        self._close(math.inf)
        self._mark = self._due = -math.inf


def _is_name(value: object) -> bool:
    """Whether a configuration could call something so."""
    return isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable()


def _who(line: dict[str, Any]) -> tuple[str, str, int]:
    """Who vouched for a caller, what it is, and what tells it from others; of a public route its address."""
    provider = line.get("provider")
    if provider is not None:
        who = (provider, line.get("subject"), line.get("client_id"), line.get("tenant"))
        return provider, line.get("kind", ""), hash(who)
    address = line["client"]
    if ":" in address:
        # an IPv6 network of 64 bits is one client, as `address_limit` counts
        return ANYONE, "", hash(int(ipaddress.IPv6Address(address)) >> 64)
    return ANYONE, "", hash(address)
