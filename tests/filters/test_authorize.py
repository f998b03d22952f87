"""authorize: callers, scopes, roles, tenant."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile

CLAIMS = {"tenant": "tenant", "roles": "roles"}


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    """`shop(rule)`: a gateway whose route `/{tenant}/a` has that rule."""
    service, identity = origin(), issuer()

    def start(rule, **provider):
        config = configs.protected(service, identity, tmp_path)
        config["identity_providers"]["id"].update({"claims": CLAIMS, **provider})
        config["routes"]["closed"] = configs.route("/{tenant}/a", "GET", authenticate="id", authorize=rule)
        gate = gateway(config)

        def ask(**claims):
            return gate.get("/acme/a", identity.bearer(**claims))

        return ask

    start.service, start.identity = service, identity
    return start


@pytest.mark.parametrize(
    ("rule", "scope", "allowed"),
    [
        ("read", "read", True),
        ("read", "write read x", True),
        ("read", "", False),
        ("read", None, False),
        ("read", "readx", False),
        ("read", "READ", False),
        ({"any_of": ["read", "write"]}, "write", True),
        ({"any_of": ["read", "write"]}, "x", False),
        ({"all_of": ["read", "write"]}, "write read", True),
        ({"all_of": ["read", "write"]}, "write", False),
    ],
)
def test_scopes(shop, rule, scope, allowed):
    answer = shop({"scopes": rule})(scope=scope)
    if allowed:
        assert answer.status == 200
        return
    assert (answer.status, answer.reason) == (403, "scope_missing")
    challenge = answer["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="' in challenge and ("read" in challenge or "write" in challenge)
    assert shop.service.saw_nothing()


@pytest.mark.parametrize(
    ("rule", "roles", "allowed"),
    [
        ("clerk", ["clerk"], True),
        ("clerk", "clerk", True),
        ("clerk", ["boss"], False),
        ("clerk", None, False),
        ("clerk", [], False),
        ({"any_of": ["clerk", "boss"]}, ["boss"], True),
        ({"all_of": ["clerk", "boss"]}, ["boss"], False),
        ({"all_of": ["clerk", "boss"]}, ["boss", "clerk"], True),
    ],
)
def test_roles(shop, rule, roles, allowed):
    answer = shop({"roles": rule})(roles=roles)
    assert answer.status == (200 if allowed else 403)
    if not allowed:
        assert answer.reason == "role_missing"
        assert shop.service.saw_nothing()


@pytest.mark.parametrize(
    ("tenant", "reason"),
    [
        ("acme", None),
        ("other", "tenant_mismatch"),
        ("ACME", "tenant_mismatch"),
        ("acme ", "tenant_mismatch"),
        (None, "tenant_missing"),
        ("", "tenant_missing"),
    ],
)
def test_tenant(shop, tenant, reason):
    answer = shop({"tenant": "path.tenant"})(tenant=tenant)
    if reason is None:
        assert answer.status == 200
        return
    assert answer.status in (401, 403)
    assert answer.reason in (reason, "token_claim_invalid", "tenant_mismatch")
    assert shop.service.saw_nothing()


def test_callers(shop):
    ask = shop({"callers": {"users": ["alice"], "clients": ["mobile"]}})
    assert ask(sub="alice").status == 200
    assert ask(sub="bob", client_id="mobile").status == 200
    assert ask(sub="bob", azp="mobile").status == 200
    seen = len(shop.service.requests)
    for claims in ({"sub": "bob"}, {"sub": "mobile"}, {"sub": "bob", "client_id": "alice"}, {"sub": "Alice"}):
        answer = ask(**claims)
        assert (answer.status, answer.reason) == (403, "caller_not_allowed")
    assert shop.service.saw_no_more_than(seen)


def test_all_parts_have_to_hold(shop):
    ask = shop({"scopes": "read", "roles": "clerk", "tenant": "path.tenant"})
    everything = {"scope": "read", "roles": ["clerk"], "tenant": "acme"}
    for missing in everything:
        assert ask(**{**everything, missing: None}).status == 403
    assert shop.service.saw_nothing()
    assert ask(**everything).status == 200


def test_nested_claims(shop):
    ask = shop({"roles": "clerk"}, claims={"roles": {"from": ["realm_access", "roles"]}})
    assert ask(realm_access={"roles": ["clerk"]}).status == 200
    assert ask(roles=["clerk"]).reason == "role_missing"


def test_keys_have_scopes_roles_and_tenants(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path)
    full = keys.add("full", scopes=["read"], roles=["clerk"], tenant="acme")
    bare = keys.add("bare")
    config = configs.with_keys(service, keys)
    config["routes"] = {
        "scopes": configs.route("/scopes", "GET", authenticate="partners", authorize={"scopes": "read"}),
        "roles": configs.route("/roles", "GET", authenticate="partners", authorize={"roles": "clerk"}),
        "tenant": configs.route(
            "/t/{tenant}", "GET", authenticate="partners", authorize={"tenant": "path.tenant"}
        ),
        "named": configs.route(
            "/named", "GET", authenticate="partners", authorize={"callers": {"keys": ["full"]}}
        ),
        "user": configs.route(
            "/user", "GET", authenticate="partners", authorize={"callers": {"users": ["full"]}}
        ),
    }
    gate = gateway(config)
    for path in ("/scopes", "/roles", "/t/acme", "/named"):
        assert gate.get(path, {"X-Api-Key": bare}).status == 403, path
    assert service.saw_nothing()
    for path in ("/scopes", "/roles", "/t/acme", "/named"):
        assert gate.get(path, {"X-Api-Key": full}).status == 200, path
    assert gate.get("/t/other", {"X-Api-Key": full}).reason == "tenant_mismatch"
    assert gate.get("/user", {"X-Api-Key": full}).reason == "caller_not_allowed", "a key is never a user"
    assert service.saw_no_more_than(4)
