"""CR, LF, NUL and `%0d%0a` in anything copied onward, in both directions (CVE-2026-31908); log injection by quotes,
newlines and ANSI sequences (CVE-2025-25294)."""

from __future__ import annotations

import json

import pytest

from tests.support import configs


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\x00", b"\x01", b"\x1b", b"\x7f", b"\x0b", b"\x0c"])
def test_control_characters_in_a_request_are_refused(gateway, origin, byte):
    service = origin()
    gate = gateway(configs.public(service))
    for data in (
        b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nX: a" + byte + b"b\r\n\r\n",
        b"GET /a" + byte + b"b HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: gate" + byte + b"way.test\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nX" + byte + b"Y: a\r\n\r\n",
    ):
        replies, closed = gate.send(data)
        assert replies[0].status == 400, data
        assert closed
    assert service.saw_nothing()


def test_a_variable_in_a_header_or_redirect_cannot_break_a_line(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"] = {
        "away": {
            "match": {"hosts": "any", "path": "/away/{name}", "methods": "GET"},
            "access": "public",
            "redirect": {"status": 302, "path": "/to/{name}"},
        },
    }
    gate = gateway(config)
    for value in ("a%0d%0aX-Evil:%201", "a%0aX-Evil:%201", "a%0d", "%00"):
        answer = gate.get(f"/away/{value}")
        assert answer.status == 400
        assert b"x-evil" not in answer.head.lower()
    for value in ("a%22b", "a%20b", "%e2%82%ac", "a%3cscript%3e"):
        answer = gate.get(f"/away/{value}")
        assert answer.status == 302
        location = answer["location"]
        assert location.isascii() and not set(location) & set(' "<>\r\n'), location
    assert service.saw_nothing()


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\x00", b"\x01", b"\x7f"])
def test_control_characters_in_an_answer_are_not_passed_on(gateway, origin, byte):
    service = origin()
    service.sends(b"HTTP/1.1 200 OK\r\nX: a" + byte + b"Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok")
    gate = gateway(configs.public(service))
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (502, "service_response_invalid")
    assert b"evil" not in answer.head


def test_a_reason_phrase_is_not_copied(gateway, origin):
    service = origin()
    service.sends(b"HTTP/1.1 200 OK\x1b[31m<script>\r\nContent-Length: 2\r\n\r\nok")
    gate = gateway(configs.public(service))
    answer = gate.get("/a")
    assert answer.status in (200, 502)
    assert b"script" not in answer.head and b"\x1b" not in answer.head


HOSTILE = ['"', "\\", '","status":200,"x":"', "\u2028", "\x85", "é", "\t", "{}", "%0a", "</script>", "\xff"]


def test_every_log_line_is_one_line_of_json(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    count = 0
    for text in HOSTILE:
        raw = text.encode("utf-8", "surrogateescape")
        for data in (
            b"GET /a?" + raw + b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
            b"GET /" + raw + b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nUser-Agent: " + raw + b"\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nReferer: " + raw + b"\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Request-Id: " + raw + b"\r\n\r\n",
            b"X" + raw + b" /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        ):
            gate.send(data)
            count += 1
    lines = gate.wait_log(count)
    assert len(lines) == count
    for raw_line in gate.log_text().split(b"\n"):
        assert b"\x1b" not in raw_line and b"\r" not in raw_line
        if raw_line:
            pairs = json.loads(raw_line, object_pairs_hook=list)
            names = [name for name, _ in pairs]
            assert len(names) == len(set(names)), "a value forged a second field"
            assert raw_line.decode("utf-8").isprintable()


def test_claims_cannot_forge_log_lines_or_headers(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    subject = 'x","status":999}\n{"forged":true}\x1b[2J\r\nX-Evil: 1'
    answer = gate.get("/closed", identity.bearer(sub=subject, jti=subject, client_id=subject))
    assert answer.status in (200, 401)
    line = gate.wait_log(1)
    assert len(line) == 1
    assert "forged" not in line[0]
    assert b"\x1b" not in gate.log_text()
    assert not any("x-evil" in seen.names for seen in service.requests)


def test_problem_documents_do_not_echo_markup(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["path"] = "/known"
    gate = gateway(config)
    for accept in ("text/html", "application/json", "*/*"):
        answer = gate.get("/<script>alert(1)</script>", {"Accept": accept, "X-Request-Id": "<script>"})
        assert b"<script>" not in answer.body
        answer = gate.get("/%3cscript%3e", {"Accept": accept})
        assert answer.status == 404
        assert b"<script>" not in answer.body
        if "html" in accept:
            assert answer["content-type"].startswith("text/html")
    assert service.saw_nothing()


@pytest.mark.parametrize("identifier", ["a b", "a" * 500, "<x>", "a\tb", '"', "", "a,b", "\xe9"])
def test_an_odd_request_id_is_replaced(gateway, origin, identifier):
    service = origin()
    gate = gateway(configs.public(service))
    answer = gate.get("/a", {"X-Request-Id": identifier})
    assert answer.status == 200
    assert answer["x-request-id"] == service.only["x-request-id"] != identifier
    assert gate.log_line(status=200)["request_id"] == answer["x-request-id"]
