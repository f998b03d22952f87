"""A group tightens: it never turns a refusal into an allow (THREATS 42)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from yett.config.compile import compile_loaded
from yett.config.gateway import Gateway
from yett.config.load import load_gateway
from yett.config.merge import Policy
from yett.errors import ConfigurationError

FILES = Path(__file__).parent / "cases" / "files"
PROVIDERS = ("one", "two", "three")
SCOPES = ("read", "write")
METHODS = ("GET", "POST", "PUT")
HOSTS = ("a.example.com", "b.example.com", "*.example.com")


def some(values: tuple[str, ...]) -> st.SearchStrategy[dict[str, list[str]]]:
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(lambda items: {"any_of": items})


def rule() -> st.SearchStrategy[dict[str, Any]]:
    parts = {
        "scopes": some(SCOPES),
        "roles": some(("admin", "reader")),
        "callers": some(SCOPES).map(lambda s: {"clients": s["any_of"]}),
    }
    return st.fixed_dictionaries({}, optional=parts).filter(bool)


def limits() -> st.SearchStrategy[dict[str, Any]]:
    limit = st.fixed_dictionaries(
        {"rate": st.sampled_from(["1/s", "10/m"]), "burst": st.integers(1, 5), "key": st.just("principal")}
    )
    return st.dictionaries(st.sampled_from(["x", "y", "z"]), limit, max_size=2)


def shared() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "authenticate": some(PROVIDERS), "authorize": rule(), "access": st.just("authenticated"), "rate_limit": limits(),
        "address_limit": limits().map(lambda all_: {f"a{k}": {"rate": v["rate"], "burst": v["burst"]} for k, v in all_.items()}),
        "listeners": some(("main", "other")),
    }  # fmt: skip


groups = st.fixed_dictionaries(
    {}, optional={**shared(), "methods": some(METHODS), "hosts": some(HOSTS), "service": st.just("origin")}
)
routes = st.fixed_dictionaries(
    {"match": st.fixed_dictionaries({"path": st.just("/a"), "methods": some(METHODS), "hosts": some(HOSTS)})},
    optional={
        **shared(),
        "service": st.just("origin"),
        "access": st.sampled_from(["public", "authenticated"]),
    },
)


def policy(route: dict[str, Any], group: dict[str, Any] | None) -> Policy | None:
    gateway = Gateway.model_validate({
        "listeners": {name: {"address": f"127.0.0.1:{port}", "plaintext": "test"} for name, port in (("main", 1), ("other", 2))},
        "identity_providers": {
            name: {"type": "jwt", "issuer": f"https://{name}.example", "audience": "a", "jwks": "jwks.json"} for name in PROVIDERS
        },
        "services": {"origin": {"endpoints": "https://origin.internal"}},
        "groups": {"g": group} if group is not None else {},
        "routes": {"r": {**route, "group": "g"} if group is not None else route},
    })  # fmt: skip
    try:
        return compile_loaded(load_gateway(gateway, FILES)).policies[0]
    except ConfigurationError:
        return None


CALLERS = [
    (provider, scopes, role, client)
    for provider in (None, *PROVIDERS)
    for scopes in ((), ("read",), ("read", "write"))
    for role in ("admin", "reader", "")
    for client in ("read", "write", "")
]


def allows(
    found: Policy, listener: str, host: str, method: str, caller: tuple[str | None, tuple[str, ...], str, str]
) -> bool:
    """Whether a request with these facts would be let through, read off the merged policy."""
    provider, scopes, role, client = caller
    hosts = found.hosts or ()
    if listener not in found.listeners or method not in found.methods:
        return False
    if not any(h == host or (h.startswith("*.") and host.endswith(h[1:])) for h in hosts):
        return False
    if found.access == "public":
        return True
    if provider not in found.providers:
        return False
    return all(
        holds(part.get("scopes"), scopes)
        and holds(part.get("roles"), (role,))
        and (not part.get("callers") or client in part["callers"]["clients"])
        for part in found.rules
    )


def holds(asked: dict[str, list[str]] | None, has: tuple[str, ...]) -> bool:
    if asked is None:
        return True
    return (
        any(item in has for item in asked["any_of"])
        if "any_of" in asked
        else all(item in has for item in asked["all_of"])
    )


@settings(max_examples=300, deadline=None)
@given(routes, groups)
def test_a_group_never_turns_a_refusal_into_an_allow(route: dict[str, Any], group: dict[str, Any]) -> None:
    """A route without its group either does not load, or allows at least what it allows inside the group."""
    together = policy(route, group)
    if together is None:
        return
    alone = policy(route, None)
    if alone is not None:
        assert set(together.providers) <= set(alone.providers) or alone.access == "public"
        assert set(together.methods) <= set(alone.methods)
        assert set(together.listeners) <= set(alone.listeners)
        assert all(item in together.rules for item in alone.rules)
        assert all(item in together.rate_limits for item in alone.rate_limits)
        assert all(item in together.address_limits for item in alone.address_limits)
        requests = itertools.product(
            ("main", "other"), ("a.example.com", "b.example.com", "c.org"), METHODS, CALLERS
        )
        for listener, host, method, caller in requests:
            if allows(together, listener, host, method, caller):
                assert allows(alone, listener, host, method, caller)
    assert together.access == "authenticated"
    # and the group's own conditions hold, whatever the route says
    if "authenticate" in group:
        assert set(together.providers) <= set(group["authenticate"]["any_of"])
    if "methods" in group:
        assert set(together.methods) <= {*group["methods"]["any_of"], "HEAD"}
    if "listeners" in group:
        assert set(together.listeners) <= set(group["listeners"]["any_of"])
    if "authorize" in group:
        assert any(item["source"] == "group g" for item in together.rules)
    for key, found in (("rate_limit", together.rate_limits), ("address_limit", together.address_limits)):
        assert set(group.get(key, {})) <= {item["name"] for item in found if item["scope"] == "group:g"}
