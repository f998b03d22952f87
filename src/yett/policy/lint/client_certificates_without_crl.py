"""Client certificates that count until they end, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Listeners that ask for certificates, without revocation lists."""
    for name, listener in context.gateway.listeners.items():
        asked = listener.tls.client_certificates if listener.tls else None
        if asked is not None and not asked.crl and not asked.spiffe:
            message = "a certificate whose key was stolen counts until it ends; write `crl:` with the authority's revocation list, or issue for days only"
            yield Hit(("listeners", name, "tls", "client_certificates"), message)


RULE = Rule(
    id="client-certificates-without-crl", severity=Severity.INFO, title="client certificates cannot be withdrawn", check=check,
    references=("API2:2023", "CWE-299"),
)  # fmt: skip
