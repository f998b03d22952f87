"""A list of networks that holds nearly everyone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from yett.config.base import Location, listed
from yett.config.filters.authorize import stated
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

LEAST = {4: 8, 6: 16}


def check(context: Context) -> Iterator[Hit]:
    """Networks of fewer than 8 (IPv4) or 16 bits (IPv6), wherever networks are trusted."""
    for at, networks in _lists(context):
        wide = [net for net in networks if is_broad(net)]
        if wide:
            message = f"{listed(wide)} holds millions of addresses of strangers, and is trusted here; name the networks that you run yourself"
            yield Hit(at, message)


def is_broad(network: str) -> bool:
    """Whether it holds millions of addresses of strangers."""
    found = ipaddress.ip_network(network)
    return found.prefixlen < LEAST[found.version]


def _lists(context: Context) -> Iterator[tuple[Location, tuple[str, ...]]]:
    for name, listener in context.gateway.listeners.items():
        at: Location = ("listeners", name)
        if listener.trusted_proxies:
            yield (*at, "trusted_proxies", "addresses"), listener.trusted_proxies.addresses
        if listener.proxy_protocol:
            yield (*at, "proxy_protocol", "addresses"), listener.proxy_protocol.addresses
        if listener.passthrough and listener.passthrough.allow:
            yield (*at, "passthrough", "allow"), listener.passthrough.allow
    allowing = {
        used
        for part in (*context.gateway.listeners.values(), *(one for _, _, one in context.parts()))
        if part.address_filter
        for used in part.address_filter.allow
    }
    for name in sorted(allowing & context.gateway.address_lists.keys()):
        yield ("address_lists", name, "networks"), context.gateway.address_lists[name].networks
    for kind, name, part in context.parts():
        for rule, place, _ in stated(part.authorize, (kind, name), ""):
            if rule.addresses:
                yield (*place, "addresses"), rule.addresses


RULE = Rule(
    id="broad-network", severity=Severity.WARNING, title="a list of networks is nearly the whole internet", check=check,
    references=("API8:2023",),
)  # fmt: skip
