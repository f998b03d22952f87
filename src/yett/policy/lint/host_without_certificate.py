"""A route for a host that the listener has no certificate for."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import listed
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Hosts of routes that no certificate of a listener with TLS names."""
    names = {name: _names(context, name) for name, one in context.gateway.listeners.items() if one.tls}
    for policy in context.policies:
        for listener in policy.listeners:
            known = names.get(listener)
            missing = [host for host in policy.hosts or () if known and not _named(host, known)]
            if missing:
                message = f"`{listener}` has no certificate for {listed(missing)}, so clients refuse the connection; add one, or name another host"
                own = context.route(policy).match.hosts is not None
                yield Hit(
                    ("routes", policy.name, "match", "hosts")
                    if own
                    else ("groups", policy.group or "", "hosts"),
                    message,
                )


def _names(context: Context, listener: str) -> set[str]:
    tls = context.gateway.listeners[listener].tls
    found = set(tls.acme.domains) if tls and tls.acme else set()
    for one in context.compiled.certificates:
        if one.use == "listener" and one.owner == listener and one.position == 0:
            found |= set(one.names)
    return found


def _named(host: str, names: set[str]) -> bool:
    """RFC 6125 section 6.4.3: a wildcard stands for one label."""
    return host in names or f"*.{host.partition('.')[2]}" in names


RULE = Rule(
    id="host-without-certificate", severity=Severity.WARNING, title="a host for which no certificate is there", check=check,
    references=("API8:2023",),
)  # fmt: skip
