"""Limits in shadow: counted apart, reported in log, metrics and tools; nobody is refused by one, and no answer tells of one."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from tests.filters.test_concurrency_limit import Held, begin
from tests.policy.test_shadow import would, write, yett
from tests.support import configs
from tests.support.gateway import compiled
from tests.support.waiting import eventually
from yett.config import compile_file
from yett.control import source
from yett.policy import explain, gate
from yett.policy.engine import Engine, Question

TRIED = {"mode": "shadow", "until": "2026-12-31"}
SLOW = {"rate": "1/h", "burst": 2}
SHADOW = {**SLOW, **TRIED}
TOLD = ("ratelimit", "ratelimit-policy", "retry-after")


@pytest.fixture
def shop(origin, issuer, tmp_path):
    """`/closed/…` for verified callers, with limits that a test adds; the origin, and the issuer of tokens."""
    service, identity = origin(), issuer()
    return configs.protected(service, identity, tmp_path), identity, service


def refused(gate, path, answer) -> list[dict[str, str]]:
    assert answer.status == 200
    assert not [name for name in TOLD if name in answer]
    return gate.log_line(path=path).get("shadow", [])


def counts(gate, rule: str, route: str = "closed") -> tuple[float, ...]:
    return tuple(
        gate.metric("yett_shadow_total", route=route, rule=rule, outcome=outcome)
        for outcome in ("allow", "deny", "error")
    )


def test_a_rate_is_counted_and_refuses_nobody(gateway, shop, workers):
    config, identity, service = shop
    config["routes"]["closed"]["rate_limit"] = {"tried": SHADOW}
    gate = gateway(config, workers=workers)
    found = [
        refused(gate, f"/a/{number}", gate.get(f"/a/{number}", identity.bearer())) for number in range(4)
    ]
    assert found == [[], [], *2 * [[would("route closed: rate_limit.tried", "rate_limited")]]]
    other = gate.get("/a/9", identity.bearer(sub="another"))
    assert refused(gate, "/a/9", other) == []
    assert counts(gate, "route closed: rate_limit.tried") == (3, 2, 0)
    assert len(service.requests) == 5


@pytest.mark.parametrize("place", ["listener", "route"])
def test_addresses_are_counted_and_refused_nowhere(gateway, shop, place):
    config, _, service = shop
    if place == "listener":
        config["listeners"] = configs.listener(address_limit={"tried": SHADOW})
        rule, route = "listener main: address_limit.tried", ""
    else:
        config["routes"]["open"]["address_limit"] = {"tried": SHADOW}
        rule, route = "route open: address_limit.tried", "open"
    gate = gateway(config)
    found = [refused(gate, f"/open/{number}", gate.get(f"/open/{number}")) for number in range(3)]
    assert found == [[], [], [would(rule, "address_limited")]]
    assert counts(gate, rule, route) == (2, 1, 0)
    assert len(service.requests) == 3
    if place == "listener":
        # also of what no route takes
        assert gate.get("/a/1").reason == "credential_missing"
        assert gate.log_line(path="/a/1")["shadow"] == [would(rule, "address_limited")]


def test_places_are_held_until_the_request_ends(gateway, shop, tmp_path):
    config, identity, service = shop
    held = Held(service)
    config["routes"]["closed"] |= {
        "timeouts": {"first_byte": "5m"},
        "concurrency_limit": {"tried": {"requests": 1, **TRIED}, "most": {"requests": 3}},
    }
    rule = would("route closed: concurrency_limit.tried", "concurrency_limited")
    gate = gateway(config)
    bearer = identity.bearer()
    try:
        with ExitStack() as stack:
            begin(stack, gate, bearer)
            held.wait(1)
            begin(stack, gate, bearer)
            held.wait(2)
            assert refused(gate, "/a/1", gate.get("/a/1", bearer)) == [rule]
            begin(stack, gate, bearer)
            held.wait(3)
            assert gate.get("/a/2", bearer).reason == "concurrency_limited"
            assert "shadow" not in gate.log_line(path="/a/2")
            held.let.set()
            eventually(lambda: gate.metric("yett_concurrency_held") == 0, what="all places given back")
    finally:
        held.let.set()
    assert refused(gate, "/a/3", gate.get("/a/3", bearer)) == []


def test_what_an_enforced_limit_refuses_is_not_counted(gateway, shop):
    config, identity, service = shop
    config["routes"]["closed"]["rate_limit"] = {"enforced": {**SLOW, "burst": 1}, "tried": SHADOW}
    gate = gateway(config)
    answer = gate.get("/a/0", identity.bearer())
    assert answer["ratelimit-policy"] == '"enforced";q=1;w=3600'
    for number in range(1, 5):
        answer = gate.get(f"/a/{number}", identity.bearer())
        assert (answer.reason, answer.json()["limit"]) == ("rate_limited", "enforced")
        assert '"tried"' not in answer["ratelimit"] + answer["ratelimit-policy"]
        assert "shadow" not in gate.log_line(path=f"/a/{number}")
    assert counts(gate, "route closed: rate_limit.tried") == (1, 0, 0)
    assert len(service.requests) == 1


def test_it_counts_in_a_table_of_its_own(gateway, shop):
    """What is used up in shadow is there again when the limit is enforced."""
    config, identity, _ = shop
    bearer = identity.bearer()
    config["routes"]["closed"]["rate_limit"] = {"tried": SHADOW}
    gate = gateway(config)
    rule = [would("route closed: rate_limit.tried", "rate_limited")]
    found = [refused(gate, f"/a/{number}", gate.get(f"/a/{number}", bearer)) for number in range(3)]
    assert found == [[], [], rule]
    enforced = configs.deep(config, routes__closed__rate_limit={"tried": SLOW})
    gate.reload(enforced)
    assert [gate.get("/a/4", bearer).status for _ in range(3)] == [200, 200, 429]


def test_a_reload_keeps_what_was_counted(gateway, shop):
    config, identity, _ = shop
    config["routes"]["closed"]["rate_limit"] = {"tried": SHADOW}
    gate = gateway(config)
    for number in range(2):
        assert refused(gate, f"/a/{number}", gate.get(f"/a/{number}", identity.bearer())) == []
    gate.reload(configs.deep(config, services__origin__host="endpoint"))
    found = refused(gate, "/a/2", gate.get("/a/2", identity.bearer()))
    assert found == [would("route closed: rate_limit.tried", "rate_limited")]
    assert counts(gate, "route closed: rate_limit.tried") == (2, 1, 0)


def test_what_cannot_be_decided_is_an_error_and_passes(gateway, shop):
    config, identity, service = shop
    limit = {**SHADOW, "key": {"cel": "string(1 / 0)"}}
    config["routes"]["closed"]["rate_limit"] = {"tried": limit}
    gate = gateway(config)
    rule = would("route closed: rate_limit.tried", "limit_undecided", "error")
    assert refused(gate, "/a/1", gate.get("/a/1", identity.bearer())) == [rule]
    assert counts(gate, "route closed: rate_limit.tried") == (0, 0, 1)
    assert service.last.target == "/a/1"


def test_a_group_s_limit_with_classes_windows_and_a_cost_of_the_route(gateway, shop):
    config, identity, _ = shop
    config["groups"] = {
        "g": {
            "authenticate": "id",
            "access": "authenticated",
            "rate_limit": {
                "tried": {
                    "windows": {"hour": {"rate": "4/h", "burst": 4}, "day": {"rate": "100/d", "burst": 100}},
                    "classes": {"ann": {"when": "principal.subject == 'ann'", "rate": "20/h", "burst": 20}},
                    **TRIED,
                },
            },
        }
    }
    config["routes"]["closed"] = configs.route("/{rest...}", group="g", rate_limit={"tried": {"cost": 2}})
    gate = gateway(config)
    rule = would("group g: rate_limit.tried", "rate_limited")
    for who, limit in (("bob", 2), ("ann", 10)):
        found = []
        for number in range(limit + 1):
            path = f"/{who}/{number}"
            found.append(refused(gate, path, gate.get(path, identity.bearer(sub=who))))
        assert found == [*limit * [[]], [rule]], who


ALL = {
    "rate_limit": {"rates": {**SHADOW, "classes": {"ann": {"callers": {"users": "ann"}, **SLOW}}}},
    "address_limit": {"addresses": SHADOW},
    "concurrency_limit": {"at-once": {"requests": 1, **TRIED}},
}


def test_what_is_enforced_is_what_it_would_be_without_it(shop, tmp_path):
    config, _, _ = shop
    without = copy.deepcopy(config)
    config["routes"]["closed"] |= ALL
    without["listeners"] = configs.listener()
    config["listeners"] = configs.listener(address_limit={"tried": SHADOW})
    documents = [json.loads(compile_file(write(one, tmp_path)).ir) for one in (config, without)]
    tried = [part.pop("shadow_limits", []) for part in (*documents[0]["listeners"], *documents[0]["routes"])]
    assert sorted(limit["source"] for limits in tried for limit in limits) == [
        "listener main: address_limit.tried",
        "route closed: address_limit.addresses",
        "route closed: concurrency_limit.at-once",
        "route closed: rate_limit.rates",
    ]
    assert documents[0] == documents[1]


def test_the_engine_explanations_and_tests_say_it(shop, tmp_path):
    config, identity, _ = shop
    config["routes"]["closed"]["rate_limit"] = {"tried": SHADOW}
    file = write(config, tmp_path)
    engine = Engine(*compiled(file))
    question = Question("GET", "http://gateway.test/a/1", tuple(identity.bearer().items()), times=3)
    decided = engine.decide(question)
    assert (decided["outcome"], decided["limits"]) == ("allow", [])
    assert decided["shadow"] == [would("route closed: rate_limit.tried", "rate_limited")]
    # each question of many is the only one
    alone = Question("GET", "http://gateway.test/a/1", tuple(identity.bearer().items()))
    assert all(
        one["shadow"][0]["outcome"] == "allow" for one in engine.decide_many([engine.asked(alone)] * 4)
    )
    lines = list(explain.lines(explain.explain(Engine(*compiled(file)), question)))
    assert lines[-1] == (
        "shadow        deny     route closed: rate_limit.tried: would have refused: rate_limited; not enforced"
    )
    tests = {
        "version": 1,
        "base": "http://gateway.test",
        "principals": {"ann": {"provider": "id"}},
        "tests": {
            "third": {
                "request": "GET /a/1",
                "times": 3,
                "principal": "ann",
                "expect": {"outcome": "allow", "shadow": {"route closed: rate_limit.tried": "rate_limited"}},
            }
        },
    }
    (tmp_path / "shop.tests.yaml").write_text(json.dumps(tests))
    done = yett("test", file, tmp_path / "shop.tests.yaml")
    assert done.exit_code == 0, done.output
    tests["tests"]["third"]["expect"]["shadow"] = {"route closed: rate_limit.trie": "deny"}
    (tmp_path / "shop.tests.yaml").write_text(json.dumps(tests))
    done = yett("test", file, tmp_path / "shop.tests.yaml")
    assert "did you mean `route closed: rate_limit.tried`" in done.output


def test_check_and_explain_list_it(shop, tmp_path):
    config = shop[0]
    config["routes"]["closed"] |= ALL
    config["listeners"] = configs.listener(address_limit={"tried": SHADOW})
    file = write(config, tmp_path)
    done = yett("check", file)
    assert done.exit_code == 0, done.output
    for limit in (
        "listener main: address_limit.tried",
        "route closed: address_limit.addresses",
        "route closed: concurrency_limit.at-once",
        "route closed: rate_limit.rates",
    ):
        text = f"weakened: the limit `{limit}` is in shadow until `2026-12-31`: it refuses nobody"
        assert text in done.output
    merged = yett("explain", file, "closed")
    assert merged.exit_code == 0, merged.output
    assert "route closed: address_limit.addresses: 1 in 3600 s, burst 2, by address" in merged.output
    assert "route closed: concurrency_limit.at-once: 1 at once, by principal" in merged.output
    assert "route closed: rate_limit.rates: 1 in 3600 s, burst 2, by principal, not for ann" in merged.output
    places = [line for line in merged.output.splitlines() if "route closed: " in line]
    assert len(places) == 4 and all(f"  route closed ({file}:" in line for line in places), places


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [(TRIED, {}, "NARROWS"), ({}, TRIED, "WIDENS"), (TRIED, {**TRIED, "until": "2027-01-15"}, None)],
    ids=["enforced", "in shadow again", "longer in shadow"],
)
@pytest.mark.parametrize("kind", ["rate_limit", "address_limit", "concurrency_limit", "listener"])
def test_a_diff_compares_what_is_enforced(shop, tmp_path, kind, before, after, word):
    files = []
    for name, tried in (("old", before), ("new", after)):
        config = copy.deepcopy(shop[0])
        what = {"requests": 1} if kind == "concurrency_limit" else SLOW
        if kind == "listener":
            config["listeners"] = configs.listener(address_limit={"one": {**what, **tried}})
        else:
            config["routes"]["closed"][kind] = {"one": {**what, **tried}}
        files.append(write(config, tmp_path, f"{name}.yaml"))
    done = yett("diff", *files)
    words = {line.split(" ", 1)[0] for line in done.output.splitlines()} & {"WIDENS", "NARROWS", "MOVES"}
    assert words == ({word, "MOVES"} if word else set()), done.output
    assert done.exit_code == (word == "WIDENS")


def test_another_limit_in_shadow_moves(shop, tmp_path):
    files = []
    for name, rate in (("old", "1/h"), ("new", "5/h")):
        config = copy.deepcopy(shop[0])
        config["routes"]["closed"]["rate_limit"] = {"one": {**SHADOW, "rate": rate}}
        files.append(write(config, tmp_path, f"{name}.yaml"))
    done = yett("diff", *files)
    assert done.exit_code == 0, done.output
    assert "`route closed: rate_limit.one` is in shadow as before, and another one" in done.output


@pytest.mark.parametrize(("days", "rule"), [(-2, "shadow-past-until"), (30, None), (200, "shadow-long")])
def test_its_day_is_said_and_stops_nothing(shop, tmp_path, days, rule):
    config = shop[0]
    day = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    config["listeners"] = configs.listener(address_limit={"tried": {**SHADOW, "until": day}})
    config["environment"] = "production"
    found = gate.lint(source.read(write(config, tmp_path)), starting=True)
    dated = [one for one in found if one["code"].startswith("shadow-")]
    assert [(one["code"], one.get("listed")) for one in dated] == ([(rule, True)] if rule else [])


@pytest.mark.parametrize("kind", ["rate_limit", "address_limit"])
def test_it_counts_for_nothing_that_a_limit_is_asked_for(shop, tmp_path, kind):
    config = shop[0]
    config["listeners"] = {
        "main": {"address": "0.0.0.0:8080", "plaintext": "test", "address_limit": {"tried": SHADOW}}
    }
    for route in config["routes"].values():
        route[kind] = {"one": {**SHADOW, **({"key": "route"} if kind == "rate_limit" else {})}}
    file = write(config, tmp_path)
    for rule in ("rate-limit-missing", "address-limit-missing"):
        assert rule in yett("lint", file, "--rule", rule).output
