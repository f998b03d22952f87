"""Rules in shadow: what they would have done is in the log, in metrics, in `yett explain` and in tests; the tools see what is enforced."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support import configs
from tests.support.gateway import Config, compiled, complete
from yett import _core
from yett.cli.app import app
from yett.config import compile_file
from yett.control import source
from yett.errors import ConfigurationError
from yett.policy import explain, gate
from yett.policy.access import reach
from yett.policy.engine import Engine, Question

NONE = {"none": "not what this test is about"}
CLAIMS = {"roles": "roles", "level": {"from": "level", "type": "int"}}
ORDER = {"type": "object", "properties": {"amount": {"type": "integer"}}}


def shadow(rule: dict[str, Any], until: str = "2026-12-31") -> dict[str, Any]:
    return {**rule, "mode": "shadow", "until": until}


CLERK = shadow({"roles": "clerk"})
OLD = shadow({"when": "principal.claims.level < 3"})


@pytest.fixture
def shop(origin, issuer, tmp_path):
    """A configuration whose route `closed` tries out two rules, and the issuer of its tokens."""
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = CLAIMS
    config["groups"] = {"g": {"authenticate": "id", "authorize": {"scopes": "read"}, "deny": {"old": OLD}}}
    config["routes"]["closed"] = configs.route("/a/{rest...}", group="g", authorize=CLERK)
    return config, identity, service


def write(config: Config, tmp_path: Path, name: str = "gateway.yaml") -> Path:
    file = tmp_path / name
    file.write_text(json.dumps(complete(config, tmp_path)))
    return file


def yett(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def would(rule: str, reason: str, outcome: str = "deny") -> dict[str, str]:
    return {"outcome": outcome, "rule": rule, "reason": reason}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"roles": ["clerk"], "level": 3}, []),
        ({"roles": ["boss"], "level": 3}, [would("route closed", "role_missing")]),
        (
            {"roles": ["boss"], "level": 1},
            [would("group g: deny.old", "policy_denied"), would("route closed", "role_missing")],
        ),
        ({"roles": ["clerk"]}, [would("group g: deny.old", "policy_error", "error")]),
    ],
)
def test_it_is_in_the_log_and_counted(gateway, shop, claims, expected):
    config, identity, service = shop
    gate = gateway(config)
    assert gate.get("/a/1", identity.bearer(scope="read", **claims)).status == 200
    assert service.last.target == "/a/1"
    assert gate.log_line(path="/a/1").get("shadow", []) == expected
    found = {one["rule"]: one["outcome"] for one in expected}
    for rule in ("route closed", "group g: deny.old"):
        for outcome in ("allow", "deny", "error"):
            count = gate.metric("yett_shadow_total", route="closed", rule=rule, outcome=outcome)
            assert count == (outcome == found.get(rule, "allow")), (rule, outcome)


def test_what_is_refused_by_what_is_enforced_is_not_asked(gateway, shop):
    config, identity, service = shop
    gate = gateway(config)
    assert gate.get("/a/1", identity.bearer(scope="x", roles=["boss"], level=1)).reason == "scope_missing"
    assert "shadow" not in gate.log_line(path="/a/1")
    assert gate.metric("yett_shadow_total") == 0
    assert service.saw_nothing()


def test_counts_outlive_a_reload_and_end_with_the_rule(gateway, shop):
    config, identity, _ = shop
    gate = gateway(config)
    bearer = identity.bearer(scope="read", level=3)
    for number in (1, 2):
        assert gate.get(f"/a/{number}", bearer).status == 200
        gate.log_line(path=f"/a/{number}")
        assert gate.metric("yett_shadow_total", rule="route closed", outcome="deny") == number
        gate.reload(configs.deep(config, services__origin__host=("preserve", "endpoint")[number - 1]))
    without = copy.deepcopy(config)
    del without["routes"]["closed"]["authorize"], without["groups"]["g"]["deny"]
    gate.reload(without)
    assert gate.get("/a/3", bearer).status == 200
    assert "shadow" not in gate.log_line(path="/a/3")


def test_a_rule_that_reads_the_body_is_asked_when_it_has_been_validated(gateway, shop, tmp_path):
    config, identity, service = shop
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    config["routes"]["closed"] |= {
        "authorize": shadow({"scopes": "read", "when": "request.body.amount < 10"}),
        "request_validation": {"json_schema": str(tmp_path / "order.json")},
    }
    gate = gateway(config)
    bearer = identity.bearer(scope="read", level=3)
    fields = {**bearer, "content-type": "application/json"}
    for number, (amount, expected) in enumerate([(1, []), (11, [would("route closed", "policy_denied")])]):
        target = f"/a/{number}"
        assert gate.post(target, json.dumps({"amount": amount}).encode(), fields).status == 200
        assert gate.log_line(path=target).get("shadow", []) == expected
        assert json.loads(service.last.body) == {"amount": amount}
    seen = len(service.requests)
    assert gate.post("/a/9", b'{"amount": "x"}', fields).status == 422
    assert "shadow" not in gate.log_line(path="/a/9")
    assert service.saw_no_more_than(seen)


def test_what_is_enforced_is_what_it_would_be_without_it(shop, tmp_path):
    config, _, _ = shop
    without = copy.deepcopy(config)
    del without["routes"]["closed"]["authorize"], without["groups"]["g"]["deny"]
    documents = [json.loads(compile_file(write(one, tmp_path)).ir) for one in (config, without)]
    routes = [{route["name"]: route for route in document["routes"]} for document in documents]
    tried = routes[0]["closed"].pop("shadow")
    assert {kind: [one["source"] for one in rules] for kind, rules in tried.items()} == {
        "rules": ["route closed"],
        "deny": ["group g: deny.old"],
    }
    assert documents[0] == documents[1]


def test_the_data_plane_takes_none_on_a_public_route(shop, tmp_path):
    config, _, _ = shop
    ir, secrets = compiled(write(config, tmp_path))
    document = json.loads(ir)
    names = [route["name"] for route in document["routes"]]
    document["routes"][names.index("open")]["shadow"] = {
        "rules": [{"source": "route open", "roles": {"any_of": [["x"]]}}]
    }
    with pytest.raises(_core.ApplyError) as refused:
        Engine(json.dumps(document).encode(), secrets)
    assert "a rule in shadow has no place there" in str(refused.value)


def test_the_engine_and_explanations_say_it(shop, tmp_path):
    config, identity, _ = shop
    engine = Engine(*compiled(write(config, tmp_path)))
    fields = tuple(identity.bearer(scope="read", roles=["clerk"], level=1).items())
    question = Question("GET", "http://gateway.test/a/1", fields)
    decided = engine.decide(question)
    assert decided["outcome"] == "allow"
    assert decided["shadow"] == [
        would("group g: deny.old", "policy_denied"),
        {"outcome": "allow", "rule": "route closed", "reason": None},
    ]
    lines = list(explain.lines(explain.explain(engine, question)))
    assert lines[-2:] == [
        "shadow        deny     group g: deny.old: would have refused: policy_denied; not enforced",
        "shadow        allow    route closed: would have agreed; not enforced",
    ]


TESTS = """
version: 1
base: http://gateway.test
principals: {ann: {provider: id, scopes: read, roles: %s, claims: {level: 3}}}
tests:
  tried:
    request: GET /a/1
    principal: ann
    expect: {outcome: allow, shadow: {route closed: %s, "group g: deny.old": allow}}
