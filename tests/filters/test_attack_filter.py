"""attack_filter: what looks like an attack is refused or reported, wherever it stands, and what only looks alike passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import configs
from tests.support.gateway import Gateway, compiled
from tests.support.origin import Origin
from yett.policy.engine import Engine, Question

INJECTION = "x' OR 1=1 --"
JSON = [("Content-Type", "application/json")]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
PARTS = [("Content-Type", "multipart/form-data; boundary=b")]


class Shop:
    """A gateway with a route for each mode, and the service behind it."""

    def __init__(self, gate: Gateway, service: Origin) -> None:
        self.gate, self.service = gate, service

    def refuses(self, reply: Any, reason: str = "attack_suspected") -> dict[str, Any]:
        assert (reply.status, reply.reason) == (403, reason), reply.body
        assert self.service.saw_nothing()
        found: dict[str, Any] = reply.json()
        assert INJECTION not in reply.body.decode()
        return found

    def passes(self, reply: Any) -> None:
        assert reply.status == 200, reply.body
        self.service.forget()


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    service = Origin()
    exceptions = {
        "note": {"body": "/items/*/note", "classes": "sql", "reason": "test"},
        "search": {"query": "search", "classes": "sql", "reason": "test"},
        "agent": {"header": "X-Told", "classes": "sql", "reason": "test"},
        "cookie": {"cookie": "spared", "classes": "sql", "reason": "test"},
        "field": {"form": "spared", "classes": "sql", "reason": "test"},
    }
    config = configs.public(service)
    config["routes"] = {
        "strict": configs.route("/strict/{rest...}", attack_filter={"examined": "4KiB"}),
        "report": configs.route("/report/{rest...}", attack_filter={"mode": "report"}),
        "spared": configs.route("/spared/{rest...}", attack_filter={"exceptions": exceptions}),
        "some": configs.route("/some/{rest...}", attack_filter={"classes": {"any_of": ["xss", "ssrf"]}}),
        "hints": configs.route("/hints/{rest...}", attack_filter={"threshold": 2}),
        "lax": configs.route("/lax/{rest...}", attack_filter={"examined": "1KiB", "beyond": "pass"}),
        "strictly": configs.route(
            "/schema/{rest...}",
            attack_filter={},
            request_validation={"content_types": "application/json", "body": "required"},
        ),
    }
    gate = Gateway(config)
    yield Shop(gate, service)
    gate.stop(0)
    service.close()


def test_wherever_it_stands(shop: Shop) -> None:
    gate, value = shop.gate, quote(INJECTION)
    body = json.dumps({"items": [{"note": "fine"}, {"note": INJECTION}]}).encode()
    multipart = f'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\n{INJECTION}\r\n--b--\r\n'.encode()
    xml = b"<order><note>x' OR 1=1 --</note></order>"
    for reply, place in [
        (gate.get(f"/strict/{value}"), {"in": "path", "parameter": ""}),
        (gate.get(f"/strict/a?q={value}"), {"in": "query", "parameter": "q"}),
        (gate.get("/strict/a", [("User-Agent", INJECTION)]), {"in": "header", "parameter": "user-agent"}),
        (gate.get("/strict/a", [("Referer", INJECTION)]), {"in": "header", "parameter": "referer"}),
        (gate.get("/strict/a", [("X-Name", INJECTION)]), {"in": "header", "parameter": "x-name"}),
        (gate.get("/strict/a", [("Cookie", f"a=b; c={value}")]), {"in": "cookie", "parameter": "c"}),
        (gate.post("/strict/a", body, JSON), {"pointer": "/items/1/note"}),
        (gate.post("/strict/a", b"a=b&note=" + value.encode(), FORM), {"in": "part", "parameter": "note"}),
        (gate.post("/strict/a", multipart, PARTS), {"in": "part", "parameter": "note"}),
        (gate.post("/strict/a", INJECTION.encode(), [("Content-Type", "text/plain")]), {"pointer": ""}),
        (gate.post("/strict/a", INJECTION.encode()), {"pointer": ""}),
        (gate.post("/strict/a", xml, [("Content-Type", "application/xml")]), {"pointer": ""}),
    ]:
        error = next(one for one in shop.refuses(reply)["errors"] if "`sql`" in one["detail"])
        assert error == {**place, "detail": error["detail"]}
        assert "`sql-tautology`" in error["detail"]


def test_names_are_looked_at_too(shop: Shop) -> None:
    gate = shop.gate
    for reply in (
        gate.get("/strict/a?user[$ne]=1"),
        gate.post("/strict/a", json.dumps({"password": {"$ne": None}}).encode(), JSON),
        gate.post("/strict/a", b'{"__proto__": {"admin": true}}', JSON),
    ):
        assert "looks like an attack" in shop.refuses(reply)["errors"][0]["detail"]
    file = b'--b\r\nContent-Disposition: form-data; name="f"; filename="../../../etc/passwd"\r\n\r\nx\r\n--b--\r\n'
    assert "`traversal`" in shop.refuses(gate.post("/strict/a", file, PARTS))["errors"][0]["detail"]


def test_what_only_looks_alike_passes(shop: Shop) -> None:
    gate = shop.gate
    text = {
        "name": "O'Brien",
        "note": "SELECT name FROM shops WHERE town = '' OR open = 1",
        "link": "https://example.com/?a=1",
    }
    shop.passes(gate.get("/strict/O%27Brien?q=rock+%27n%27+roll&filter=price%3E10+and+stock%3C5"))
    shop.passes(gate.post("/strict/a", json.dumps(text).encode(), JSON))
    # a program on a person's machine has itself called back (RFC 8252)
    shop.passes(gate.get("/strict/a?redirect_uri=http%3A%2F%2F127.0.0.1%3A51004%2Fcallback"))
    # what is in a file is not looked at
    file = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n\' OR 1=1 --\r\n--b--\r\n'
    )
    shop.passes(gate.post("/strict/a", file, PARTS))
    shop.passes(gate.post("/strict/a", INJECTION.encode(), [("Content-Type", "image/png")]))


def test_exceptions_are_for_their_place_and_class_only(shop: Shop) -> None:
    gate, value = shop.gate, quote(INJECTION)
    script = quote("<script>alert(1)</script>")
    item = json.dumps({"items": [{"note": INJECTION}]}).encode()
    shop.passes(gate.get(f"/spared/a?search={value}"))
    shop.passes(gate.get("/spared/a", [("X-Told", INJECTION), ("Cookie", f"spared={value}")]))
    shop.passes(gate.post("/spared/a", item, JSON))
    shop.passes(gate.post("/spared/a", f"spared={value}".encode(), FORM))
    shop.refuses(gate.get(f"/spared/a?other={value}"))
    shop.refuses(gate.get(f"/spared/a?search={script}"))
    shop.refuses(gate.get("/spared/a", [("Cookie", f"search={value}")]))
    shop.refuses(gate.post("/spared/a", json.dumps({"items": [{"name": INJECTION}]}).encode(), JSON))
    shop.refuses(gate.post("/spared/a", json.dumps({"note": INJECTION}).encode(), JSON))


def test_classes_and_threshold(shop: Shop) -> None:
    gate = shop.gate
    shop.passes(gate.get(f"/some/a?q={quote(INJECTION)}"))
    shop.refuses(gate.get("/some/a?q=%3Csvg+onload%3Dalert(1)%3E"))
    shop.passes(gate.get("/strict/a?q=1+or+1"))
    shop.refuses(gate.get("/hints/a?q=1+or+1"))


def test_what_cannot_be_looked_through(shop: Shop) -> None:
    gate = shop.gate
    deep = b'{"a": "' + b"x" * 5000 + b'"}'
    gzip = [*JSON, ("Content-Encoding", "gzip")]
    for reply, word in [
        (gate.post("/strict/a", b'{"a": ', JSON), "JSON"),
        (gate.post("/strict/a", b"--c\r\n", PARTS), "form"),
        (gate.post("/strict/a", b"\x1f\x8b", gzip), "compressed"),
        (gate.post("/strict/a", deep, JSON), "more"),
    ]:
        assert word in shop.refuses(reply, "attack_undecided")["detail"]
    shop.passes(gate.post("/lax/a", deep, JSON))
    # what was looked at until then counts
    shop.refuses(gate.post("/lax/a", json.dumps({"a": INJECTION, "b": "x" * 5000}).encode(), JSON))


def test_the_type_of_a_body_is_no_way_around(shop: Shop) -> None:
    gate = shop.gate
    body = json.dumps({"a": "it's", "q": "x' or 1=1-- "}).encode()
    for kind in ("application/json; charset=utf8", "application/json;", "text/plain", "text/json", "application/octet-stream", "a/b", None):  # fmt: skip
        reply = gate.post("/strict/a", body, [("Content-Type", kind)] if kind else [])
        assert shop.refuses(reply)["errors"][0]["pointer"] == "/q", kind
    form = b"a=it's&q=x'+or+1%3D1--+"
    for kind in ("application/x-www-form-urlencoded; charset=utf8", "text/plain", "a/b"):
        shop.refuses(gate.post("/strict/a", form, [("Content-Type", kind)]))
    for kind in ("application/json; charset=utf-16", "json"):
        shop.refuses(gate.post("/strict/a", body, [("Content-Type", kind)]), "attack_undecided")


def test_parts_that_are_hidden_in_a_form_of_their_own(shop: Shop) -> None:
    gate = shop.gate
    xml = [("Content-Type", "application/xml")]
    shop.refuses(gate.post("/strict/a", b"<a b=\"1\" q='x&#39; or 1=1-- '/>", xml))
    part = f'--b\r\nContent-Disposition: form-data; name="n"; filename=""\r\n\r\n{INJECTION}\r\n--b--\r\n'
    shop.refuses(gate.post("/strict/a", part.encode(), PARTS))
    # Back to the machine of the person who asks, and to nothing else inside.
    shop.refuses(gate.get("/strict/a?redirect_uri=http%3A%2F%2F10.0.0.1%2Fcallback"))
    shop.refuses(gate.get("/strict/a?redirect_uri=http%3A%2F%2F127.0.0.1%3A80%4010.0.0.1%2F"))


def test_many_short_values_count_for_what_they_cost(shop: Shop) -> None:
    body = json.dumps(["'"] * 1000).encode()
    assert "more" in shop.refuses(shop.gate.post("/strict/a", body, JSON), "attack_undecided")["detail"]
    shop.passes(shop.gate.post("/lax/a", body, JSON))
    shop.passes(shop.gate.post("/lax/a", b'{"a": ', JSON))


def test_it_comes_after_the_validation(shop: Shop) -> None:
    reply = shop.gate.post("/schema/a", INJECTION.encode(), [("Content-Type", "text/plain")])
    assert reply.reason == "content_type_unsupported"
    shop.refuses(shop.gate.post("/schema/a", json.dumps({"a": INJECTION}).encode(), JSON))


def test_reported_is_logged_and_counted_and_passes(shop: Shop) -> None:
    gate = shop.gate
    before = gate.metric("yett_attacks_total", outcome="reported")
    refused = gate.metric("yett_attacks_total", outcome="refused")
    shop.passes(gate.get(f"/report/seen?q={quote(INJECTION)}"))
    line = gate.log_line(path="/report/seen")
    assert line["attack"] == [
        {"class": "sql", "rule": "sql-tautology", "score": 5, "in": "query", "parameter": "q"}
    ]
    assert line["status"] == 200 and INJECTION not in json.dumps(line)
    shop.passes(gate.post("/report/broken", b"{", JSON))
    assert "JSON" in gate.log_line(path="/report/broken")["attack_undecided"]
    shop.refuses(gate.get(f"/strict/logged?q={quote(INJECTION)}"))
    line = gate.log_line(path="/strict/logged")
    assert (line["reason"], line["rule"]) == ("attack_suspected", "sql-tautology")
    assert gate.metric("yett_attacks_total", outcome="reported") == before + 2
    assert gate.metric("yett_attacks_total", outcome="refused") == refused + 1


def test_bodies_that_are_passed_on_are_whole(shop: Shop) -> None:
    body = json.dumps({"text": "y" * 3000}).encode()
    assert shop.gate.post("/strict/a", body, JSON).status == 200
    assert shop.service.last.body == body
    shop.service.forget()


def test_explained(origin: Callable[..., Origin], gateway: Callable[..., Gateway]) -> None:
    config = configs.public(origin(), attack_filter={"mode": "report"})
    engine = Engine(*compiled(gateway(config).write(config)))
    answer = engine.decide(Question("GET", "http://gateway.test/?q=" + quote(INJECTION)))
    assert answer["attack"][0]["rule"] == "sql-tautology"
