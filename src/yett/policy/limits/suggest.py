"""From what callers asked for to what they should be held to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from yett.policy.limits.observe import ANYONE, Group, Observed, Traffic

MIN_REQUESTS = 1_000
MIN_HOURS = 24
HEADROOM = 2.0
APART = 2
"""So many times more or less than the class with most callers, and a class has a limit of its own."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}( \([a-z_]{1,20}\))?", re.ASCII)
STANDS_OUT = 10
"""So many times what all but one in a hundred windows have, and somebody should look at who that was."""


@dataclass(frozen=True)
class Wanted:
    """How much has to be there before anything is suggested, and how much more than was seen is allowed."""

    requests: int = MIN_REQUESTS
    hours: int = MIN_HOURS
    headroom: float = HEADROOM


@dataclass(frozen=True)
class Row:
    """A class of callers on a route: what was seen, and what follows from it."""

    group: Group
    observed: Observed
    rate: str = ""
    burst: int = 0
    why_not: str = ""
    """Why nothing is suggested."""
    remarks: tuple[str, ...] = ()

    @property
    def per_second(self) -> float:
        """The suggested rate, in requests a second; 0 without one."""
        return _per_second(self.rate)


@dataclass(frozen=True)
class Limit:
    """What is suggested for a route: enough for most of its callers, and limits of their own for classes that need much more or
    much less."""

    route: str
    public: bool
    rate: str
    burst: int
    body: str
    rows: tuple[Row, ...]
    classes: tuple[Row, ...] = ()

    def document(self, name: str | None = None) -> dict[str, Any]:
        """Its part of the route."""
        key = "address_limit" if self.public else "rate_limit"
        name = name or ("per-address" if self.public else "per-caller")
        figures: dict[str, Any] = {"rate": self.rate, "burst": self.burst}
        if not self.public:
            figures["key"] = "principal"
        if self.classes:
            figures["classes"] = {class_name(row.group): _class(row) for row in self.classes}
        limit = {name: figures}
        return {key: limit, **({"limits": {"body": self.body}} if self.body else {})}


def rows(traffic: Traffic, wanted: Wanted) -> list[Row]:
    """Every class of callers on every route."""
    return [_row(group, observed, traffic, wanted) for group, observed in sorted(traffic.groups.items())]


def _row(group: Group, observed: Observed, traffic: Traffic, wanted: Wanted) -> Row:
    why = []
    if observed.requests < wanted.requests:
        why.append(f"{observed.requests:,} requests, and {wanted.requests:,} are needed")
    if len(traffic.hours) < wanted.hours:
        why.append(f"{len(traffic.hours)} hours with requests, and {wanted.hours} are needed")
    remarks = []
    if observed.limited:
        remarks.append(f"{observed.limited:,} more were refused by a limit, so callers wanted more than this")
    minute = observed.windows[60]
    usual = minute.percentile(0.99)
    if minute.most > STANDS_OUT * max(usual, 1):
        times = minute.most // max(usual, 1)
        remarks.append(
            f"one caller asked {times:,} times as much in a minute as nearly all others; look whether it should"
        )
    if why:
        return Row(group, observed, why_not="; ".join(why), remarks=tuple(remarks))
    burst = _nice(math.ceil(observed.windows[10].most * wanted.headroom))
    return Row(group, observed, _rate(minute.most * wanted.headroom), burst, remarks=tuple(remarks))


def limits(found: list[Row], wanted: Wanted) -> list[Limit]:
    """One limit for each route with enough data: the largest of those that its classes of callers need, but for classes that
    differ much from the one with most callers."""
    by_route: dict[str, list[Row]] = {}
    for row in found:
        if not row.why_not:
            by_route.setdefault(row.group.route, []).append(row)
    return [_limit(route, own, wanted) for route, own in by_route.items()]


def _limit(route: str, own: list[Row], wanted: Wanted) -> Limit:
    named = [row for row in own if row.group.provider != ANYONE]
    # a route that was public for a while has callers of both kinds; those with a name are counted by it
    counted = named or own
    usual = max(counted, key=lambda row: (len(row.observed.callers), row.observed.requests))
    apart = tuple(
        row for row in counted if named and _differs(row, usual) and _NAME.fullmatch(row.group.callers)
    )
    most = [row for row in counted if row not in apart]
    widest = max(most, key=lambda row: row.per_second)
    body = max(row.observed.bodies.most for row in own)
    return Limit(
        route,
        not named,
        widest.rate,
        max(row.burst for row in most),
        _size(body * wanted.headroom) if body else "",
        tuple(counted),
        apart,
    )


def _differs(row: Row, usual: Row) -> bool:
    """Whether a class needs so much more or less that one limit for both would be none, or refuse one of them."""
    pairs = ((row.per_second, usual.per_second), (row.burst, usual.burst))
    return any(max(pair) >= APART * min(pair) for pair in pairs)


def class_name(group: Group) -> str:
    """What a class of callers is called: who vouched for them, and what they are."""
    return f"{group.provider}-{group.kind}" if group.kind else group.provider


def _class(row: Row) -> dict[str, Any]:
    group = row.group
    kind = f" && principal.kind == '{group.kind}'" if group.kind else ""
    return {"when": f"principal.provider == '{group.provider}'{kind}", "rate": row.rate, "burst": row.burst}


def _rate(per_minute: float) -> str:
    """The rate of so many requests in a minute, rounded up."""
    if per_minute >= 60:
        return f"{_nice(math.ceil(per_minute / 60))}/s"
    return f"{_nice(max(1, math.ceil(per_minute)))}/m"


def _per_second(rate: str) -> float:
    if not rate:
        return 0.0
    count, _, period = rate.partition("/")
    return int(count) / {"s": 1, "m": 60}[period]


def _nice(value: int) -> int:
    """Rounded up to two digits."""
    if value < 100:
        return max(value, 1)
    step: int = 10 ** (len(str(value)) - 2)
    return -(-value // step) * step


def _size(value: float) -> str:
    """Rounded up to a power of two of KiB or MiB."""
    kib = 1 << max(0, math.ceil(math.log2(max(value, 1) / 1024)))
    return f"{kib >> 10}MiB" if kib >= 1024 else f"{kib}KiB"
