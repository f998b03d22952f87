"""A list of addresses that no filter names."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.listener import Listener
from yett.config.route import Group, Route
from yett.policy.linter.context import Context
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule, Severity


def _named(item: Listener | Group | Route) -> set[str]:
    found = set[str]()
    if item.address_filter:
        found |= {*item.address_filter.allow, *item.address_filter.deny}
    if item.geo_filter and item.geo_filter.except_:
        found |= set(item.geo_filter.except_.addresses)
    return found


def check(context: Context) -> Iterator[Hit]:
    """Lists that no listener, group or route names."""
    gateway = context.gateway
    used = set[str]().union(*(_named(listener) for listener in gateway.listeners.values()))
    used = used.union(*(_named(item) for _, _, item in context.parts()))
    for name in gateway.address_lists:
        if name not in used:
            at = ("address_lists", name)
            message = f"no filter names `{name}`, so whoever is on it is neither let in nor kept out; name it, or remove it"
            yield Hit(at, message, fix=Remove(at, "the unused address list"))


RULE = Rule(
    id="unused-address-list", severity=Severity.WARNING, title="a list of addresses that no filter names", check=check,
    references=("API8:2023",), fixable=True,
)  # fmt: skip
