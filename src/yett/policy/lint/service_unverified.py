"""A service that cannot tell the gateway from anyone else."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context, remote
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Services on other machines without a signed assertion, a certificate or a token of the gateway."""
    for name, service in context.gateway.services.items():
        shown = (
            service.identity_assertion
            or service.token
            or (service.tls and (service.tls.certificate or service.tls.spiffe))
        )
        if not shown and name not in context.unopened and any(remote(url) for url in service.urls):
            message = (
                f"whoever reaches `{name}` around the gateway is let in like everyone else, since nothing says where a request comes from; "
                "write `identity_assertion: {}` and verify it there, or `tls: {certificate: …, key: …}`"
            )
            yield Hit(("services", name), message)


RULE = Rule(
    id="service-unverified", severity=Severity.WARNING, title="a service cannot tell the gateway from anyone else", check=check,
    references=("API2:2023", "SP 800-204 4.1"),
)  # fmt: skip
