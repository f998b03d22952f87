"""A listener that other machines reach without TLS."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.types import is_loopback
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Plain HTTP on addresses that other machines reach. Where a proxy before it is named, it may end TLS: a warning."""
    for name, listener in context.gateway.listeners.items():
        if listener.tls is not None or not listener.takes_routes or is_loopback(listener.address):
            continue
        behind = listener.trusted_proxies is not None or listener.proxy_protocol is not None
        message = "tokens, keys and answers cross the network in plain text; add `tls`, or listen on `127.0.0.1` behind what ends TLS"
        yield Hit(("listeners", name, "address"), message, Severity.WARNING if behind else context.grave)


RULE = Rule(
    id="plaintext-listener", severity=Severity.ERROR, title="clients reach the gateway without TLS", check=check,
    references=("API8:2023", "SP 800-204 4.3", "CWE-319"),
)  # fmt: skip
