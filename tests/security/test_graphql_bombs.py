"""GraphQL queries that are short and cost much: alias floods, deep nests, fragments of fragments, lists of lists, batches."""

from __future__ import annotations

import json

import pytest

from tests.support import configs

JSON = {"Content-Type": "application/json"}


def fragments(count: int, uses: int) -> str:
    """Each uses the next one so many times: `uses ** count` fields."""
    parts = [f"fragment F{n} on T {{ {f'...F{n + 1} ' * uses}}}" for n in range(count)]
    return "{ ...F0 } " + " ".join(parts) + f" fragment F{count} on T {{ a }}"


def nested(count: int) -> str:
    return "{ a" * count + " }" * count


BOMBS = {
    "aliases": ("{" + " ".join(f"a{n}: a" for n in range(5000)) + "}", "graphql_too_complex"),
    "aliases in a fragment": ("{" + "...F " * 500 + "} fragment F on T { x: a y: a }", "graphql_too_complex"),
    "the same field": ("{" + "a " * 20_000 + "}", "graphql_too_complex"),
    "depth": (nested(13), "graphql_too_complex"),
    "great depth": (nested(12_000), "graphql_too_complex"),
    "depth through fragments": (
        "{ ...F0 }"
        + "".join(f" fragment F{n} on T {{ a {{ ...F{n + 1} }} }}" for n in range(1000))
        + " fragment F1000 on T { a }",
        "graphql_too_complex",
    ),
    "braces without fields": ("{" + "... {" * 12_000, "graphql_too_complex"),
    "fragments twice as many each time": (fragments(60, 2), "graphql_too_complex"),
    "many fragments": (fragments(1200, 2), "graphql_too_complex"),
    "a fragment of itself": ("{ ...F } fragment F on T { a { ...F } }", "graphql_malformed"),
    "a circle of fragments": (
        "{ ...F0 }" + "".join(f" fragment F{n} on T {{ ...F{(n + 1) % 500} }}" for n in range(500)),
        "graphql_malformed",
    ),
    "directives": ("{ a " + "@x " * 20_000 + "}", "graphql_too_complex"),
    "lists": ("{ a(first: 1000) { b(first: 1000) { c } } }", "graphql_too_complex"),
    "a list beyond every number": ("{ a(last: 99999999999999999999999999) { b } }", "graphql_too_complex"),
    "a list by default": ("query ($n: Int = 1000000) { a(first: $n) { b } }", "graphql_too_complex"),
    "brackets": ("{ a(b: " + "[" * 60_000, "graphql_too_complex"),
    "objects": ("{ a(b: " + "{c:" * 20_000, "graphql_too_complex"),
    "types": ("query ($a: " + "[" * 60_000, "graphql_too_complex"),
    "operations": (" ".join(f"query Q{n} {{ a }}" for n in range(3500)), "graphql_malformed"),
    "quotes": ("{ a(b: " + '"" ' * 12_000, "graphql_malformed"),
    "a comment": ("#" * 65_000, "graphql_malformed"),
}


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway(configs.public(service, methods="POST", request_validation={"graphql": {}})), service


@pytest.mark.parametrize(("query", "reason"), BOMBS.values(), ids=BOMBS.keys())
def test_bombs(shop, query, reason):
    gate, service = shop
    answer = gate.request("POST", "/graphql", JSON, json.dumps({"query": query}).encode())
    assert (answer.status, answer.reason) == (400, reason)
    assert service.requests == []
    assert gate.request("POST", "/graphql", JSON, b'{"query": "{ a }"}').status == 200


def test_a_list_by_a_variable(shop):
    gate, service = shop
    query = "query ($n: Int = 1) { a(first: $n) { ...F } } fragment F on T { b(last: $m) { c } }"
    for variables in ({"n": 10**6}, {"n": 1000, "m": 1000}, {"m": "1000000"}, {"n": 1e300}):
        body = json.dumps({"query": query, "variables": variables}).encode()
        assert gate.request("POST", "/graphql", JSON, body).reason == "graphql_too_complex"
    assert service.requests == []


def test_many_requests_together(gateway, origin):
    service = origin()
    gate = gateway(
        configs.public(service, methods="POST", request_validation={"graphql": {"batch": 10, "cost": 50}})
    )
    for batch in ([{"query": "{ a }"}] * 11, [{"query": "{ a b c d e f }"}] * 10):
        answer = gate.request("POST", "/graphql", JSON, json.dumps(batch).encode())
        assert (answer.status, answer.reason) == (400, "graphql_too_complex")
    assert service.requests == []


@pytest.mark.parametrize(
    "query",
    [
        "#\u2028mutation M{drop ...X} fragment X on Mutation\n{__typename}",
        "{ok #\u2029 __schema{types{name}}\n}",
        "{ok #\x85 drop\n}",
        "{ok} fragment F on Query {a " + "@x" * 20_000 + "}",
    ],
    ids=["a line ends at U+2028", "at U+2029", "at U+0085", "a fragment that nothing uses"],
)
def test_what_a_service_reads_in_another_way(shop, query):
    gate, service = shop
    answer = gate.request("POST", "/graphql", JSON, json.dumps({"query": query}).encode())
    assert (answer.status, answer.reason) == (400, "graphql_malformed")
    assert service.requests == []


@pytest.mark.parametrize("name", ["Query", "%20query", "query[]", "OPERATIONNAME", "query%00x", "que%ff"])
def test_a_name_that_a_service_takes_for_query(gateway, origin, name):
    service = origin()
    gate = gateway(
        configs.public(service, methods={"any_of": ["GET", "POST"]}, request_validation={"graphql": {}})
    )
    for method, path, body in (
        ("POST", f"/graphql?{name}=mutation%7Bdrop%7D", b'{"query": "{ok}"}'),
        ("GET", f"/graphql?query=%7Bok%7D&{name}=%7Bdrop%7D", b""),
    ):
        headers = JSON if body else {}
        answer = gate.request(method, path, headers, body)
        assert (answer.status, answer.reason) == (400, "graphql_malformed"), method
    assert service.requests == []
    assert gate.request("POST", "/graphql?other=1", JSON, b'{"query": "{ok}"}').status == 200


def test_a_query_beside_the_name_of_another(gateway, origin):
    service = origin()
    asked = [
        {"query": "{ok}", "id": "stored"},
        {"query": "{ok}", "documentId": "stored"},
        {"query": "{ok}", "extensions": {"persistedQuery": {"sha256Hash": "00"}}},
    ]
    for persisted, refused in (("refuse", asked), ("allow", asked[:2])):
        gate = gateway(
            configs.public(service, methods="POST", request_validation={"graphql": {"persisted": persisted}})
        )
        for body in refused:
            answer = gate.request("POST", "/graphql", JSON, json.dumps(body).encode())
            assert (answer.status, answer.reason) == (403, "graphql_not_allowed"), (persisted, body)
        assert service.requests == []
    assert gate.request("POST", "/graphql", JSON, json.dumps(asked[2]).encode()).status == 200
