"""What does not fit together of merged routes, each with itself and with the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from yett.config import template
from yett.config.base import Location, listed
from yett.config.merge import Merger, Policy
from yett.config.providers.api_key import ApiKey


def check_priorities(merger: Merger) -> None:
    """A priority means something only where something is shed."""
    gateway = merger.gateway
    if gateway.process.load_shedding is not None:
        return
    for kind, items in (("groups", gateway.groups), ("routes", gateway.routes)):
        for name, item in items.items():
            if item.priority is not None:
                merger.fault(
                    (kind, name, "priority"),
                    "priority_unused",
                    "nothing is refused by priority; add `process: {load_shedding: {delay: 50ms}}`, or remove `priority`",
                    True,
                )


def check_client_certificates(merger: Merger, policies: list[Policy]) -> None:
    """A route that requires a certificate stands only on listeners that ask for one."""
    listeners = merger.gateway.listeners
    for policy in policies:
        if not policy.client_certificate:
            continue
        own = merger.gateway.routes[policy.name].client_certificate
        at: Location = ("routes", policy.name) if own else ("groups", policy.group or "")
        for name in policy.listeners:
            tls = listeners[name].tls if name in listeners else None
            if name in listeners and (tls is None or tls.client_certificates is None):
                merger.fault(
                    (*at, "client_certificate"),
                    "client_certificate_unasked",
                    f"`{policy.name}` stands on `{name}`, which asks clients for no certificate; "
                    "add `tls: {client_certificates: …}` there, or name other `listeners`",
                )


def check_sensitive(merger: Merger, policies: list[Policy]) -> None:
    """What a sensitive group obliges to."""
    gateway = merger.gateway
    for policy in policies:
        group = gateway.groups.get(policy.group or "")
        if group is None or group.sensitive is None:
            continue
        at: Location = ("routes", policy.name)
        label = f"`{policy.group}` is sensitive ({group.sensitive})"
        if not any({"roles", "permissions", "callers"} & set(rule) for rule in policy.rules):
            merger.fault(at, "sensitive_roles", f"{label}: name `roles` or `callers` in `authorize`", True)
        if not any("scopes" in rule for rule in policy.rules):
            merger.fault(at, "sensitive_scope", f"{label}: name `scopes` in `authorize`", True)
        keys = [name for name in policy.providers if isinstance(gateway.identity_providers.get(name), ApiKey)]
        if keys and not (policy.all_of and len(keys) < len(policy.providers)):
            merger.fault(
                at,
                "sensitive_provider",
                f"{label}: a key of {listed(keys)} can be passed on by anyone; accept tokens only, or `all_of` a key and a token",
                True,
            )
        if not policy.rate_limits and not policy.address_limits:
            merger.fault(at, "sensitive_limit", f"{label}: add a `rate_limit` or an `address_limit`", True)
        if not gateway.routes[policy.name].listeners and not group.listeners:
            merger.fault(at, "sensitive_listeners", f"{label}: say on which `listeners` it exists", True)


def check_ambiguous(merger: Merger, policies: list[Policy]) -> None:
    """Two routes that could both take a request with equal precedence.

    Precedence is decided by host, then by the shape of the path segment by segment, then by the number of header and
    query conditions. So only routes that are equal in all of these can collide, and only where methods and listeners
    overlap and no condition excludes the other.
    """
    buckets: dict[tuple[str, str, int], list[Policy]] = defaultdict(list)
    reported: set[tuple[str, str]] = set()
    for policy in policies:
        found = template.read(policy.path)
        shape = policy.path if isinstance(found, str) else found.shape
        count = len(policy.headers) + len(policy.query)
        for host in policy.hosts or ("",):
            for other in buckets[(host, shape, count)]:
                if (other.name, policy.name) not in reported and _overlap(policy, other):
                    reported.add((other.name, policy.name))
                    place = merger.places.shown_at(("routes", other.name))
                    message = f"`{policy.name}` and `{other.name}` ({place}) could both take the same request; change a path, method, host or condition of one"
                    merger.fault(("routes", policy.name, "match", "path"), "route_ambiguous", message)
            buckets[(host, shape, count)].append(policy)


def _overlap(one: Policy, other: Policy) -> bool:
    def methods(policy: Policy) -> set[str]:
        """The methods that it takes."""
        return {*policy.methods, *(("HEAD",) if "GET" in policy.methods else ())}

    def excluded(mine: dict[str, str], theirs: dict[str, str]) -> bool:
        return any(name in theirs and theirs[name] != value for name, value in mine.items())

    return (
        _meet(one.listeners, other.listeners)
        and _meet(methods(one), methods(other))
        and not excluded(one.headers, other.headers)
        and not excluded(one.query, other.query)
    )


def _meet(one: Iterable[str], other: Iterable[str]) -> bool:
    return not set(one).isdisjoint(other)
