"""What rules have to agree on, beyond those of one route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yett.config.base import Location, listed, nearest, on_routes

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy


def check_authorization(merger: Merger, policies: list[Policy]) -> None:
    """The table of roles, and the obligation to name tenants."""
    _roles(merger)
    _external(merger)
    for policy in policies:
        _tenant(merger, policy)


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