"""


@pytest.mark.parametrize(
    ("role", "wanted", "said"),
    [
        ("boss", "deny", None),
        ("boss", "role_missing", None),
        ("clerk", "allow", None),
        ("boss", "allow", "expected `allow` of the rule in shadow `route closed`, got `role_missing`"),
        ("clerk", "deny", "expected `deny` of the rule in shadow `route closed`, got `allow`"),
        ("clerk", "denied", "9:53: there is no outcome or reason `denied`; did you mean `"),
    ],
)
def test_policy_tests_expect_it(shop, tmp_path, role, wanted, said):
    file = write(shop[0], tmp_path)
    (tmp_path / "shop.tests.yaml").write_text(TESTS % (role, wanted))
    done = yett("test", file, tmp_path / "shop.tests.yaml")
    assert done.exit_code == (0 if said is None else 1), done.output
    if said is not None:
        assert said in done.output


def test_a_policy_test_names_rules_that_are_there(shop, tmp_path):
    file = write(shop[0], tmp_path)
    (tmp_path / "shop.tests.yaml").write_text(
        (TESTS % ("boss", "deny")).replace("route closed", "route close")
    )
    done = yett("test", file, tmp_path / "shop.tests.yaml")
    assert done.exit_code == 1
    assert "there is no rule in shadow `route close`; did you mean `route closed`" in done.output


def enforce(config: Config) -> Config:
    changed = copy.deepcopy(config)
    for rule in (changed["routes"]["closed"]["authorize"], changed["groups"]["g"]["deny"]["old"]):
        del rule["mode"], rule["until"]
    return changed


def later(config: Config) -> Config:
    changed = copy.deepcopy(config)
    changed["routes"]["closed"]["authorize"]["roles"] = "boss"
    del changed["groups"]["g"]["deny"]
    return changed


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (copy.deepcopy, enforce, {"NARROWS", "MOVES"}),
        (enforce, copy.deepcopy, {"WIDENS", "MOVES"}),
        (copy.deepcopy, later, {"MOVES"}),
    ],
    ids=["enforced", "in shadow again", "another rule in shadow"],
)
def test_a_diff_compares_what_is_enforced(
    shop, tmp_path, before: Callable[[Config], Config], after: Callable[[Config], Config], kinds
):
    old, new = (
        write(make(shop[0]), tmp_path, f"{name}.yaml") for name, make in (("old", before), ("new", after))
    )
    done = yett("diff", old, new)
    assert done.exit_code == ("WIDENS" in kinds), done.output
    words = {line.split(" ", 1)[0] for line in done.output.splitlines()}
    assert words & {"WIDENS", "NARROWS", "MOVES"} == kinds, done.output


def test_the_access_map_is_of_what_is_enforced(shop, tmp_path):
    config = shop[0]
    without = copy.deepcopy(config)
    del without["routes"]["closed"]["authorize"], without["groups"]["g"]["deny"]
    maps = [reach.build(Engine(*compiled(write(one, tmp_path)))) for one in (config, without)]
    assert maps[0].rows == maps[1].rows


def test_a_rule_beside_enforced_ones(gateway, shop):
    config, identity, service = shop
    config["routes"]["closed"]["authorize"] = [
        {"callers": {"users": ["ann", "bob"]}},
        CLERK,
        {"scopes": "read"},
    ]
    gate = gateway(config)
    expected = [would("route closed: authorize.2", "role_missing")]
    assert gate.get("/a/1", identity.bearer(scope="read", level=3, sub="ann")).status == 200
    assert gate.log_line(path="/a/1")["shadow"] == expected
    assert gate.get("/a/2", identity.bearer(scope="read", level=3, sub="eve")).reason == "caller_not_allowed"
    assert "shadow" not in gate.log_line(path="/a/2")
    assert [request.target for request in service.requests] == ["/a/1"]


def test_check_and_explain_list_it(shop, tmp_path):
    file = write(shop[0], tmp_path)
    done = yett("check", file)
    assert done.exit_code == 0
    for rule in ("route closed", "group g: deny.old"):
        assert (
            f"weakened: the rule `{rule}` is in shadow until `2026-12-31`: it refuses nobody" in done.output
        )
    merged = yett("explain", file, "closed")
    assert merged.exit_code == 0, merged.output
    assert "group g: deny.old: principal.claims.level < 3" in merged.output
    assert "route closed: roles all of clerk" in merged.output


@pytest.mark.parametrize(("days", "rule"), [(-2, "shadow-past-until"), (30, None), (200, "shadow-long")])
@pytest.mark.parametrize("starting", [True, False])
def test_its_day_is_said_and_stops_nothing(shop, tmp_path, days, rule, starting):
    """A renewed certificate has to be served on that day, too."""
    config = shop[0]
    day = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    config["routes"]["closed"]["authorize"]["until"] = day
    config["groups"]["g"]["deny"] = {}
    config["environment"] = "production"
    found = gate.lint(source.read(write(config, tmp_path)), starting=starting)
    dated = [one for one in found if one["code"].startswith("shadow-")]
    assert [(one["code"], one.get("listed")) for one in dated] == ([(rule, True)] if rule else [])
    done = yett("lint", tmp_path / "gateway.yaml", "--rule", rule or "shadow-long")
    assert done.exit_code == (1 if rule else 0), done.output


def test_a_route_needs_a_decision_beside_it(shop, tmp_path):
    config = shop[0]
    config["groups"]["g"] = {"authenticate": "id", "authorize": CLERK}
    with pytest.raises(ConfigurationError) as refused:
        compile_file(write(config, tmp_path))
    assert {error.code for error in refused.value.errors} == {"access_missing"}
