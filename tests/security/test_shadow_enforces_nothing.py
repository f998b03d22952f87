"""A rule or limit in shadow changes no answer, whatever it says and even where it fails; and takes nothing from what is enforced."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import configs
from tests.support.gateway import compiled
from yett.policy.engine import Engine, Question

NONE = {"none": "not what this test is about"}
CLAIMS = {
    "tenant": "tenant",
    "roles": "roles",
    "tier": "tier",
    "level": {"from": "level", "type": "int"},
}
# Each refuses, or cannot be decided, for some of the callers below.
RULES: dict[str, dict[str, Any]] = {
    "roles": {"roles": "clerk"},
    "scopes": {"scopes": {"all_of": ["read", "write"]}},
    "callers": {"callers": {"users": "ann"}},
    "claims": {"claims": {"tier": "gold"}},
    "numbers": {"claims": {"level": {"at_least": 2}}},
    "addresses": {"addresses": "10.0.0.0/8"},
    "times": {"times": {"from": "00:00", "until": "00:01", "zone": "Pacific/Kiritimati"}},
    "condition": {"when": "principal.claims.level / 0 == 1"},
    "header": {"when": "request.headers['x-user'] == 'ann'", "headers": ["x-user"]},
}
CALLERS: tuple[dict[str, Any], ...] = (
    {},
    {"scope": "read"},
    {"scope": "read write", "roles": ["clerk"], "sub": "ann", "tier": "gold", "level": 3, "tenant": "acme"},
    {"scope": "read write", "tenant": "acme", "level": 1, "tier": "none"},
    {"scope": "read", "tenant": "globex"},
)
ENFORCED: tuple[dict[str, Any], ...] = (
    {"access": "authenticated", "tenant": NONE},
    {"authorize": {"scopes": "read"}, "tenant": NONE},
    {"access": "authenticated", "tenant": "path.tenant"},
    {"authorize": {"scopes": "write"}, "tenant": NONE, "deny": {"low": "principal.claims.level < 2"}},
    {
        "access": "authenticated",
        "tenant": NONE,
        "hidden": True,
        "deny": {"all": {"addresses": "127.0.0.0/8"}},
    },
)
FIELDS = (("X-User", "ann"), ("X_User", "eve"), ("X-User-", "eve"))


def shadow(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "mode": "shadow", "until": "2026-12-31"}


def with_shadow(route: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The route with these rules in shadow, the first of them under `authorize` where there is room."""
    changed = copy.deepcopy(route)
    names = tuple(dict.fromkeys(names))
    if "authorize" not in changed:
        changed["authorize"] = shadow(RULES[names[0]])
        names = names[1:]
    denied = {f"tried-{name}": shadow(RULES[name]) for name in names}
    if denied:
        changed["deny"] = {**changed.get("deny", {}), **denied}
    return changed


@pytest.fixture
def world(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = CLAIMS
    config["routes"]["closed"]["tenant"] = NONE
    return gateway(config), service, identity, config


def seen(reply: Any) -> tuple[Any, ...]:
    """All that a client sees but the time and the id of its request."""
    fields = sorted(
        (name.lower(), value) for name, value in reply.headers if name.lower() not in {"date", "x-request-id"}
    )
    return reply.status, fields, reply.reason


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    enforced=st.sampled_from(ENFORCED),
    names=st.lists(st.sampled_from(sorted(RULES)), min_size=1, max_size=3, unique=True).map(tuple),
    callers=st.lists(st.sampled_from(CALLERS), min_size=1, max_size=3),
)
def test_answers_and_services_see_no_difference(world, enforced, names, callers):
    gate, service, identity, base = world
    number = itertools.count()
    plain = {f"p{next(number)}": configs.route("/plain/{tenant}", "GET", authenticate="id", **enforced)}
    tried = {
        f"t{next(number)}": with_shadow(
            configs.route("/tried/{tenant}", "GET", authenticate="id", **enforced), names
        )
    }
    config = {**base, "routes": {**plain, **tried}}
    gate.reload(config)
    engine = Engine(*compiled(gate.write(config)))
    for claims in callers:
        bearer = identity.bearer(**claims)
        answers, passed, told = [], [], []
        for place in ("plain", "tried"):
            service.forget()
            headers = [*bearer.items(), *FIELDS]
            answers.append(gate.request("GET", f"/{place}/acme", headers))
            names_passed = service.last.names if answers[-1].status == 200 else None
            passed.append(names_passed)
            told.append(
                engine.decide(
                    Question("GET", f"http://gateway.test/{place}/acme", tuple(headers), address="127.0.0.1")
                )
            )
        assert seen(answers[0]) == seen(answers[1])
        assert passed[0] == passed[1]
        assert [one["status"] or 200 for one in told] == [answers[0].status] * 2
        line = gate.log_line(request_id=request_id(answers[1]))
        refused = [one for one in told[1].get("shadow", ()) if one["outcome"] != "allow"]
        assert line.get("shadow", []) == refused
        assert "shadow" not in told[0]
        assert ("shadow" in told[1]) == (answers[0].status == 200)


