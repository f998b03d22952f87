"""Limits of the intermediate representation, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.config.rates.after import after_text
from yett.config.rates.measure import key_text
from yett.config.rates.repeats import repeats_text


def pace_text(limit: dict[str, Any]) -> str:
    """`50 in 1 s, burst 100, by principal`, and what else there is."""
    pace = f"{limit['count']} in {limit['period_ms'] / 1000:g} s, burst {limit['burst']}"
    return f"{pace}, by {key_text(limit['key'])}{limit_text(limit)}"


def at_once_text(limit: dict[str, Any]) -> str:
    """`5 at once, by principal`."""
    fair = f", shared fairly by {limit['fair']}" if "fair" in limit else ""
    return f"{limit['requests']} at once, by {key_text(limit['key'])}{fair}"


def shadow_text(limit: dict[str, Any]) -> Iterator[str]:
    """What a limit in shadow would bound, each of its rates."""
    if "concurrency" in limit:
        yield at_once_text(limit["concurrency"])
    for one in (
        *limit.get("rate", {}).get("limits", ()),
        *([limit["address"]] if "address" in limit else ()),
    ):
        yield pace_text(one)


def limit_text(limit: dict[str, Any]) -> str:
    """What a limit has beside its rate and key: costs, classes, times; begins with a comma where there is something."""
    found = [cost_text(limit["cost"])] if "cost" in limit else []
    if "idempotency" in limit:
        found.append(repeats_text(limit))
    if limit.get("shared") is True:
        found.append(f"shared by instances (while Redis does not answer: {limit['state_loss']})")
    elif "shared" in limit:
        mode, loss = limit["shared"]["mode"], limit["shared"]["state_loss"]
        found.append(f"shared by instances ({mode}; while Redis does not answer: {loss})")
    if "class" in limit:
        found.append(f"for {limit['class'].rpartition('.')[2]}")
    if "except" in limit:
        found.append(f"not for {', '.join(source.rpartition('.')[2] for source in limit['except'])}")
    if "during" in limit:
        found.append(f"during {calendar_text(limit['during'])}")
    if "outside" in limit:
        found.append(f"not during {', '.join(map(calendar_text, limit['outside']))}")
    return "".join(f", {part}" for part in found)


def quota_text(quota: dict[str, Any]) -> str:
    """`100000 each month (Europe/Berlin), by partner, not for batch, told at 80%`."""
    warned = ", ".join(f"{one}%" for one in quota.get("warn", ()))
    found = f"{quota['amount']} each {quota['period']} ({quota['zone']}), by {key_text(quota['key'])}{limit_text(quota)}"
    return found + (f", told at {warned}" if warned else "")


def cost_text(cost: dict[str, Any]) -> str:
    """`POST costs 5, others 1`."""
    if "value" in cost:
        return f"costs `{cost['value']}`"
    methods = [f"{method} costs {value}" for method, value in cost.get("methods", {}).items()]
    after = [after_text(cost["after"])] if "after" in cost else []
    others = f"others {cost['default']}" if methods else f"costs {cost['default']}"
    return ", ".join([*methods, others, *after])


def calendar_text(calendar: dict[str, Any]) -> str:
    """`0 * * * * (Europe/Berlin) for 5 min`."""
    fields = ("minutes", "hours", "days", "months", "weekdays")
    cron = " ".join(",".join(map(str, calendar.get(name, ()))) or "*" for name in fields)
    return f"{cron} ({calendar['zone']}) for {calendar['minutes_long']} min"
