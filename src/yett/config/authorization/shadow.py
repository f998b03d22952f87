"""The rules in shadow of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from yett.config.base import Location
from yett.config.filters.authorize import Authorize, Deny, stated
from yett.config.gateway import Gateway


def rules(gateway: Gateway) -> Iterator[tuple[Location, str, Authorize | Deny]]:
    """Every rule in shadow: where it stands, its name as in logs and metrics, and the rule."""
    sections: Iterable[tuple[str, dict[str, Any]]] = (("groups", gateway.groups), ("routes", gateway.routes))
    for section, items in sections:
        for name, item in items.items():
            source = f"{section[:-1]} {name}"
            for rule, at, own in stated(item.authorize, (section, name), source):
                if not rule.enforced:
                    yield at, own, rule
            for own, denial in item.deny.items():
                if not denial.enforced:
                    yield (section, name, "deny", own), f"{source}: deny.{own}", denial


def not_enforced(gateway: Gateway) -> list[str]:
    """Rules that refuse nobody yet, in sentences."""
    return [
        f"the rule `{source}` is in shadow until `{rule.until}`: it refuses nobody"
        for _, source, rule in rules(gateway)
    ]
