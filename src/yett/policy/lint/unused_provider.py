"""An identity provider that nothing asks."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.fix import Remove
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Providers that no route, group or receiver of events names."""
    gateway = context.gateway
    used: set[str | None] = {events.provider for events in gateway.security_events.values()}
    for _, _, item in context.parts():
        used |= set(item.authenticate.items) if item.authenticate else set()
        if item.live_check:
            used.add(item.live_check.provider)
    for name in gateway.identity_providers:
        if name not in used:
            at = ("identity_providers", name)
            message = f"no route accepts callers of `{name}`, and one line would be enough to let them in; remove it"
            yield Hit(at, message, fix=Remove(at, "the unused identity provider"))


RULE = Rule(
    id="unused-provider", severity=Severity.WARNING, title="an identity provider that nothing asks", check=check,
    references=("API9:2023",), fixable=True,
)  # fmt: skip
