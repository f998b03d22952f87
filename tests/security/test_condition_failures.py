"""A condition that fails, in a rule or in a deny rule, refuses; the log names the rule, and the metrics count it."""

from __future__ import annotations

import pytest

from tests.support import configs

FAILING = {
    "absent claim": "principal.claims.tier == 'gold'",
    "absent header": "request.headers['x-a'] == '1'",
    "absent parameter": "query.a == '1'",
    "division": "10 / (principal.claims.level - 1) > 2",
    "overflow": "9223372036854775807 + principal.claims.level > 0",
    "conversion": "int(principal.subject) > 2",
    "address": "cidr('10.0.0.0/8').containsIP(principal.subject)",
    "index": "principal.roles[7] == 'x'",
}


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {
        "tier": "tier", "level": {"from": "level", "type": "int"}, "roles": "roles",
    }  # fmt: skip

    def start(**route):
        config["routes"]["closed"] = configs.route("/a", "GET", authenticate="id", **route)
        gate = gateway(config)

        def ask(headers=(), target="/a", **claims):
            return gate.get(target, [*dict(identity.bearer(level=1, **claims)).items(), *headers])

        return gate, ask

    start.service = service
    return start


@pytest.mark.parametrize("kind", ["authorize", "deny"])
@pytest.mark.parametrize("condition", FAILING.values(), ids=FAILING)
def test_it_refuses(shop, kind, condition):
    rule = {"when": condition, "headers": ["x-a"]}
    route = (
        {"authorize": rule} if kind == "authorize" else {"access": "authenticated", "deny": {"some": rule}}
    )
    gate, ask = shop(**route)
    answer = ask()
    assert (answer.status, answer.reason) == (403, "policy_error")
    assert shop.service.saw_nothing()
    (line,) = gate.wait_log()
    assert line["rule"] == ("route closed" if kind == "authorize" else "route closed: deny.some")
    assert gate.metric("yett_refusals_total", reason="policy_error") == 1


def test_a_header_or_parameter_that_stands_twice_fails(shop):
    _, ask = shop(authorize={"when": "request.headers['x-a'] == '1' || query.a == '1'", "headers": "x-a"})
    assert ask([("X-A", "1")]).status == 200
    assert ask(target="/a?a=1").status == 200
    assert ask([("X-A", "2")], "/a?a=2").reason == "policy_denied"
    seen = len(shop.service.requests)
    assert ask([("X-A", "1"), ("x-a", "1")]).reason == "policy_error"
    assert ask(target="/a?a=1&a=1").reason == "policy_error"
    assert shop.service.saw_no_more_than(seen)


def test_aliases_of_a_header_that_is_read_do_not_reach_the_service(shop):
    _, ask = shop(authorize={"when": "request.headers['x-a'] == '1'", "headers": "x-a"})
    assert ask([("X-A", "1"), ("X_A", "2"), ("x.a", "3")]).status == 200
    assert {"x_a", "x.a"}.isdisjoint({name.lower() for name in shop.service.only.names})


def test_a_condition_holds_or_denies(shop):
    _, ask = shop(
        authorize={"when": "has(principal.claims.tier) && principal.claims.tier in ['gold', 'platinum']"},
        deny={"left": "principal.roles.exists(role, role.startsWith('ex-'))"},
    )
    assert ask().reason == ask(tier="free").reason == "policy_denied"
    assert ask(tier="gold", roles=["ex-clerk"]).reason == "policy_denied"
    assert shop.service.saw_nothing()
    assert ask(tier="gold", roles=["clerk"]).status == 200


def test_the_path_is_compared_decoded(shop):
    _, ask = shop(authorize={"when": "request.path == '/a' && request.method == 'GET'"})
    assert ask(target="/%61").status == 200
