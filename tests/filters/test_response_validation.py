"""response_validation: nothing that does not fit leaves a service; a clean 502 stands in its place."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support import configs
from tests.support.http2_peer import Http2Client, Http2Service, reply
from tests.support.waiting import eventually

USER = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "friends": {"type": "array", "items": {"$ref": "#/$defs/friend"}},
    },
    "unevaluatedProperties": False,
    "$defs": {
        "friend": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "additionalProperties": False,
        }
    },
}
JSON = [("Content-Type", "application/json")]
TYPE = [("content-type", "application/json")]


@pytest.fixture
def shop(gateway, origin, tmp_path):
    service = origin()
    schema = tmp_path / "user.json"
    schema.write_text(json.dumps(USER))

    def start(listener=None, **validation):
        if validation.get("json_schema") is True:
            validation["json_schema"] = str(schema)
        config = configs.public(service, response_validation=validation)
        if listener:
            config["listeners"] = configs.listener(**listener)
        return gateway(config)

    start.service = service
    return start


def says(service, body, status=200, headers=JSON):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    service.answers(status, data, headers)


def refused(answer, reason):
    assert (answer.status, answer.reason) == (502, reason), answer.body
    return answer


def test_what_fits_passes_byte_for_byte(shop):
    gate = shop(json_schema=True)
    body = b' {"name" : "ann", "friends":[ {"name":"b\\u006fb"} ] }\r\n'
    says(shop.service, body, headers=[*JSON, ("ETag", '"1"'), ("X-Own", "1")])
    answer = gate.get("/", {"Accept-Encoding": "gzip", "Range": "bytes=0-3", "If-Range": '"1"'})
    assert (answer.status, answer.body, answer["etag"], answer["x-own"]) == (200, body, '"1"', "1")
    seen = shop.service.only
    assert seen["accept-encoding"] == "identity"
    assert not {"range", "if-range"} & seen.names


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"name": 7}, "response_schema_mismatch"),
        ({}, "response_schema_mismatch"),
        ({"name": "a", "password": "secret-7"}, "response_schema_mismatch"),
        ({"name": "a", "friends": [{"salary": "secret-7"}]}, "response_schema_mismatch"),
        ([], "response_schema_mismatch"),
        (b'{"name": "a", "name": "secret-7"}', "response_malformed"),
        (b'{"name": "secret-7"', "response_malformed"),
        (b"<html>secret-7</html>", "response_malformed"),
        (b'{"name": "a"}{"name": "secret-7"}', "response_malformed"),
        (b'{"name": "\xff"}', "response_malformed"),
    ],
)
def test_what_does_not_fit_stays_inside(shop, body, reason):
    gate = shop(json_schema=True)
    says(shop.service, body, headers=[*JSON, ("X-Own", "secret-7"), ("Set-Cookie", "a=secret-7")])
    answer = refused(gate.get("/"), reason)
    assert b"secret-7" not in answer.body + answer.head
    line = gate.wait_log(1)[0]
    assert (line["status"], line["reason"], line["fault"]) == (502, reason, "service")
    # the client's connection and the gateway live on
    with gate.connect() as wire:
        assert wire.ask().status == 502
        says(shop.service, {"name": "ann"})
        assert wire.ask().status == 200


def test_unknown_properties_are_taken_out(shop):
    gate = shop(json_schema=True, mode="strip")
    friends = [{"name": "b", "salary": 1}, {"x": {"y": 2}}, {}]
    user = {"name": "ann", "password": "secret-7", "friends": friends, "more": [1]}
    says(shop.service, user, headers=[*JSON, ("ETag", '"1"'), ("Content-Digest", "sha-256=:eA==:")])
    answer = gate.get("/")
    assert answer.json() == {"name": "ann", "friends": [{"name": "b"}, {}, {}]}
    assert "etag" not in answer and "content-digest" not in answer
    says(shop.service, {"name": 7, "password": "secret-7"})
    answer = refused(gate.get("/"), "response_schema_mismatch")
    assert b"secret-7" not in answer.body
    says(shop.service, b'{"name":   "ann"}')
    assert gate.get("/").body == b'{"name":   "ann"}'


def faults(gate, count):
    """Events `response_fault`, as soon as there are so many."""
    found = []

    def more():
        found.extend(json.loads(event) for event in gate.events() if "response_fault" in event)
        return len(found) >= count

    eventually(more, what=f"{count} events")
    return [(one["route"], one["reason"]) for one in found]


def test_what_is_reported_passes(shop):
    gate = shop(json_schema=True, mode="report", statuses="2XX")
    says(shop.service, b'{"name":   7}', headers=[*JSON, ("ETag", '"1"'), ("X-Runtime", "1")])
    answer = gate.get("/")
    assert (answer.body, answer["etag"], answer["x-runtime"]) == (b'{"name":   7}', '"1"', "1")
    says(shop.service, b"oops", 500, [("Content-Type", "text/plain")])
    assert gate.get("/").status == 500
    assert faults(gate, 2) == [
        ("open", "response_schema_mismatch"),
        ("open", "response_status_unexpected"),
    ]
    says(shop.service, {"name": "ann"})
    assert gate.get("/").status == 200
    for reason, count in [("schema_mismatch", 1), ("status_unexpected", 1), ("malformed", 0), ("leak", 0)]:
        assert gate.metric("yett_response_faults_total", reason=f"response_{reason}") == count


def test_reports_do_not_hold_back_what_has_no_announced_end(shop):
    """What has come passes before the rest has; of what is too long nothing is looked at, and it passes as well."""
    gate = shop(mode="report", size="1KiB")
    service = shop.service
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    seen = threading.Event()

    def behave(stage):
        stage.send(head + b"5\r\nhello\r\n")
        assert seen.wait(30)
        stage.send(b"18\r\n pan 4111 1111 1111 1111\r\n0\r\n\r\n")

    service.behaviour = behave
    with gate.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        wire.until(b"hello")
        seen.set()
        wire.until(b"1111\r\n0\r\n\r\n")
    assert faults(gate, 1) == [("open", "response_leak")]
    body = b"x" * 1025
    service.sends(head + b"401\r\n" + body + b"\r\n0\r\n\r\n")
    assert gate.get("/").body == body
    assert faults(gate, 1) == [("open", "response_too_large")]


def test_a_flood_of_faults_is_counted_and_reported_once_a_second(shop):
    gate = shop(mode="report", statuses=200)
    says(shop.service, b"", 500)
    for _ in range(200):
        assert gate.get("/").status == 500
    assert gate.metric("yett_response_faults_total", reason="response_status_unexpected") == 200
    assert 1 <= len([event for event in gate.events() if "response_fault" in event]) < 200


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (200, "application/json", None),
        (200, "application/json; charset=utf-8", None),
        (200, "application/merge-patch+json", None),
        (200, "text/html", "response_type_unexpected"),
        (200, "application/json; charset=latin1", "response_type_unexpected"),
        (200, None, "response_type_unexpected"),
        (404, "application/json", None),
        (500, "application/json", "response_status_unexpected"),
        (204, None, None),
        (302, "application/json", "response_status_unexpected"),
    ],
)
def test_statuses_and_types(shop, status, kind, reason):
    types = {"any_of": ["application/json", "application/merge-patch+json"]}
    gate = shop(statuses={"any_of": ["2XX", 404]}, content_types=types)
    says(shop.service, b"" if status == 204 else b"{}", status, [("Content-Type", kind)] if kind else [])
    answer = gate.get("/")
    assert (answer.status, answer.reason) == ((502, reason) if reason else (status, None))


def test_types_hold_for_every_status(shop):
    gate = shop(json_schema=True, content_types="application/json")
    says(shop.service, b"{}", 404)
    assert gate.get("/").status == 404
    says(shop.service, b"secret-7", 404, [("Content-Type", "text/html")])
    refused(gate.get("/"), "response_type_unexpected")


def test_two_types(shop):
    gate = shop()
    says(shop.service, b"{}", headers=[*JSON, ("Content-Type", "text/plain")])
    refused(gate.get("/"), "response_type_unexpected")


def test_compressed_answers_do_not_pass_unseen(shop):
    gate = shop()
    says(shop.service, b"\x1f\x8b...", headers=[*JSON, ("Content-Encoding", "gzip")])
    refused(gate.get("/"), "response_type_unexpected")


@pytest.mark.parametrize("chunked", [False, True])
def test_sizes(shop, chunked):
    gate = shop(size="1KiB")

    def send(count):
        body = b'"' + b"x" * (count - 2) + b'"'
        if chunked:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            shop.service.sends(head + b"%x\r\n%s\r\n0\r\n\r\n" % (count, body))
        else:
            says(shop.service, body)
        return gate.get("/")

    assert len(send(1024).body) == 1024
    refused(send(1025), "response_too_large")


def test_chunks_get_a_length(shop):
    gate = shop(json_schema=True)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    shop.service.sends(head + b'8\r\n{"name":\r\n4\r\n"a"}\r\n0\r\nX-Trailer: secret-7\r\n\r\n')
    answer = gate.get("/")
    assert (answer.body, answer["content-length"]) == (b'{"name":"a"}', "12")
    assert "transfer-encoding" not in answer and b"secret-7" not in answer.head
    # what was kept of the service's connection is used again
    assert gate.get("/").status == 200 and shop.service.connections == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'Content-Length: 50\r\n\r\n{"name": "secret-7"}', "service_reset"),
        (b'Transfer-Encoding: chunked\r\n\r\n14\r\n{"name": "secret-7"}\r\n', "service_reset"),
        (b'Transfer-Encoding: chunked\r\n\r\nzz\r\n{"name": "secret-7"}', "service_response_invalid"),
        (b'Connection: close\r\n\r\n{"name": "secret-7', "response_malformed"),
    ],
)
def test_answers_that_are_cut_are_a_clean_502(shop, data, reason):
    gate = shop(json_schema=True)
    shop.service.sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + data, close=True)
    answer = refused(gate.get("/"), reason)
    assert b"secret-7" not in answer.body


@pytest.mark.parametrize(
    ("leaks", "body", "passes"),
    [
        (None, "pan 4111 1111 1111 1111", False),
        (None, "pan 4111 1111 1111 1112", True),
        (None, "-----BEGIN EC PRIVATE KEY-----\nMHc", False),
        (None, "Traceback (most recent call last):\n", False),
        (None, "key AKIAABCDEFGHIJKLMNOP", False),
        (None, "hello", True),
        ("none", "pan 4111 1111 1111 1111", True),
        ("private_keys", "pan 4111 1111 1111 1111", True),
        ({"any_of": ["cards", "tokens"]}, "Traceback (most recent call last):\n", True),
    ],
)
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "text/html"])
def test_what_may_not_leave(shop, leaks, body, passes, kind):
    gate = shop(**({"leaks": leaks} if leaks else {}))
    data = json.dumps({"x": body}).encode() if kind == "application/json" else body.encode()
    says(shop.service, data, headers=[("Content-Type", kind)])
    answer = gate.get("/")
    if passes:
        assert (answer.status, answer.body) == (200, data)
    else:
        refused(answer, "response_leak")
        assert b"4111" not in answer.body and b"AKIA" not in answer.body


def test_errors_of_services_are_looked_at_as_well(shop):
    gate = shop()
    says(
        shop.service,
        b"Traceback (most recent call last):\n  File secret-7",
        500,
        [("Content-Type", "text/plain")],
    )
    assert b"secret-7" not in refused(gate.get("/"), "response_leak").body


def test_fields_that_say_what_a_service_is_made_of(shop):
    inner = ["X-Runtime", "X-AspNet-Version", "X-Generator", "X-Debug-Token", "X-Envoy-Attempt-Count"]
    says(shop.service, {}, headers=[*JSON, ("X-Own", "1"), *((name, "1") for name in inner)])
    for keep in (False, True):
        gate = shop(**({"internal_headers": "keep"} if keep else {}))
        names = {name.lower() for name, _ in gate.get("/").headers}
        assert "x-own" in names
        assert {name.lower() for name in inner} & names == (
            {name.lower() for name in inner} if keep else set()
        )


def test_fields_that_lead_inside(shop):
    gate = shop()
    endpoint = shop.service.endpoint.removeprefix("http://")
    for name, value in [
        ("Location", f"http://{endpoint}/orders/1"),
        ("Content-Location", f"//{endpoint}/1"),
        ("Link", f"<http://{endpoint}/2>; rel=next"),
        ("X-Error", "key AKIAABCDEFGHIJKLMNOP"),
        ("Location", "/paid?card=4111111111111111"),
    ]:
        says(shop.service, b"", 302, [(name, value)])
        answer = refused(gate.get("/"), "response_leak")
        assert endpoint.encode() not in answer.head + answer.body and b"4111" not in answer.head
    for value in ["/orders/1", "https://gateway.test/orders/1", "https://login.example/?next=/"]:
        says(shop.service, b"", 302, [("Location", value)])
        assert gate.get("/")["location"] == value
    says(shop.service, b"", 302, [("Location", f"http://{endpoint}/")])
    assert shop(leaks="cards").get("/").status == 302


@pytest.mark.parametrize(
    "line", [b"X-A: b\nSet-Cookie: a=b", b"X-A: b\rSet-Cookie: a=b", b"X-A: b\0", b"X A: b"]
)
def test_fields_do_not_begin_another_answer(shop, line):
    gate = shop()
    shop.service.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + line + b"\r\n\r\nok", close=True)
    answer = refused(gate.get("/"), "service_response_invalid")
    assert "set-cookie" not in answer


def test_streams_pass_where_they_are_declared(shop):
    event = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    shop.service.sends(event, close=True)
    refused(shop().get("/"), "response_type_unexpected")
    refused(shop(streams=True, content_types="text/*", statuses=404).get("/"), "response_status_unexpected")
    assert shop(streams=True).get("/").body == b"data: 1\n\n"


def test_a_stream_passes_as_it_comes(shop):
    gate = shop(content_types="text/event-stream", streams=True)
    seen = threading.Event()

    def behave(stage):
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert seen.wait(30)
        stage.send(b"data: 2\n\n")
        stage.close()

    shop.service.behaviour = behave
    with gate.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        wire.until(b"data: 1")
        seen.set()
        wire.until(b"data: 2")


def test_bodies_that_nobody_reads_pass_unheld(shop):
    gate = shop(size="1KiB")
    says(shop.service, b"\x89PNG" * 5000, headers=[("Content-Type", "image/png")])
    assert len(gate.get("/").body) == 20_000


def test_head_and_bodyless_answers(shop):
    gate = shop(json_schema=True, statuses={"any_of": [200, 204]})
    says(shop.service, {"name": "ann"})
    answer = gate.request("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    says(shop.service, b"", 204, [])
    assert gate.get("/").status == 204
    # what the client has is of the kind that a 200 would be
    says(shop.service, b"", 304, [])
    assert gate.get("/", {"If-None-Match": '"1"'}).status == 304
    says(shop.service, b"", 200)
    refused(gate.get("/"), "response_malformed")


def test_a_304_for_what_never_passes(shop):
    gate = shop(statuses=404)
    says(shop.service, b"", 304, [])
    refused(gate.get("/", {"If-None-Match": '"1"'}), "response_status_unexpected")


@pytest.fixture
def http2_service():
    service = Http2Service()
    yield service
    service.close()


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_http2_on_either_side(gateway, tmp_path, protocol, http2_service):
    """Clients that speak HTTP/2, and services that do."""
    schema = tmp_path / "user.json"
    schema.write_text(json.dumps(USER))
    service = http2_service
    service.behaviour = reply(b'{"name": "ann", "password": "secret-7"}', *TYPE)
    config = configs.public(service, response_validation={"json_schema": str(schema), "mode": "strip"})
    config["services"]["origin"] |= {"protocol": "http2"}
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)

    def ask():
        if protocol == "http1":
            answer = gate.get("/")
            return answer.status, answer.body
        with Http2Client(gate.address()) as client:
            stream = client.get("/")
            return stream.status, stream.read()

    assert ask() == (200, b'{"name":"ann"}')
    service.behaviour = reply(b'{"password": "secret-7"}', *TYPE)
    status, body = ask()
    assert status == 502 and b"response_schema_mismatch" in body and b"secret-7" not in body


def test_bodies_held_are_given_back(shop):
    gate = shop(size="8MiB")
    says(shop.service, b'"' + b"x" * (60 * 1024) + b'"')
    for _ in range(20):
        assert gate.get("/").status == 200
    eventually(lambda: gate.metric("yett_buffered_bytes") < 1 << 20, what="the blocks given back")


def test_by_a_description(gateway, origin, tmp_path):
    service = origin()
    item = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}, "pin": {"writeOnly": True}},
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/a": {
                "get": {
                    "operationId": "it",
                    "responses": {
                        "200": {"description": "", "content": {"application/json": {"schema": item}}},
                        "203": {
                            "description": "",
                            "content": {"application/*": {}, "application/json": {"schema": item}},
                        },
                        "204": {"description": ""},
                        "404": {"description": ""},
                    },
                }
            }
        },
    }
    file = tmp_path / "api.json"
    file.write_text(json.dumps(document))
    validation = {"openapi": str(file), "operation": "it", "mode": "strip", "statuses": 429}
    config = configs.public(service)
    config["routes"] = {"it": configs.route("/a", "GET", response_validation=validation)}
    gate = gateway(config)
    for status, body, expected in [
        (200, b'{"id": 1}', b'{"id": 1}'),
        (200, b'{"id": 1, "more": 2}', b'{"id":1}'),
        (200, b'{"id": "x"}', "response_schema_mismatch"),
        (200, b'{"id": 1.50, "pin": "1234"}', "response_schema_mismatch"),
        (200, b'{ "id": 1, "pin": "1234" }', b'{"id":1}'),
        (200, b"", "response_malformed"),
        (203, b'{"id": "x"}', "response_schema_mismatch"),
        (404, b'{"error": "none"}', b'{"error": "none"}'),
        (429, b'{"error": "slow"}', b'{"error": "slow"}'),
        (500, b'{"error": "x"}', "response_status_unexpected"),
        (201, b'{"id": 1}', "response_status_unexpected"),
    ]:
        service.answers(status, body, JSON)
        answer = gate.get("/a")
        if isinstance(expected, bytes):
            assert (answer.status, answer.body) == (status, expected)
        else:
            refused(answer, expected)
