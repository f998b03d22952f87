"""authorize: callers, scopes, roles, permissions, attributes, tenants, rules that deny."""

from __future__ import annotations

import datetime
import time

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
        if "tenant" not in rule:
            config["routes"]["closed"]["tenant"] = {"none": "not what this test is about"}
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


def test_every_rule_of_a_list_has_to_hold(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {"roles": "roles"}
    rules = [{"scopes": "read"}, {"roles": "clerk"}, {"callers": {"users": "ann"}}]
    config["routes"]["closed"] = configs.route("/a/{n}", "GET", authenticate="id", authorize=rules)
    gate = gateway(config)
    everything = {"scope": "read", "roles": ["clerk"], "sub": "ann"}
    refused = [
        ("scope", "scope_missing", "route closed"),
        ("roles", "role_missing", "route closed: authorize.2"),
        ("sub", "caller_not_allowed", "route closed: authorize.3"),
    ]
    for missing, reason, rule in refused:
        answer = gate.get(f"/a/{missing}", identity.bearer(**{**everything, missing: "x"}))
        assert (answer.status, answer.reason) == (403, reason)
        assert gate.log_line(path=f"/a/{missing}")["rule"] == rule
    assert service.saw_nothing()
    assert gate.get("/a/1", identity.bearer(**everything)).status == 200


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
        "scopes": configs.route(
            "/scopes", "GET", authenticate="partners", tenant=NONE, authorize={"scopes": "read"}
        ),
        "roles": configs.route(
            "/roles", "GET", authenticate="partners", tenant=NONE, authorize={"roles": "clerk"}
        ),
        "tenant": configs.route(
            "/t/{tenant}", "GET", authenticate="partners", authorize={"tenant": "path.tenant"}
        ),
        "named": configs.route(
            "/named", "GET", authenticate="partners", tenant=NONE, authorize={"callers": {"keys": ["full"]}}
        ),
        "user": configs.route(
            "/user", "GET", authenticate="partners", tenant=NONE, authorize={"callers": {"users": ["full"]}}
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


NONE = {"none": "not what this test is about"}


@pytest.fixture
def office(gateway, origin, issuer, tmp_path):
    """`office(routes, **top)`: a gateway with these routes, whose provider declares what rules may read."""
    service, identity = origin(), issuer()

    def start(routes, **top):
        config = configs.protected(service, identity, tmp_path)
        config["identity_providers"]["id"]["claims"] = {
            **CLAIMS, "region": "region", "subscription": "subscription", "clearance": "clearance", "teams": {"from": "teams", "type": "string_list"},
            "level": {"from": "level", "type": "int"}, "verified": {"from": "verified", "type": "bool"},
            "device_posture": {"from": ["device", "posture"]}, "device_checked": {"from": ["device", "checked"], "type": "int"},
        }  # fmt: skip
        config.update(top)
        config["routes"] = {
            name: configs.route(**{"authenticate": "id", "tenant": NONE, **route})
            for name, route in routes.items()
        }
        return gateway(config)

    start.service, start.bearer = service, identity.bearer
    return start


def test_roles_include_others_and_bring_permissions(office):
    roles = {
        "clerk": {"permissions": ["read"]},
        "accountant": {"permissions": "write", "includes": "clerk"},
        "boss": {"includes": ["accountant"]},
        "guest": {"permissions": "look"},
    }
    routes = {
        "role": {"template": "/role", "authorize": {"roles": "clerk"}},
        "write": {"template": "/write", "authorize": {"permissions": "write"}},
        "both": {"template": "/both", "authorize": {"permissions": {"all_of": ["read", "look"]}}},
    }
    gate = office(routes, roles=roles)
    for path, allowed in (
        ("/role", {"clerk", "accountant", "boss"}),
        ("/write", {"accountant", "boss"}),
        ("/both", set()),
    ):
        for role in ("clerk", "accountant", "boss", "guest", "nobody"):
            answer = gate.get(path, office.bearer(roles=[role]))
            assert answer.status == (200 if role in allowed else 403), (path, role)
    assert gate.get("/write", office.bearer(roles=["clerk"])).reason == "permission_missing"
    seen = len(office.service.requests)
    assert gate.get("/both", office.bearer(roles=["clerk", "guest"])).status == 200
    assert office.service.saw_no_more_than(seen + 1)


def test_scopes_for_each_method(office):
    methods = {
        "GET": "read",
        "PATCH": {"all_of": ["read", "write"]},
        "DELETE": {"any_of": ["delete", "admin"]},
    }
    routes = {
        "a": {
            "template": "/a",
            "methods": {"any_of": list(methods)},
            "authorize": {"scopes": {"methods": methods}},
        }
    }
    gate = office(routes)
    reader, editor = office.bearer(scope="read"), office.bearer(scope="write read")
    assert gate.get("/a", reader).status == gate.request("HEAD", "/a", reader).status == 200
    assert gate.request("PATCH", "/a", editor).status == 200
    seen = len(office.service.requests)
    for method, who in (("PATCH", reader), ("DELETE", reader), ("DELETE", editor)):
        answer = gate.request(method, "/a", who)
        assert answer.reason == "scope_missing", method
    assert 'scope="read write"' in gate.request("PATCH", "/a", reader)["www-authenticate"]
    assert office.service.saw_no_more_than(seen)


@pytest.mark.parametrize(
    ("rule", "passes", "fails"),
    [
        ({"region": {"any_of": ["eu", "uk"]}}, {"region": "uk"}, [{"region": "us"}, {"region": "EU"}, {}]),
        ({"region": {"none_of": ["xx"]}}, {"region": "eu"}, [{"region": "xx"}, {}]),
        ({"subscription": "gold"}, {"subscription": "gold"}, [{"subscription": "free"}, {}]),
        ({"level": {"at_least": 2}}, {"level": 2}, [{"level": 1}, {}]),
        ({"level": {"any_of": [1, 3]}}, {"level": 3}, [{"level": 2}]),
        ({"verified": True}, {"verified": True}, [{"verified": False}, {}]),
        (
            {"teams": {"all_of": ["a", "b"]}},
            {"teams": ["b", "c", "a"]},
            [{"teams": ["a"]}, {"teams": []}, {}],
        ),
        (
            {"region": "eu", "level": 1},
            {"region": "eu", "level": 1},
            [{"region": "eu", "level": 2}, {"level": 1}],
        ),
    ],
)
def test_claims(office, rule, passes, fails):
    gate = office({"a": {"template": "/a", "authorize": {"claims": rule}}})
    for claims in fails:
        assert gate.get("/a", office.bearer(**claims)).reason == "attribute_mismatch", claims
    assert office.service.saw_nothing()
    assert gate.get("/a", office.bearer(**passes)).status == 200


def test_clearance_is_compared_with_the_classification_of_the_route(office):
    routes = {
        level: {"template": f"/{level}", "classification": level, "authorize": {"clearance": "clearance"}}
        for level in ("public", "internal", "secret")
    }
    gate = office(routes, classifications=["public", "internal", "secret"])
    allowed = {
        (level, held)
        for level in routes
        for held in (*routes, "top", None)
        if gate.get(f"/{level}", office.bearer(clearance=held)).status == 200
    }
    assert allowed == {
        ("public", "public"), ("public", "internal"), ("public", "secret"), ("internal", "internal"), ("internal", "secret"), ("secret", "secret"),
    }  # fmt: skip
    assert gate.get("/secret", office.bearer(clearance="internal")).reason == "attribute_mismatch"


def test_addresses_and_times(office):
    now = datetime.datetime.now(datetime.UTC)
    # an hour around now, and one that is far away, whatever the day
    inside = {"from": f"{(now.hour - 1) % 24:02}:00", "until": f"{(now.hour + 2) % 24:02}:00", "zone": "UTC"}
    outside = {"from": f"{(now.hour + 6) % 24:02}:00", "until": f"{(now.hour + 8) % 24:02}:00", "zone": "UTC"}
    routes = {
        "here": {"template": "/here", "authorize": {"addresses": "127.0.0.0/8"}},
        "there": {"template": "/there", "authorize": {"addresses": ["10.0.0.0/8", "2001:db8::/32"]}},
        "now": {"template": "/now", "authorize": {"times": [outside, inside]}},
        "later": {"template": "/later", "authorize": {"times": outside}},
    }
    gate, who = office(routes), office.bearer()
    assert gate.get("/there", who).reason == "address_not_allowed"
    assert gate.get("/later", who).reason == "time_not_allowed"
    assert office.service.saw_nothing()
    assert gate.get("/here", who).status == gate.get("/now", who).status == 200


def test_device(office):
    device = {"posture": {"any_of": ["compliant", "managed"]}, "age": "15m"}
    gate = office({"a": {"template": "/a", "authorize": {"device": device}}})
    now = int(time.time())
    for state in (
        None,
        {},
        {"posture": "compliant"},
        {"checked": now},
        {"posture": "rooted", "checked": now},
        {"posture": "compliant", "checked": now - 1000},
        {"posture": "compliant", "checked": now + 1000},
    ):
        assert gate.get("/a", office.bearer(device=state)).reason == "device_not_allowed", state
    assert office.service.saw_nothing()
    assert gate.get("/a", office.bearer(device={"posture": "managed", "checked": now - 60})).status == 200


def test_deny_wins_and_names_its_rule(office):
    deny = {
        "frozen": {"claims": {"teams": {"any_of": ["frozen"]}}},
        "contractors": {"roles": "contractor", "claims": {"level": {"at_most": 1}}},
    }
    gate = office({"a": {"template": "/a", "authorize": {"scopes": "read"}, "deny": deny}})

    def ask(**claims):
        return gate.get("/a", office.bearer(scope="read", **claims))

    assert ask(teams=["frozen"]).reason == "policy_denied"
    assert ask(teams=[], roles=["contractor"], level=1).reason == "policy_denied"
    assert ask().reason == "policy_error", "what the rule reads is absent: doubt denies"
    assert ask(teams=[], roles=["contractor"]).reason == "policy_error"
    assert office.service.saw_nothing()
    assert ask(teams=["a"]).status == 200
    assert ask(teams=[], roles=["contractor"], level=2).status == 200
    rules = [line.get("rule") for line in gate.wait_log(6)[:4]]
    assert rules == [f"route a: deny.{name}" for name in ("frozen", "contractors", "frozen", "contractors")]
    assert gate.metric("yett_refusals_total", reason="policy_error") == 2


@pytest.mark.parametrize(
    ("place", "route", "mine", "other"),
    [
        ("header.X-Tenant", {}, {"headers": {"X-Tenant": "acme"}}, {"headers": {"X-Tenant": "globex"}}),
        ("query.tenant", {}, {"target": "/a?tenant=acme"}, {"target": "/a?tenant=globex"}),
        ("host", {"hosts": "*.shop.test"}, {"host": "acme.shop.test"}, {"host": "globex.shop.test"}),
        (
            {"host": "api-{tenant}.shop.test"},
            {"hosts": "*.shop.test"},
            {"host": "api-acme.shop.test"},
            {"host": "api-globex.shop.test"},
        ),
    ],
)
def test_tenant_in_other_places(office, place, route, mine, other):
    gate = office({"a": {"template": "/a", **route, "access": "authenticated", "tenant": place}})
    who = office.bearer(tenant="acme")

    def ask(
        target="/a", headers=(), host="acme.shop.test" if "hosts" in route else "gateway.test", bearer=who
    ):
        return gate.get(target, [*dict(bearer).items(), *dict(headers).items()], host=host)

    assert ask(**other).reason == "tenant_mismatch"
    assert ask(**mine, bearer=office.bearer()).reason == "tenant_missing"
    if "hosts" not in route:
        assert ask().reason == "tenant_missing"
    assert office.service.saw_nothing()
    assert ask(**mine).status == 200
    assert office.service.only.all("x-tenant") == (["acme"] if place == "header.X-Tenant" else [])


def test_a_tenant_that_stands_twice(office):
    routes = {
        "a": {"template": "/a", "access": "authenticated", "tenant": "header.X-Tenant"},
        "b": {"template": "/b", "access": "authenticated", "tenant": "query.t"},
    }
    gate, who = office(routes), dict(office.bearer(tenant="acme"))
    twice = [*who.items(), ("X-Tenant", "acme"), ("x-tenant", "acme")]
    assert gate.get("/a", twice).reason == "tenant_ambiguous"
    assert gate.get("/b?t=acme&%74=globex", who).reason == "tenant_ambiguous"
    assert office.service.saw_nothing()
    alias = [*who.items(), ("X-Tenant", "acme"), ("X_Tenant", "globex"), ("x.tenant", "globex")]
    assert gate.get("/a", alias).status == 200
    assert not {"x_tenant", "x.tenant"} & {name.lower() for name in office.service.only.names}


def test_group_and_route_both_name_the_tenant(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = CLAIMS
    config["groups"] = {"team": {"multi_tenant": True, "authenticate": "id", "tenant": "path.tenant"}}
    route = {"group": "team", "access": "authenticated", "tenant": "header.X-Tenant"}
    config["routes"] = {"a": configs.route("/{tenant}/a", "GET", **route)}
    gate, who = gateway(config), dict(identity.bearer(tenant="acme"))
    assert gate.get("/acme/a", who).reason == "tenant_missing"
    assert gate.get("/acme/a", {**who, "X-Tenant": "globex"}).reason == "tenant_mismatch"
    assert gate.get("/globex/a", {**who, "X-Tenant": "acme"}).reason == "tenant_mismatch"
    assert service.saw_nothing()
    assert gate.get("/acme/a", {**who, "X-Tenant": "acme"}).status == 200


def test_one_person_in_two_tenants_has_two_buckets(office):
    limit = {"mine": {"rate": "1/h", "burst": 1, "key": "principal"}}
    gate = office(
        {"a": {"template": "/a", "access": "authenticated", "rate_limit": limit, "tenant": "header.X-Tenant"}}
    )

    def ask(tenant):
        return gate.get("/a", {**dict(office.bearer(tenant=tenant)), "X-Tenant": tenant})

    assert ask("acme").status == 200
    assert ask("acme").status == 429
    assert ask("globex").status == 200
