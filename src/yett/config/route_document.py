"""What the document says of a merged route."""

from __future__ import annotations

from typing import Any

from yett.config.gateway import Gateway
from yett.config.merge import Policy
from yett.config.resolve import Material
from yett.config.validation.check import Validations


def _external(policy: Policy, material: Material) -> dict[str, Any]:
    if policy.external is None:
        return {}
    where, source, check = policy.external
    return {"external_authorization": check.compiled(source, material.texts.get((*where, "ca")))}


_WHERE_SAID = (
    "client_certificate", "tenants", "deny", "shadow", "hidden", "classification", "response_tenant", "live_check",
    "sender_constrained", "assurance", "address_filters", "geo_filters", "concurrency_limits", "quotas", "limit_classes",
    "shadow_limits", "security_headers", "websocket", "cors", "csrf", "bot_filter", "login_guard", "early_hints", "mirror",
    "attack_filter",
)  # fmt: skip
"""Fields of a policy that stand in the document as they are, and only where they say something."""


def route_document(
    policy: Policy, gateway: Gateway, material: Material, validations: Validations
) -> dict[str, Any]:
    """The part of one route."""
    access: Any = "public"
    if policy.access == "authenticated":
        access = {"authenticated": {"providers": list(policy.providers), "rules": policy.rules}}
        if policy.all_of:
            access["authenticated"]["all_of"] = True
    group = gateway.groups.get(policy.group or "")
    return {
        **({"unlisted": True} if group and group.sensitive and access != "public" else {}),
        "name": policy.name,
        "group": policy.group,
        "listeners": sorted(policy.listeners),
        "match": {
            "hosts": sorted(policy.hosts) if policy.hosts else None, "path": policy.path, "methods": sorted(policy.methods),
            "headers": policy.headers, "query": policy.query,
        },
        "path_allow": sorted(policy.path_allow),
        **_external(policy, material),
        **({"priority": policy.priority} if policy.priority != "normal" else {}),
        "access": access,
        "address_limits": policy.address_limits,
        "rate_limits": policy.rate_limits,
        "action": policy.action,
        "rewrite": {"path": policy.rewrite} if policy.rewrite else None,
        "request_headers": policy.request_headers,
        "response_headers": policy.response_headers,
        **validations.compiled(policy),
        "body_limit": policy.body_limit,
        "timeouts": policy.timeouts,
        **{key: said for key in _WHERE_SAID if (said := getattr(policy, key))},
    }  # fmt: skip
