"""Limits of the intermediate representation, in words."""

from __future__ import annotations

from typing import Any

from yett.config.rates.after import after_text


def limit_text(limit: dict[str, Any]) -> str:
    """What a limit has beside its rate and key: costs, classes, times; begins with a comma where there is something."""
    found = [cost_text(limit["cost"])] if "cost" in limit else []
    if "class" in limit:
        found.append(f"for {limit['class'].rpartition('.')[2]}")
    if "except" in limit:
        found.append(f"not for {', '.join(source.rpartition('.')[2] for source in limit['except'])}")
    if "during" in limit:
        found.append(f"during {calendar_text(limit['during'])}")
    if "outside" in limit:
        found.append(f"not during {', '.join(map(calendar_text, limit['outside']))}")
    return "".join(f", {part}" for part in found)


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
