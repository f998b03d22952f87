"""Observed traffic and suggested limits, for people, for programs, and as a part of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy import emit
from yett.policy.limits.observe import MAX_CALLERS, WIDTHS, Figures, Traffic
from yett.policy.limits.suggest import Limit, Row, Wanted

_WINDOWS = {1: "1 s", 10: "10 s", 60: "1 min"}
PERCENTILES = (0.5, 0.99)


def stands_on(traffic: Traffic) -> Iterator[str]:
    """On how much it stands, and what of the logs does not count."""
    if traffic.first is None or traffic.last is None:
        yield f"{traffic.lines:,} lines, no request among them"
    else:
        hours = len(traffic.hours)
        yield f"{traffic.lines:,} lines, {traffic.first:%Y-%m-%d %H:%M} to {traffic.last:%Y-%m-%d %H:%M} UTC, requests in {hours:,} of the hours"
    if traffic.damaged:
        places = f": {', '.join(traffic.places)}" if traffic.places else ""
        more = " …" if 0 < len(traffic.places) < traffic.damaged else ""
        yield f"{traffic.damaged:,} damaged lines do not count{places}{more}"
    if traffic.refused:
        yield f"{traffic.refused:,} refused requests do not count: they say nothing of what callers need"
    if traffic.unrouted:
        yield f"{traffic.unrouted:,} requests that no route took do not count"
    for route, count in traffic.foreign.most_common(10):
        yield f"{count:,} requests of `{route}` do not count: the configuration has no such route"
    if traffic.backwards:
        yield f"time went back {traffic.backwards:,} times, so that what callers asked for at once may be more than is shown"
    if traffic.uncounted:
        yield f"{traffic.uncounted:,} requests were beyond what is held in memory, so that callers may ask for more than is shown"


def lines(
    traffic: Traffic, rows: list[Row], limits: list[Limit], wanted: Wanted, names: dict[str, str]
) -> Iterator[str]:
    """As a table, with what follows from it."""
    yield from stands_on(traffic)
    if not rows:
        return
    yield ""
    yield "requests of one caller, in the windows in which it asked: half of them, 99 of 100, the most"
    head = ("route", "callers", "requests", *(_WINDOWS[width] for width in WIDTHS), "body bytes", "suggested")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(texts[column]) for texts in cells) for column in range(len(head))]
    for texts in cells:
        yield "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
    remarks = [(row, remark) for row in rows for remark in row.remarks]
    if remarks:
        yield ""
    for row, remark in remarks:
        yield f"{row.group.route}, {row.group.callers}: {remark}"
    if limits:
        yield ""
        yield f"enough for all of that, {wanted.headroom:g} times over:"
        yield ""
        yield from snippet(traffic, limits, names).splitlines()


def _cells(row: Row) -> tuple[str, ...]:
    observed = row.observed
    callers = len(observed.callers)
    many = f"{callers:,}{' or more' if callers >= MAX_CALLERS else ''}"
    return (
        row.group.route,
        f"{many} of {row.group.callers}",
        f"{observed.requests:,}",
        *(_figures(observed.windows[width]) for width in WIDTHS),
        _figures(observed.bodies) if observed.bodies.most else "-",
        f"too little: {row.why_not}" if row.why_not else f"{row.rate}, burst {row.burst}",
    )


def _figures(figures: Figures) -> str:
    return " / ".join(f"{value:,}" for value in (*map(figures.percentile, PERCENTILES), figures.most))


def snippet(traffic: Traffic, limits: list[Limit], names: dict[str, str]) -> str:
    """The limits as a part of a configuration. `names`: what the limit of a route is called already."""
    tree: dict[str, Any] = {"routes": {}}
    comments: dict[tuple[str | int, ...], list[str]] = {}
    for limit in limits:
        tree["routes"][limit.route] = limit.document(names.get(limit.route))
        comments["routes", limit.route] = [_stands(row, traffic) for row in limit.rows]
    return emit.written(tree, comments)


def _stands(row: Row, traffic: Traffic) -> str:
    observed = row.observed
    most = ", ".join(f"{observed.windows[width].most:,} in {_WINDOWS[width]}" for width in WIDTHS)
    return f"{row.group.callers}: {observed.requests:,} requests in {len(traffic.hours):,} hours; at most {most} of one caller"


def document(traffic: Traffic, rows: list[Row], limits: list[Limit], wanted: Wanted) -> dict[str, Any]:
    """The same for programs."""
    return {
        "lines": traffic.lines,
        "damaged": traffic.damaged,
        "damaged_at": traffic.places,
        "unrouted": traffic.unrouted,
        "refused": traffic.refused,
        "foreign": dict(traffic.foreign),
        "backwards": traffic.backwards,
        "uncounted": traffic.uncounted,
        "from": traffic.first.isoformat() if traffic.first else None,
        "to": traffic.last.isoformat() if traffic.last else None,
        "hours": len(traffic.hours),
        "needed": {"requests": wanted.requests, "hours": wanted.hours},
        "headroom": wanted.headroom,
        "observed": [_row(row) for row in rows],
        "routes": {limit.route: limit.document() for limit in limits},
    }


def _row(row: Row) -> dict[str, Any]:
    observed = row.observed
    suggested = {"rate": row.rate, "burst": row.burst} if not row.why_not else None
    return {
        "route": row.group.route,
        "provider": row.group.provider,
        "kind": row.group.kind or None,
        "requests": observed.requests,
        "limited": observed.limited,
        "callers": len(observed.callers),
        "windows": {str(width): _percentiles(observed.windows[width]) for width in WIDTHS},
        "body": _percentiles(observed.bodies) if observed.bodies.most else None,
        "suggested": suggested,
        "too_little": row.why_not or None,
        "remarks": list(row.remarks),
    }


def _percentiles(figures: Figures) -> dict[str, int]:
    return {"p50": figures.percentile(0.5), "p99": figures.percentile(0.99), "max": figures.most}
