"""A service that gets the caller's own credential."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`forward_credential: true`."""
    for name, service in context.gateway.services.items():
        if service.forward_credential:
            message = (
                f"`{name}` gets the token or key of each caller, and can use it everywhere else in its name; "
                "let it verify `identity_assertion` instead, or give it a token of its own (`token`)"
            )
            yield Hit(("services", name, "forward_credential"), message)


RULE = Rule(
    id="forwarded-credential", severity=Severity.WARNING, title="a service gets the caller's own credential", check=check,
    references=("API2:2023", "SP 800-204 4.1"),
)  # fmt: skip
