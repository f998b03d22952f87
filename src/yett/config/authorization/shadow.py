"""What is in shadow in a configuration: rules and limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from yett.config.base import Location
from yett.config.filters.authorize import stated
from yett.config.gateway import Gateway
from yett.config.rates import shadow as limits
from yett.config.shadow import Tried


def rules(gateway: Gateway) -> Iterator[tuple[Location, str, Tried]]:
    """Every rule in shadow: where it stands, its name as in logs and metrics, and the rule."""
    for section, name, item in _parts(gateway):
        if not item.authorize and not item.deny:
            continue
        source = f"{section[:-1]} {name}"
        for rule, at, own in stated(item.authorize, (section, name), source):
            if not rule.enforced:
                yield at, own, rule
        for own, denial in item.deny.items():
            if not denial.enforced:
                yield (section, name, "deny", own), f"{source}: deny.{own}", denial


def tried(gateway: Gateway) -> Iterator[tuple[Location, str, Tried]]:
    """Every rule and every limit in shadow, as `rules`."""
    yield from rules(gateway)
    yield from _limits(gateway)


def _limits(gateway: Gateway) -> Iterator[tuple[Location, str, Tried]]:
    for name, listener in gateway.listeners.items():
        yield from limits.stated(listener, ("listeners", name), f"listener {name}")
    for section, name, item in _parts(gateway):
        yield from limits.stated(item, (section, name), f"{section[:-1]} {name}")


def _parts(gateway: Gateway) -> Iterator[tuple[str, str, Any]]:
    sections: Iterable[tuple[str, dict[str, Any]]] = (("groups", gateway.groups), ("routes", gateway.routes))
    for section, items in sections:
        for name, item in items.items():
            yield section, name, item


def not_enforced(gateway: Gateway) -> list[str]:
    """Rules and limits that refuse nobody yet, in sentences."""
    return [
        f"the {what} `{source}` is in shadow until `{one.until}`: it refuses nobody"
        for what, found in (("rule", rules(gateway)), ("limit", _limits(gateway)))
        for _, source, one in found
    ]
