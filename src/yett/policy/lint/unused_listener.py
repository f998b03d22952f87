"""A listener without routes."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Listeners that take routes, and have none."""
    used = {name for policy in context.compiled.policies for name in policy.listeners}
    for events in context.gateway.security_events.values():
        used |= set(events.listeners or context.gateway.listeners)
    orders = any(one.tls and one.tls.acme for one in context.gateway.listeners.values())
    for name, listener in context.gateway.listeners.items():
        challenged = orders and listener.tls is None
        if listener.takes_routes and name not in used and not challenged:
            message = f"no route is on `{name}`, so it is a port that is open for nothing; remove it, or name it in `listeners` of routes"
            yield Hit(("listeners", name), message)


RULE = Rule(
    id="unused-listener", severity=Severity.WARNING, title="a listener on which nothing is", check=check,
    references=("API9:2023",),
)  # fmt: skip
