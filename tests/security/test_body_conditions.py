"""Conditions on the body: decided on the validated value and on nothing else, never before."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from yett.errors import ConfigurationError

SCHEMA = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "rate": {"type": "number"},
        "urgent": {"type": "boolean"},
        "note": {"type": ["string", "null"]},
        "tenant": {"type": "string"},
        "customer": {"$ref": "#/$defs/customer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "untyped": {},
    },
    "required": ["amount"],
    "$defs": {"customer": {"type": "object", "properties": {"country": {"type": "string"}}}},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    schema = tmp_path / "order.json"
    schema.write_text(json.dumps(SCHEMA))

    def start(claims=None, **changes):
        config = configs.protected(service, identity, tmp_path)
        if claims:
            config["identity_providers"]["id"]["claims"] = claims
        validation = {"json_schema": str(schema), "body": "optional"}
        given = {"authenticate": "id", "access": "authenticated", "request_validation": validation, **changes}
        given = {name: value for name, value in given.items() if value is not None}
        config["routes"]["closed"] = configs.route("/a", **given)
        gate = gateway(config)

        def ask(body, method="POST", **token):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            return gate.request(
                method, "/a", {**JSON, **identity.bearer(**{"scope": "write", **token})}, data
            )

        return gate, ask

    start.service = service
    return start


def when(text):
    return {"access": None, "authorize": {"scopes": "write", "when": text}}


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        ("request.body.amount < 1000", {"amount": 999}, {"amount": 1000}),
        ("request.body.amount < 1000", {"amount": 1.0}, {"amount": 1e3}),
        ("request.body.rate <= 1.5", {"amount": 1, "rate": 1}, {"amount": 1, "rate": 1.6}),
        ("!request.body.urgent", {"amount": 1, "urgent": False}, {"amount": 1, "urgent": True}),
        (
            "request.body.customer.country == 'NO'",
            {"amount": 1, "customer": {"country": "NO"}},
            {"amount": 1, "customer": {"country": "no"}},
        ),
        (
            "!has(request.body.note) || request.body.note == 'x'",
            {"amount": 1, "note": None},
            {"amount": 1, "note": "y"},
        ),
        (
            "request.body.tags.all(t, t.startsWith('a'))",
            {"amount": 1, "tags": ["a", "ab"]},
            {"amount": 1, "tags": ["a", "b"]},
        ),
        (
            "request.body.lines.all(l, l.n < 5)",
            {"amount": 1, "lines": [{"n": 1}, {"n": 4}]},
            {"amount": 1, "lines": [{"n": 1}, {"n": 5}]},
        ),
    ],
)
def test_what_the_body_says_decides(shop, condition, good, bad):
    gate, ask = shop(**when(condition))
    assert ask(good).status == 200
    answer = ask(bad)
    assert (answer.status, answer.reason) == (403, "policy_denied")
    assert len(shop.service.requests) == 1
    assert gate.wait_log(2)[1]["rule"] == "route closed"


def test_it_is_validated_before(shop):
    """A text that a condition would read as a number, or two amounts, never reach it."""
    _, ask = shop(**when("request.body.amount < 1000"))
    assert ask({"amount": "1"}).reason == "schema_mismatch"
    assert ask(b'{"amount": 1, "amount": 5000}').reason == "json_duplicate_name"
    assert ask(b'{"amount": 1e500}').reason == "json_too_complex"
    assert shop.service.saw_nothing()


@pytest.mark.parametrize("body", [b"", {"amount": 1}, {"amount": 1, "note": None}])
def test_what_is_not_there_refuses(shop, body):
    _, ask = shop(**when("request.body.note == 'x'"))
    assert ask(body).reason == "policy_error"
    assert shop.service.saw_nothing()


def test_a_rule_that_denies_and_cannot_be_decided_denies(shop):
    _, ask = shop(deny={"large": "request.body.amount > 1000", "odd": "request.body.note == 'odd'"})
    assert ask({"amount": 5000, "note": "x"}).reason == "policy_denied"
    assert ask({"amount": 5, "note": "odd"}).reason == "policy_denied"
    assert ask({"amount": 5}).reason == "policy_error"
    assert ask(b"").reason == "policy_error"
    assert shop.service.saw_nothing()
    assert ask({"amount": 5, "note": "x"}).status == 200


def test_what_the_head_decides_is_decided_before_the_body(shop):
    """A caller without the scope learns nothing of what is wrong with a body."""
    _, ask = shop(**when("request.body.amount < 1000"))
    assert ask(b"{", scope="read").reason == "scope_missing"
    assert ask({"amount": 1}, scope="read").reason == "scope_missing"
    assert shop.service.saw_nothing()


def test_a_get_without_a_body_is_not_let_in(shop):
    _, ask = shop(**when("request.body.amount < 1000"))
    assert ask(b"", method="GET").reason == "policy_error"
    _, ask = shop(**when("request.method == 'GET' || request.body.amount < 1000"))
    assert ask(b"", method="GET").status == 200


def test_the_tenant_in_the_body(shop):
    _, ask = shop(claims={"tenant": "tenant"}, tenant="body.tenant")
    assert ask({"amount": 1, "tenant": "acme"}, tenant="acme").status == 200
    for body, reason in [
        ({"amount": 1, "tenant": "other"}, "tenant_mismatch"),
        ({"amount": 1, "tenant": ""}, "tenant_missing"),
        ({"amount": 1}, "tenant_missing"),
        (b"", "tenant_missing"),
        (b'{"amount": 1, "tenant": "acme", "t\\u0065nant": "other"}', "json_duplicate_name"),
    ]:
        assert ask(body, tenant="acme").reason == reason
    assert len(shop.service.requests) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({**when("request.body.amount < 1000"), "request_validation": None}, "condition_invalid"),
        ({**when("request.body.amount < 1000"), "request_validation": {}}, "condition_invalid"),
        (
            {**when("request.body.amount < 1000"), "request_validation": {"body": "refused"}},
            "condition_invalid",
        ),
        (when("request.body.amount == 'x'"), "condition_invalid"),
        (when("request.body.untyped == 'x'"), "condition_invalid"),
        (when("request.body.amuont == 1"), "condition_invalid"),
        (when("request.body == 'x'"), "condition_invalid"),
    ],
)
def test_it_does_not_load_otherwise(shop, changes, code):
    with pytest.raises(ConfigurationError) as caught:
        shop(**changes)
    assert [error.code for error in caught.value.errors] == [code]


@pytest.mark.parametrize("place", ["body.amount", "body.customer", "body.nothing"])
def test_a_tenant_is_a_text_of_the_schema(shop, place):
    with pytest.raises(ConfigurationError) as caught:
        shop(claims={"tenant": "tenant"}, tenant=place)
    assert [error.code for error in caught.value.errors] == ["tenant_body"]


@pytest.mark.parametrize(
    "condition",
    [
        "request.body.tags.all(tag, tag in request.body.allowed)",
        "request.body.tags.exists(tag, size(request.body.allowed) == 7)",
        "request.body.tags.exists(tag, request.body.note.contains('y' + tag))",
    ],
)
def test_what_a_body_makes_a_condition_do_is_bounded(shop, tmp_path, condition):
    """Each round of a loop may go through another list or text of the body."""
    texts = {"type": "array", "items": {"type": "string"}}
    schema = tmp_path / "lists.json"
    schema.write_text(
        json.dumps(
            {"type": "object", "properties": {"tags": texts, "allowed": texts, "note": {"type": "string"}}}
        )
    )
    gate, ask = shop(**when(condition), request_validation={"json_schema": str(schema)})
    body = {"tags": ["x"] * 5000, "allowed": ["z"] * 20_000 + ["x"], "note": "a" * 60_000}
    assert ask(body).reason == "policy_error"
    assert shop.service.saw_nothing()
    small = {"tags": ["x"] * 50, "allowed": ["z"] * 6 + ["x"], "note": "a" * 600 + "yx"}
    assert ask(small).status == 200
