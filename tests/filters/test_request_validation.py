"""request_validation: what a body has to be; what is judged is what is forwarded, and refusals say where, not what."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.waiting import eventually

ORDER = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "minimum": 1, "maximum": 100},
        "email": {"type": "string", "format": "email", "pattern": "@shop\\.test$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "maxItems": 3},
        "kind": {"enum": ["sale", "gift"]},
    },
    "required": ["amount"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"minLength": 2}}}},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def shop(gateway, origin, tmp_path):
    service = origin()
    schema = tmp_path / "order.json"
    schema.write_text(json.dumps(ORDER))

    def start(workers=1, limits=None, **validation):
        if validation.get("json_schema") is True:
            validation["json_schema"] = str(schema)
        changes = {"limits": limits} if limits else {}
        return gateway(configs.public(service, request_validation=validation, **changes), workers=workers)

    start.service = service
    return start


def post(gate, body, headers=JSON, method="POST"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gate.request(method, "/a", headers, data)


def test_what_fits_is_forwarded_byte_for_byte(shop):
    gate = shop(json_schema=True)
    body = b' {"lines" : [ {"sku":"\\u0061b"} ],\r\n\t"amount": 1e1 , "email":"ann@shop.test"} '
    assert post(gate, body).status == 200
    seen = shop.service.only
    assert (seen.body, seen["content-length"], seen["content-type"]) == (
        body,
        str(len(body)),
        JSON["Content-Type"],
    )


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({}, "/amount", "is missing"),
        ({"amount": "secret-7"}, "/amount", "has to be of type integer"),
        ({"amount": 0}, "/amount", "has to be at least 1"),
        ({"amount": 777777}, "/amount", "has to be at most 100"),
        ({"amount": 1.5}, "/amount", "has to be of type integer"),
        ({"amount": 1, "email": "secret-7"}, "/email", "has to be in the format email"),
        ({"amount": 1, "email": "a@secret-7.test"}, "/email", "does not have the form that is asked for"),
        ({"amount": 1, "kind": "secret-7"}, "/kind", "is none of the values that are accepted"),
        ({"amount": 1, "lines": [{"sku": "ab"}, {"x": "secret-7"}]}, "/lines/1/sku", "is missing"),
        ({"amount": 1, "lines": [{}] * 4}, "/lines", "has to have at most 3 items"),
        ({"amount": 1, "a/b~": "secret-7"}, "/a~1b~0", "is not known here"),
        (["secret-7"], "", "has to be of type object"),
        ("secret-7", "", "has to be of type object"),
    ],
)
def test_what_does_not_fit_is_named_and_not_shown(shop, body, pointer, detail):
    gate = shop(json_schema=True)
    answer = post(gate, body)
    assert (answer.status, answer.reason) == (422, "schema_mismatch")
    assert {"pointer": pointer, "detail": detail} in answer.json()["errors"]
    assert answer.json()["request_id"] == answer["x-request-id"]
    assert b"secret-7" not in answer.body and b"777777" not in answer.body
    assert shop.service.saw_nothing()
    assert "secret-7" not in gate.wait_log(1)[0].__repr__()


def test_several_faults_are_named_and_not_too_many(shop):
    gate = shop(json_schema=True)
    errors = post(gate, {"email": 1, "kind": 2}).json()["errors"]
    assert {error["pointer"] for error in errors} == {"/amount", "/email", "/kind"}
    many = {"amount": 1, "lines": [{} for _ in range(3)]} | {f"x{n}": 1 for n in range(100)}
    assert 1 <= len(post(gate, many).json()["errors"]) <= 16
    long = {"amount": 1, "lines": [{"n": "x" * 9000} for _ in range(3)]}
    assert len(post(gate, long).json()["errors"]) == 1
    name = "n" * 5000
    (error,) = post(gate, {"amount": 1, name: 1}).json()["errors"]
    assert len(error["pointer"]) < 250
    assert shop.service.saw_nothing()


@pytest.mark.parametrize(
    ("types", "status"),
    [
        (["application/json"], 200),
        (["Application/JSON; charset=UTF-8"], 200),
        (['application/json; charset="utf-8"; v=1'], 200),
        (["application/json; charset=utf-7"], 415),
        (["application/json; charset=latin1"], 415),
        (["application/json; charset=utf-8; charset=utf-16"], 415),
        (["text/json"], 415),
        (["text/plain"], 415),
        (["multipart/form-data; boundary=x"], 415),
        (["application/x-www-form-urlencoded"], 415),
        (["application/octet-stream"], 415),
        (["application/json, text/plain"], 415),
        (["application/jsonx"], 415),
        (["*/*"], 415),
        ([""], 415),
        ([], 415),
    ],
)
def test_only_types_that_are_listed(shop, types, status):
    gate = shop()
    answer = post(gate, b"{}", [("Content-Type", value) for value in types])
    assert answer.status == status
    if status == 415:
        assert answer.reason == "content_type_unsupported"
        assert shop.service.saw_nothing()


def test_a_type_that_is_sent_twice(shop):
    gate = shop()
    for second in ("text/plain", "application/json"):
        answer = post(gate, b"{}", [("Content-Type", "application/json"), ("Content-Type", second)])
        assert (answer.status, answer.reason) == (400, "header_invalid")
    assert shop.service.saw_nothing()


def test_other_types_where_they_are_listed(shop):
    gate = shop(content_types={"any_of": ["application/json", "application/merge-patch+json", "image/*"]})
    assert post(gate, b"\x89PNG\xff{", {"Content-Type": "image/png"}).status == 200
    assert post(gate, b"{}", {"Content-Type": "application/merge-patch+json"}).status == 200
    assert post(gate, b"{", {"Content-Type": "application/merge-patch+json"}).reason == "json_malformed"
    assert post(gate, b"{}", {"Content-Type": "imagex/png"}).status == 415
    assert [seen.body for seen in shop.service.requests] == [b"\x89PNG\xff{", b"{}"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip", "x"])
def test_what_is_compressed_is_refused(shop, coding):
    gate = shop()
    answer = post(gate, b"{}", {**JSON, "Content-Encoding": coding})
    assert (answer.status, answer.reason) == (415, "content_encoding_unsupported")
    assert shop.service.saw_nothing()
    assert post(gate, b"{}", {**JSON, "Content-Encoding": "identity"}).status == 200


def test_whether_there_has_to_be_a_body(shop):
    gate = shop(json_schema=True)
    assert post(gate, b"").reason == "body_missing"
    assert post(gate, b"", method="DELETE").reason == "body_missing"
    assert gate.get("/a").status == 200
    assert post(gate, {"amount": "x"}, method="PUT").reason == "schema_mismatch"
    optional = shop(json_schema=True, body="optional")
    assert post(optional, b"").status == 200
    assert post(optional, {}).reason == "schema_mismatch"
    none = shop(body="refused")
    answer = post(none, b"{}")
    assert (answer.status, answer.reason) == (400, "body_unexpected")
    assert post(none, b"").status == 200


def test_chunks_are_put_together(shop):
    """What was sent in chunks is judged whole, and an empty one is no body."""
    gate = shop(json_schema=True)
    head = b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with gate.connect() as wire:
        wire.send(head + b'8\r\n{"amount\r\n4\r\n":1}\r\n0\r\n\r\n')
        assert wire.reply().status == 200
        wire.send(head + b'8\r\n{"amount\r\n4\r\n":0}\r\n0\r\n\r\n')
        assert wire.reply().reason == "schema_mismatch"
        wire.send(head + b"0\r\n\r\n")
        assert wire.reply().reason == "body_missing"
        # the connection goes on
        assert wire.ask("POST", "/a", JSON, b'{"amount":2}').status == 200
    assert [seen.body for seen in shop.service.requests] == [b'{"amount":1}', b'{"amount":2}']


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body(shop, chunked):
    gate = shop(limits={"body": "1KiB"})
    body = b'"' + b"x" * 1100 + b'"'
    if chunked:
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        (answer,), closes = gate.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert closes
    else:
        answer = post(gate, body)
    assert (answer.status, answer.reason) == (413, "body_too_large")
    assert post(gate, b'"' + b"x" * 1022 + b'"').status == 200
    assert len(shop.service.requests) == 1


def test_a_body_that_waits_to_be_asked_for(shop):
    gate = shop(json_schema=True)
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 12\r\nContent-Type: %s\r\n\r\n"
    with gate.connect() as wire:
        wire.send(head % b"application/json")
        wire.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(b'{"amount":1}')
        assert wire.reply().status == 200
    with gate.connect() as wire:
        # what is refused by its head is not asked for
        wire.send(head % b"text/plain")
        answer = wire.reply()
        assert (answer.status, answer.interim) == (415, [])


def test_a_body_that_does_not_end_is_not_forwarded(shop):
    gate = shop(json_schema=True)
    with gate.connect() as wire:
        wire.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        wire.half_close()
        assert wire.reply().reason == "body_malformed"
    assert shop.service.saw_nothing()


def test_bodies_held_are_counted_and_given_back(gateway, origin, tmp_path):
    service = origin()
    config = configs.public(service, request_validation={}, limits={"body": "8MiB"})
    config["process"] = {"buffered_bytes": "2MiB"}
    gate = gateway(config)
    answer = post(gate, b'["' + b'","'.join([b"x" * 1000] * 4000) + b'"]')
    assert (answer.status, answer.reason) == (503, "buffer_exhausted")
    assert service.saw_nothing()
    for _ in range(5):
        assert post(gate, b'["' + b'","'.join([b"x" * 1000] * 1000) + b'"]').status == 200
    eventually(lambda: gate.metric("yett_buffered_bytes") < 1 << 20, what="the blocks given back")


def test_it_comes_after_rules_and_limits(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(
        service,
        identity,
        tmp_path,
        authorize={"scopes": "write"},
        request_validation={},
        rate_limit={"few": {"rate": "1/m", "burst": 2, "key": "principal"}},
    )
    gate = gateway(config)
    token = identity.bearer(scope="write")
    assert post(gate, b"{", JSON).reason == "credential_missing"
    assert post(gate, b"{", {**JSON, **identity.bearer(scope="read")}).reason == "scope_missing"
    assert post(gate, b"{", {**JSON, **token}).reason == "json_malformed"
    assert post(gate, b"{}", {**JSON, **token}).status == 200
    assert post(gate, b"{", {**JSON, **token}).reason == "rate_limited"
    assert len(service.requests) == 1


def test_a_schema_that_changes_counts_from_the_reload_on(shop, tmp_path):
    gate = shop(json_schema=True)
    assert post(gate, {"amount": 1, "more": 2}).status == 422
    schema = tmp_path / "order.json"
    schema.write_text(json.dumps({**ORDER, "additionalProperties": True}))
    gate.reload(configs.public(shop.service, request_validation={"json_schema": str(schema)}))
    assert post(gate, {"amount": 1, "more": 2}).status == 200


def parts(*every, boundary=b"XX"):
    return (
        b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in every) + b"--" + boundary + b"--\r\n"
    )


def part(name, value, more=b""):
    return b'Content-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value


def test_forms_that_nothing_is_known_of_keep_within_bounds(shop):
    gate = shop(
        content_types={"any_of": ["multipart/form-data", "application/x-www-form-urlencoded"]},
        form_limits={"fields": 3, "field": "10B", "file": "20B"},
    )
    form, multipart = "application/x-www-form-urlencoded", "multipart/form-data; boundary=XX"
    picture = b'; filename="a.png"\r\nContent-Type: image/png'
    for kind, body, reason in [
        (form, b"a=1&b=2&a=3", None),
        (form, b"a=1&b=2&c=3&d=4", "form_too_complex"),
        (form, b"a=" + b"x" * 11, "form_too_complex"),
        (form, b"a=%zz", "form_malformed"),
        (
            multipart,
            parts(part(b"a", b"1"), part(b"p", b"\xff" * 20, picture), part(b"p", b"", picture)),
            None,
        ),
        (multipart, parts(part(b"p", b"x" * 21, picture)), "form_too_complex"),
        (multipart, parts(part(b"a", b"x" * 11)), "form_too_complex"),
        (multipart, parts(*[part(b"a", b"1")] * 4), "form_too_complex"),
        (multipart, parts(part(b"a", b"\xff")), "schema_mismatch"),
        (multipart, parts(part(b"p", b"x", b'; filename="../a"')), "form_malformed"),
        (multipart, parts(part(b"a", b"1"))[:-6], "form_malformed"),
    ]:
        assert post(gate, body, {"Content-Type": kind}).reason == reason, body
    assert len(shop.service.requests) == 2