def request_id(reply: Any) -> str:
    return next(value for name, value in reply.headers if name.lower() == "x-request-id")


@pytest.mark.parametrize("name", RULES)
def test_each_rule_refuses_when_it_is_enforced(world, name):
    """So that the test above is about rules that would refuse."""
    gate, service, identity, base = world
    found = set()
    for enforced in (True, False):
        rule = RULES[name] if enforced else shadow(RULES[name])
        access = {} if enforced else {"access": "authenticated"}
        route = configs.route("/a", "GET", authenticate="id", tenant=NONE, authorize=rule, **access)
        gate.reload({**base, "routes": {"a": route}})
        service.forget()
        found.add(gate.get("/a", identity.bearer()).status)
        assert len(service.requests) == (not enforced)
    assert found == {200, 403}


LIMITS: dict[str, dict[str, Any]] = {
    "rate": {"rate_limit": {"tried": {"rate": "1/h", "burst": 1}}},
    "everybody": {"rate_limit": {"tried": {"rate": "1/h", "burst": 1, "key": "route"}}},
    "undecided": {"rate_limit": {"tried": {"rate": "1/h", "burst": 1, "key": {"cel": "string(1 / 0)"}}}},
    "address": {"address_limit": {"tried": {"rate": "1/h", "burst": 1}}},
    "at once": {"concurrency_limit": {"tried": {"requests": 1, "key": {"cel": "string(1 / 0)"}}}},
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_refuses_where_it_is_enforced_and_changes_nothing_in_shadow(world, name):
    """Four requests, of which an enforced one leaves one at most; also beside one that is enforced, and tells of itself alone."""
    gate, service, identity, base = world
    ((kind, limits),) = LIMITS[name].items()
    found = {}
    for number, tried in enumerate(({}, {"mode": "shadow", "until": "2026-12-31"}, None)):
        own = {} if tried is None else {"tried": {**limits["tried"], **tried}}
        route = configs.route(
            f"/{number}/{{rest...}}", "GET", authenticate="id", tenant=NONE, access="authenticated",
            **{"rate_limit": {"other": {"rate": "100/d", "burst": 100}}, kind: own} if kind != "rate_limit"
            else {kind: {"other": {"rate": "100/d", "burst": 100}, **own}},
        )  # fmt: skip
        gate.reload({**base, "routes": {f"r{number}": route}})
        service.forget()
        answers = [gate.get(f"/{number}/{one}", identity.bearer(sub="ann")) for one in range(4)]
        passed = sum(answer.status == 200 for answer in answers)
        assert len(service.requests) == passed
        told = [[pair for pair in seen(one)[1] if pair[0] != "ratelimit"] for one in answers]
        found[number] = (passed, told, [sorted(one.names) for one in service.requests])
    enforced, shadowed, without = found.values()
    assert enforced[0] <= 1
    assert shadowed == without
    assert without[0] == 4
    assert all("shadow" in gate.log_line(path=f"/1/{one}") for one in range(1, 4))


def test_a_hidden_route_says_nothing_of_it(world):
    gate, service, identity, base = world
    hidden = configs.route(
        "/h/{tenant}", "GET", authenticate="id", tenant=NONE, hidden=True, access="authenticated",
        deny={"low": "principal.claims.level < 2", "tried": shadow({"when": "principal.claims.level < 5"})},
    )  # fmt: skip
    gate.reload({**base, "routes": {"h": hidden}})
    refused, absent = (gate.get(path, identity.bearer(level=1)) for path in ("/h/a", "/nothing/a"))
    assert seen(refused) == seen(absent)
    assert refused.status == 404
    assert "shadow" not in gate.log_line(path="/h/a")
    assert service.saw_nothing()
    assert gate.get("/h/b", identity.bearer(level=3)).status == 200
    assert gate.log_line(path="/h/b")["shadow"] == [
        {"outcome": "deny", "rule": "route h: deny.tried", "reason": "policy_denied"}
    ]
