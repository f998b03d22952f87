"""A service on another machine that is reached without TLS."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import listed
from yett.policy.linter.context import Context, remote
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """`http://` endpoints on other machines; an error in production where secrets or sensitive data travel."""
    sensitive = {
        name
        for policy in context.policies
        if context.is_sensitive(policy)
        for name in context.services(policy)
    }
    for name, service in context.gateway.services.items():
        plain = [url for url in service.urls if url.startswith("http://") and remote(url)]
        if not plain:
            continue
        grave = name in sensitive or service.forward_credential or service.token is not None
        what = "sensitive data and credentials go" if grave else "requests and answers go"
        message = f"{what} over the network in plain text to {listed(plain)}; give the service a certificate and write `https://`"
        yield Hit(("services", name, "endpoints"), message, context.grave if grave else Severity.WARNING)


RULE = Rule(
    id="plaintext-service", severity=Severity.ERROR, title="a service on another machine is reached without TLS", check=check,
    references=("API8:2023", "SP 800-204 4.3", "CWE-319"),
)  # fmt: skip
