"""A service that nothing leads to."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Services that no route, group or listener names."""
    gateway = context.gateway
    used: set[str | None] = set()
    for _, _, item in context.parts():
        used |= {item.service, *(item.split or ())}
        if item.mirror:
            used.add(item.mirror.service)
    for listener in gateway.listeners.values():
        if listener.passthrough:
            used |= {host.service for host in listener.passthrough.hosts.values()}
    for name in gateway.services:
        if name not in used:
            at = ("services", name)
            message = f"nothing leads to `{name}`, so its addresses and keys wait here for somebody to use them; remove it"
            yield Hit(at, message, fix=Remove(at, "the unused service"))


RULE = Rule(
    id="unused-service", severity=Severity.WARNING, title="a service that nothing leads to", check=check,
    references=("API9:2023",), fixable=True,
)  # fmt: skip
