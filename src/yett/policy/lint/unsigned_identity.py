"""A service that is told who calls, without a signature."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import listed
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`identity_assertion` with `headers`."""
    for name, service in context.gateway.services.items():
        if service.identity_assertion and service.identity_assertion.headers:
            message = (
                f"whoever reaches `{name}` around the gateway writes {listed(service.identity_assertion.headers)} as they like; "
                "read the signed assertion there, and remove `headers`"
            )
            yield Hit(("services", name, "identity_assertion", "headers"), message)


RULE = Rule(
    id="unsigned-identity", severity=Severity.WARNING, title="a service is told who calls without a signature", check=check,
    references=("API2:2023",),
)  # fmt: skip
