"""What does not fit together of groups, and of what both they and routes say."""

from __future__ import annotations

from yett.config.base import Location
from yett.config.headers import HeaderEdits, owned
from yett.config.merge import Merger
from yett.config.route import Group, Route


def check_groups(merger: Merger) -> None:
    """References of groups."""
    gateway = merger.gateway
    for name, group in gateway.groups.items():
        at: Location = ("groups", name)
        for index, listener in enumerate(group.listeners or ()):
            if listener not in gateway.listeners:
                merger.unknown((*at, "listeners", "any_of", index), "listener", listener, gateway.listeners)
        spec = group.authenticate
        for index, provider in enumerate(spec.items if spec else ()):
            if spec and provider not in gateway.identity_providers:
                merger.unknown(
                    (*at, "authenticate", spec.quantifier, index),
                    "identity provider",
                    provider,
                    gateway.identity_providers,
                )
        for service in [*([group.service] if group.service else []), *(group.split or ())]:
            if service not in gateway.services:
                where = ("split", service) if service != group.service else ("service",)
                merger.unknown((*at, *where), "service", service, gateway.services)
        if group.mirror and group.mirror.service not in gateway.services:
            merger.unknown((*at, "mirror", "service"), "service", group.mirror.service, gateway.services)
        if group.access and any(rule.enforced for rule in group.authorize):
            merger.fault(
                (*at, "access"), "access_twice", "`access` and `authorize` both decide; keep one", True
            )
        check_edits(merger, at, group)


def check_address_filters(merger: Merger) -> None:
    """Address lists that filters name."""
    gateway = merger.gateway
    for kind, items in (
        ("listeners", gateway.listeners),
        ("groups", gateway.groups),
        ("routes", gateway.routes),
    ):
        for name, item in items.items():
            filters = item.address_filter
            for key in ("allow", "deny"):
                for index, used in enumerate(getattr(filters, key, ())):
                    if used not in gateway.address_lists:
                        at: Location = (kind, name, "address_filter", key, "any_of", index)
                        merger.unknown(at, "address list", used, gateway.address_lists)


def check_edits(merger: Merger, at: Location, part: Group | Route) -> None:
    """Changes of headers, of a group or a route."""
    if part.request_headers is not None:
        _header_edits(merger, (*at, "request_headers"), part.request_headers)
    if part.response_headers is not None:
        _header_edits(merger, (*at, "response_headers"), part.response_headers)


def _header_edits(merger: Merger, at: Location, edits: HeaderEdits) -> None:
    response = at[-1] == "response_headers"
    seen: dict[str, str] = {}
    for where, name in edits.names():
        if owned(name, response):
            merger.fault(
                (*at, *where),
                "header_owned",
                f"`{name}` belongs to the gateway, which sets or checks it itself; remove it here",
                where[0] != "remove",
            )
        if name in seen:
            merger.fault(
                (*at, *where),
                "header_twice",
                f"`{name}` also stands in `{seen[name]}`; keep one",
                where[0] != "remove",
            )
        seen[name] = str(where[0])
    if not edits.names():
        merger.fault(
            at,
            "header_edits_empty",
            "nothing is changed here; write `remove`, `set` or `add`, or remove the key",
            True,
        )
