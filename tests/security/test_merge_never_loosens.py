"""The merge of group and route tightens, never loosens."""

from __future__ import annotations

import itertools

import pytest

from tests.support import configs


def shop(service, identity, other, directory, group, route):
    config = configs.protected(service, identity, directory)
    config["identity_providers"]["other"] = other.inline(directory)
    config["groups"] = {"team": group}
    config["routes"] = {
        "a": {
            "group": "team",
            "match": {"hosts": "any", "path": "/t/{tenant}", "methods": "GET"},
            "service": "origin",
            **({} if route.get("access") == "public" else {"tenant": NONE}),
            **route,
        }
    }
    return config


NONE = {"none": "not what this test is about"}
ROUTES = [
    {"authenticate": "id", "access": "authenticated"},
    {"authenticate": "id", "authorize": {"scopes": "read"}},
    {"authenticate": {"any_of": ["id", "other"]}, "authorize": {"roles": "clerk"}},
    {"authenticate": "id", "access": "authenticated", "tenant": "path.tenant"},
    {"authenticate": "id", "authorize": {"claims": {"region": "eu"}}, "deny": {"left": {"roles": "boss"}}},
    {"authenticate": "id", "authorize": {"permissions": "write"}, "hidden": True},
    {"authenticate": "id", "authorize": {"scopes": {"methods": {"GET": "read"}}, "addresses": "127.0.0.0/8"}},
    {"access": "public"},
]
GROUPS = [
    {},
    {"authenticate": "id"},
    {"authenticate": {"any_of": ["id", "other"]}},
    {"authenticate": "other"},
    {"authorize": {"scopes": "write"}},
    {"authenticate": "id", "authorize": {"roles": "boss"}},
    {"address_limit": {"x": {"rate": "1/h", "burst": 500}}},
    {"deny": {"clerks": {"roles": "clerk"}, "eu": {"claims": {"region": "eu"}}}},
    {"tenant": "header.X-Tenant"},
    {"multi_tenant": True, "tenant": "path.tenant"},
    {"hidden": True, "authorize": {"permissions": "read", "claims": {"region": {"none_of": ["eu"]}}}},
    {"classification": "secret", "authorize": {"clearance": "region"}},
    {"authorize": {"addresses": "10.0.0.0/8"}},
]
CALLERS = [
    {},
    {"scope": "read"},
    {"scope": "read write"},
    {"scope": "read", "roles": ["clerk"], "region": "eu"},
    {"scope": "write", "roles": ["boss"], "tenant": "acme", "region": "us"},
    {"scope": "read write", "roles": ["clerk"], "tenant": "acme", "region": "eu"},
    {"roles": ["clerk", "boss"], "tenant": "other"},
]


@pytest.mark.parametrize("route", ROUTES, ids=range(len(ROUTES)))
def test_a_group_never_turns_a_refusal_into_an_allow(gateway, origin, issuer, tmp_path, route):
    identity, other, service = issuer(), issuer("RSA"), origin()

    def verdicts(gate):
        found = {}
        for number, (claims, who) in enumerate(itertools.product(CALLERS, (identity, other, None))):
            headers = who.bearer(**claims) if who else {}
            found[number] = gate.get("/t/acme", headers).status
        return found

    alone = shop(service, identity, other, tmp_path, {}, route)
    for name in ("id", "other"):
        alone["identity_providers"][name]["claims"] = {
            "tenant": "tenant",
            "roles": "roles",
            "region": "region",
        }
    alone["classifications"] = ["open", "secret"]
    alone["roles"] = {"clerk": {"permissions": "read"}, "boss": {"permissions": "write", "includes": "clerk"}}
    del alone["groups"], alone["routes"]["a"]["group"]
    before = verdicts(gateway(alone))
    loaded = 0
    for group in GROUPS:
        config = configs.deep(alone)
        config["groups"] = {"team": group}
        config["routes"]["a"]["group"] = "team"
        try:
            gate = gateway(config)
        except Exception as error:
            assert not isinstance(error, KeyError | TypeError | AttributeError), error
            continue
        loaded += 1
        after = verdicts(gate)
        wider = {number for number in before if before[number] >= 400 and after[number] < 400}
        assert not wider, f"{group} lets in {wider}"
    assert loaded >= 1 or route == {"access": "public"}, "no group loads, so nothing was compared"


@pytest.mark.parametrize(
    ("group", "route"),
    [
        ({"authenticate": "id"}, {"access": "public"}),
        ({"authorize": {"scopes": "x"}}, {"access": "public"}),
        ({"authenticate": "id"}, {"authenticate": "other", "access": "authenticated"}),
        ({"authenticate": "id"}, {"authenticate": {"any_of": []}, "access": "authenticated"}),
        ({"access": "public"}, {"authenticate": "id", "access": "authenticated"}),
        ({"methods": "GET"}, {}),
        ({"authenticate": "id", "service": "origin"}, {"access": "authenticated"}),
    ],
)
def test_what_would_loosen_does_not_load(gateway, origin, issuer, tmp_path, group, route):
    config = shop(origin(), issuer(), issuer("RSA"), tmp_path, group, route)
    with pytest.raises(Exception) as caught:
        gateway(config)
    assert not isinstance(caught.value, KeyError | TypeError | AttributeError), caught.value


def test_providers_intersect_and_rules_add_up(gateway, origin, issuer, tmp_path):
    identity, other, service = issuer(), issuer("RSA"), origin()
    config = shop(
        service,
        identity,
        other,
        tmp_path,
        {"authenticate": {"any_of": ["id", "other"]}, "authorize": {"scopes": "group"}},
        {"authenticate": "id", "authorize": {"scopes": "route"}},
    )
    gate = gateway(config)
    assert gate.get("/t/a", other.bearer(scope="group route")).reason in (
        "provider_not_accepted",
        "token_issuer_unknown",
    )
    assert gate.get("/t/a", identity.bearer(scope="route")).reason == "scope_missing"
    assert gate.get("/t/a", identity.bearer(scope="group")).reason == "scope_missing"
    assert service.saw_nothing()
    assert gate.get("/t/a", identity.bearer(scope="group route")).status == 200


def test_a_route_is_absent_on_listeners_that_it_does_not_name(gateway, origin, issuer, tmp_path):
    service = origin()
    config = configs.public(service)
    config["listeners"] = {**configs.listener(), "inner": {"address": "127.0.0.1:0", "plaintext": "test"}}
    config["routes"] = {
        "a": configs.route("/a", listeners="main"),
        "b": configs.route("/b", listeners="inner"),
    }
    gate = gateway(config)
    assert gate.get("/a", listener="inner").reason == "route_not_found"
    assert gate.get("/b").reason == "route_not_found"
    nowhere = gate.get("/nowhere")
    assert gate.get("/b").json()["title"] == nowhere.json()["title"]
    assert service.saw_nothing()
    assert gate.get("/a").status == gate.get("/b", listener="inner").status == 200
    config["routes"]["c"] = configs.route("/c")
    with pytest.raises(Exception):
        gate.reload(config)
