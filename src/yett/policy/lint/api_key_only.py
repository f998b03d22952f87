"""A key as all that a sensitive route asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from yett.config.base import listed
from yett.config.merge import Policy
from yett.config.providers.api_key import ApiKey
from yett.policy.lint.broad_network import is_broad
from yett.policy.linter.context import WRITES, Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Routes with classified data, or that write, for whoever holds a key."""
    for policy in context.policies:
        keys = [name for name, provider in context.providers(policy) if isinstance(provider, ApiKey)]
        keys = [name for name in keys if not _tied(context, name)]
        if (
            not keys
            or policy.all_of
            or policy.client_certificate
            or any(_bounded(rule.get("addresses")) for rule in policy.rules)
        ):
            continue
        yield from _hits(context, policy, keys)


def _hits(context: Context, policy: Policy, keys: list[str]) -> Iterator[Hit]:
    advice = (
        f"a key of {listed(keys)} can be copied, and whoever has the copy is the caller; ask for a token or a certificate as well "
        "(`all_of`), tie keys to addresses (`yett keys create --allow`), or name `addresses` in `authorize`"
    )
    if context.is_sensitive(policy):
        yield context.hit(policy, f"sensitive data for whoever holds a key: {advice}", "authenticate")
    elif WRITES & set(policy.methods):
        yield context.hit(
            policy, f"whoever holds a key may write: {advice}", "authenticate", severity=Severity.WARNING
        )


def _bounded(networks: Sequence[str] | None) -> bool:
    return bool(networks) and not any(map(is_broad, networks or ()))


def _tied(context: Context, provider: str) -> bool:
    keys = context.keys.get(provider)
    return (
        keys is not None
        and bool(keys.file.keys)
        and all(_bounded(key.allowed_addresses) for key in keys.file.keys.values())
    )


RULE = Rule(
    id="api-key-only", severity=Severity.ERROR, title="a key is all that a sensitive or writing route asks for", check=check,
    references=("API2:2023", "SP 800-204 4.1"),
)  # fmt: skip
