"""request_validation with graphql: what a query may ask for, before the service hears of it."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.support import configs

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def shop(gateway, origin):
    service = origin()

    def start(validation=None, methods=None, **bounds):
        route = {"request_validation": {"graphql": bounds, **(validation or {})}}
        return gateway(configs.public(service, methods=methods or {"any_of": ["GET", "POST"]}, **route))

    start.service = service
    return start


def post(gate, body, headers=JSON, path="/graphql"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gate.request("POST", path, headers, data)


def get(gate, query, **more):
    pairs = {"query": query, **more}
    return gate.request(
        "GET", "/graphql?" + "&".join(f"{name}={quote(value)}" for name, value in pairs.items())
    )


def test_what_fits_is_forwarded_byte_for_byte(shop):
    gate = shop()
    body = b' {"query" : "query Q($n: Int = 3) { a(first: $n) { \\u0062 } }","variables":{"n":5}, "operationName":"Q"} '
    headers = {**JSON, "Accept": "application/graphql-response+json, application/json;q=0.9"}
    assert post(gate, body, headers).status == 200
    seen = shop.service.only
    assert (seen.body, seen["accept"]) == (body, headers["Accept"])


def test_get_asks_queries(shop):
    gate = shop()
    assert get(gate, "query Q { a { b } }", operationName="Q", variables='{"n": [1]}').status == 200
    assert shop.service.only.target.startswith("/graphql?query=query")
    for wrong, reason in [
        (get(gate, "mutation { a }"), "graphql_not_allowed"),
        (get(gate, "{ a"), "graphql_malformed"),
        (get(gate, "{ a }", variables="{"), "graphql_malformed"),
        (get(gate, "{ a }", variables='{"n":1,"n":2}'), "graphql_malformed"),
        (get(gate, "{ a }", variables="[]"), "graphql_malformed"),
        (gate.request("GET", "/graphql?query=%7Ba%7D&query=%7Bb%7D"), "graphql_malformed"),
        (gate.request("GET", "/graphql?query=%7Ba%7D&q%75ery=%7Bb%7D"), "graphql_malformed"),
        (gate.request("GET", "/graphql?query=%ff"), "graphql_malformed"),
        (gate.request("GET", "/graphql"), "graphql_malformed"),
        (gate.request("GET", "/graphql?query=%7Ba%7D", JSON, b'{"query":"{b}"}'), "body_unexpected"),
    ]:
        assert wrong.reason == reason
    assert len(shop.service.requests) == 1
    error = get(gate, "{\n  a(secret: ").json()["errors"]
    assert error == [
        {"in": "query", "parameter": "query", "detail": "line 2, column 13: a value is missing here"}
    ]


def test_a_post_says_nothing_in_its_address(shop):
    gate = shop()
    for path in (
        "/graphql?query=%7Bsecret%7D",
        "/graphql?x=1&v%61riables=%7B%7D",
        "/graphql?id=1",
        "/graphql?operationName",
    ):
        assert post(gate, {"query": "{ a }"}, path=path).reason == "graphql_malformed"
    assert shop.service.requests == []
    assert post(gate, {"query": "{ a }"}, path="/graphql?trace=1").status == 200


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"{ a }", {"Content-Type": "application/graphql"}, "content_type_unsupported"),
        (b'{"query":"{a}"}', {"Content-Type": "text/plain"}, "content_type_unsupported"),
        (b"query={a}", {"Content-Type": "application/x-www-form-urlencoded"}, "content_type_unsupported"),
        (b"", {}, "body_missing"),
        (b'{"query":"{a}","query":"{b}"}', JSON, "json_duplicate_name"),
        (b'{"query":"{a}"', JSON, "json_malformed"),
        (b'{"query":"{a}","debug":true}', JSON, "graphql_malformed"),
        (b'[{"query":"{a}"}]', JSON, "graphql_malformed"),
        (b'{"query":"{ __schema { types { name } } }"}', JSON, "graphql_not_allowed"),
        (b'{"query":"subscription { a }"}', JSON, "graphql_not_allowed"),
        (b'{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}', JSON, "graphql_not_allowed"),
    ],
)
def test_what_is_refused(shop, body, headers, reason):
    gate = shop()
    answer = post(gate, body, headers)
    assert answer.reason == reason
    assert answer.status == {"graphql_not_allowed": 403, "content_type_unsupported": 415}.get(reason, 400)
    assert shop.service.requests == []


def test_refusals_say_where_and_never_what(shop):
    gate = shop(depth=2, root_fields="shop")
    answer = post(gate, {"query": "query Secret {\n  shop {\n    secret {\n      secretToo\n    }\n  }\n}"})
    assert (answer.status, answer.reason) == (400, "graphql_too_complex")
    assert answer.json()["errors"] == [
        {"pointer": "/query", "detail": "line 4, column 7: fields may be at most 2 deep"}
    ]
    other = post(gate, {"query": "{ shop: secret }"})
    assert other.json()["errors"] == [
        {"pointer": "/query", "detail": "line 1, column 3: this field is not asked for here"}
    ]
    for one in (
        answer,
        other,
        post(gate, {"query": "{ secret( }"}),
        post(gate, {"query": "{a}", "secret": "secret"}),
    ):
        assert b"ecret" not in one.body.replace(b"/secret", b"")
    assert shop.service.requests == []


def test_requests_together(shop):
    gate = shop(batch=2, aliases=3)
    one = {"query": "{ x: a y: a }"}
    assert post(gate, [one, {"query": "{ x: a }"}]).status == 200
    assert post(gate, [one, one]).json()["errors"][0]["pointer"] == "/1/query"
    assert post(gate, [{"query": "{a}"}] * 3).reason == "graphql_too_complex"
    assert len(shop.service.requests) == 1


def test_persisted_documents(shop):
    gate = shop(persisted="only")
    named = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}, "variables": {"n": 1}}
    assert post(gate, named).status == 200
    assert gate.request("GET", "/graphql?id=ab&variables=%7B%7D").status == 200
    assert post(gate, {**named, "query": "{ a }"}).reason == "graphql_not_allowed"
    assert post(gate, {}).reason == "graphql_malformed"
    assert len(shop.service.requests) == 2


def test_names_of_the_address_and_the_length_of_a_query(shop):
    gate = shop({"query": "trace", "json_limits": {"string": "100B"}})
    assert get(gate, "{ a }", trace="1").status == 200
    assert get(gate, "{ a }", other="1").reason == "parameter_unknown"
    assert post(gate, {"query": "{ a }" + " " * 100}).reason == "json_too_complex"
    assert get(gate, "{ a }" + " " * 100).reason == "graphql_malformed"
    assert len(shop.service.requests) == 1
