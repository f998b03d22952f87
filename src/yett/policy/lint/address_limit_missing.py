"""A listener on which one address may guess as often as it likes."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.rates.shadow import enforced
from yett.config.types import is_loopback
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Listeners that other machines reach, where neither they nor all of their routes limit by address."""
    for name, listener in context.gateway.listeners.items():
        here = [policy for policy in context.policies if name in policy.listeners]
        limited = enforced(listener.address_limit) or (here and all(policy.address_limits for policy in here))
        asked = listener.tls.client_certificates if listener.tls else None
        if asked is not None and asked.mode == "required":
            continue  # who guesses gets no further than the handshake
        if here and not limited and not is_loopback(listener.address):
            message = (
                "one address may try tokens, keys and paths as often as it likes: `rate_limit` counts verified callers only; "
                "add `address_limit: {per-address: {rate: 50/s, burst: 100}}`"
            )
            yield Hit(("listeners", name), message)


RULE = Rule(
    id="address-limit-missing", severity=Severity.WARNING, title="guessing from one address is not limited", check=check,
    references=("API2:2023", "API4:2023", "SP 800-204 4.7"),
)  # fmt: skip
