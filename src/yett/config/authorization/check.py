"""What rules have to agree on, beyond those of one route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yett.config.base import Location, listed, nearest, on_routes
from yett.config.filters.authorize import Rule, Rules, stated
from yett.config.jwt_document import issuers
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.oidc import Oidc

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy


def check_authorization(merger: Merger, policies: list[Policy]) -> None:
    """The table of roles, and the obligation to name tenants."""
    _roles(merger)
    _external(merger)
    said: set[Location] = set()
    for policy in policies:
        _tenant(merger, policy)
        if policy.providers:
            _users(merger, policy, said)


def _users(merger: Merger, policy: Policy, said: set[Location]) -> None:
    """A `sub` is unique within its issuer only (OpenID Connect Core section 2): elsewhere it may be somebody else."""
    providers = merger.gateway.identity_providers
    whose = {name: set(_issuers(name, providers[name])) for name in policy.callers_of if name in providers}
    if len(set().union(*whose.values())) < 2:
        return
    route, group = merger.gateway.routes[policy.name], merger.gateway.groups.get(policy.group or "")
    parts: list[tuple[Location, Rules]] = [(("routes", policy.name), route.authorize)]
    if group is not None:
        parts.append((("groups", policy.group or ""), group.authorize))
    rules = [(rule, place) for where, part in parts for rule, place, _ in stated(part, where, "")]
    # what is in shadow keeps nobody out: it says which one is meant for itself only
    if any(rule.enforced and _says_which(rule) for rule, _ in rules):
        return
    accepted = [name for name, issuers in whose.items() if issuers]
    for rule, place in rules:
        at: Location = (*place, "callers", "users")
        if rule.callers is None or not rule.callers.users or at in said or _says_which(rule):
            continue
        said.add(at)
        one = rule.callers.users[0]
        merger.fault(
            at,
            "user_ambiguous",
            f"`{one}` may be another person at each issuer of {listed(accepted)}; accept one issuer here, "
            f"or say which one is meant: `when: \"principal.provider == '{accepted[0]}'\"`",
        )


def _says_which(rule: Rule) -> bool:
    return any(name in (rule.when or "") for name in ("principal.issuer", "principal.provider"))


def _issuers(name: str, provider: object) -> tuple[str, ...]:
    """Whose people a provider vouches for; nothing where it knows machines only."""
    if isinstance(provider, Jwt):
        return tuple(issuers(provider))
    if isinstance(provider, Oidc):
        return (provider.issuer,)
    if isinstance(provider, Introspection):
        return (provider.issuer or f"asked by {name}",)
    return ()


def _roles(merger: Merger) -> None:
    table = merger.gateway.roles
    for name, role in table.items():
        for index, below in enumerate(role.includes):
            if below not in table:
                merger.fault(
                    ("roles", name, "includes", index),
                    "role_unknown",
                    f"there is no role `{below}`{nearest(below, table) or '; write it into the table'}",
                )
        other = merger.roles.cycle(name)
        if other is not None:
            way = "itself" if other == name else f"`{other}`, which includes `{name}`"
            merger.fault(
                ("roles", name, "includes"), "role_circle", f"`{name}` includes {way}; break the circle", True
            )


def _external(merger: Merger) -> None:
    gateway = merger.gateway
    for kind, items in (("groups", gateway.groups), ("routes", gateway.routes)):
        for name, item in items.items():
            check = item.external_authorization
            at: Location = (kind, name, "external_authorization")
            if check is None:
                continue
            plain = check.url.startswith("http://")
            if plain and check.plaintext is None:
                merger.fault(
                    (*at, "url"),
                    "plaintext_reason",
                    f"`{check.url}` is plain HTTP, where anyone on the way could let requests in; use https, or add `plaintext:` with a reason",
                )
            if not plain and check.plaintext is not None:
                merger.fault(
                    (*at, "plaintext"),
                    "plaintext_unused",
                    "nothing here is plain HTTP; remove `plaintext`",
                    True,
                )
            if plain and check.ca is not None:
                merger.fault(
                    (*at, "ca"),
                    "key_unused",
                    "plain HTTP knows no certificate, so `ca` has no effect; remove it",
                    True,
                )


def _tenant(merger: Merger, policy: Policy) -> None:
    at: Location = ("routes", policy.name)
    group = merger.gateway.groups.get(policy.group or "")
    if policy.tenants:
        return
    if group is not None and group.multi_tenant:
        merger.fault(
            at,
            "tenant_obliged",
            f"`{policy.group}` is for several tenants: say where a request names its own, such as `tenant: path.tenant`",
            True,
        )
        return
    mapping = [name for name in policy.callers_of if merger.maps_tenant(name)]
    if mapping and policy.tenant_reason is None:
        merger.fault(
            at,
            "tenant_unnamed",
            f"callers of {listed(mapping)} belong to tenants: say where a request names its own, such as `tenant: path.tenant`, "
            'or why it names none: `tenant: {none: "reason"}`',
            True,
        )


def without_tenant(policies: list[Policy]) -> list[str]:
    """Routes on which nothing keeps tenants apart, in sentences."""
    return on_routes("no tenant is compared", ((policy.tenant_reason, policy.name) for policy in policies))
