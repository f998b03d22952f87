"""An external check that is down, slow, broken, oversized, or says something else denies; operators are told why."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support import configs

JSON = [("Content-Type", "application/json")]
ANSWERS = {
    "500": ("status", 500, b'{"allow": true}', JSON),
    "403": ("status", 403, b'{"allow": true}', JSON),
    "204": ("status", 204, b"", []),
    "redirect": ("redirect", 302, b"", [("Location", "/yes")]),
    "no type": ("not_json", 200, b'{"allow": true}', []),
    "html": ("not_json", 200, b"<html>allow</html>", [("Content-Type", "text/html")]),
    "not JSON": ("not_json", 200, b"allow", JSON),
    "a list": ("not_json", 200, b'[{"allow": true}]', JSON),
    "true": ("not_json", 200, b"true", JSON),
    "text": ("unexpected", 200, b'{"allow": "true"}', JSON),
    "number": ("unexpected", 200, b'{"allow": 1}', JSON),
    "empty": ("unexpected", 200, b"{}", JSON),
    "twice": ("not_json", 200, b'{"allow": false, "allow": true}', JSON),
    "oversized": ("too_large", 200, b'{"allow": true, "x": "' + b"a" * 70_000 + b'"}', JSON),
    "a field with a line end": (
        "unexpected",
        200,
        json.dumps({"allow": True, "headers": {"x-level": "1\r\nx-admin: 1"}}).encode(),
        JSON,
    ),
    "a field that is no text": ("unexpected", 200, b'{"allow": true, "headers": {"x-level": 1}}', JSON),
}


@pytest.fixture
def shop(gateway, origin):
    service, check = origin(), origin()
    asked = {"url": check.url, "plaintext": "test", "timeout": "300ms", "to_service": "x-level"}
    gate = gateway(configs.public(service, external_authorization=asked))
    return gate, service, check


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_anything_but_a_clear_yes(shop, answer):
    gate, service, check = shop
    cause, *what = answer
    check.answers(*what)
    refused = gate.get("/")
    assert (refused.status, refused.reason) == (503, "external_unavailable")
    assert b"route open" not in refused.body and set(refused.json()) == {
        "type",
        "title",
        "status",
        "reason",
        "request_id",
    }
    assert service.saw_nothing()
    assert failures(gate) == {cause: 1}
    (said,) = told(gate)
    assert (said["check"], said["cause"]) == ("route open", cause)


def failures(gate):
    """Counted failures of the check by cause."""
    name = "yett_external_authorization_failures_total"
    found = [(sample, value) for sample, value in gate.metrics().items() if sample.startswith(name)]
    return {sample.partition('cause="')[2].rstrip('"}'): value for sample, value in found}


def told(gate):
    """What operators were told of checks since the last time."""
    said = [json.loads(line) for line in gate.events()]
    return [event for event in said if event["event"].startswith("external_authorization_")]


def test_it_is_down(shop):
    gate, service, check = shop
    check.close()
    for _ in range(3):
        assert gate.get("/").reason == "external_unavailable"
    assert service.saw_nothing()
    assert failures(gate) == {"connect": 3}
    (said,) = told(gate)
    assert (said["cause"], said["level"]) == ("connect", "warning"), "once, not with every request"
    assert "cannot connect to 127.0.0.1:" in said["error"]


def test_it_is_slow(shop):
    gate, service, check = shop
    over = threading.Event()
    check.behaviour = lambda stage: over.wait(30)
    refused = gate.get("/")
    over.set()
    assert refused.reason == "external_unavailable"
    assert service.saw_nothing()
    assert failures(gate) == {"timeout": 1}
    assert [event["error"] for event in told(gate)] == ["no answer within 300 milliseconds"]


def test_nobody_vouches_for_its_certificate(gateway, origin, server_tls):
    """The authority of its certificate is not configured: that is what the operator reads."""
    service, check = origin(), origin(tls=server_tls)
    check.answers(200, b'{"allow": true}', JSON)
    url = check.url.replace("127.0.0.1", "localhost") + "/check?key=s3cret"
    gate = gateway(configs.public(service, external_authorization={"url": url}))
    assert gate.get("/").reason == "external_unavailable"
    assert service.saw_nothing() and failures(gate) == {"tls": 1}
    (said,) = told(gate)
    assert "UnknownIssuer" in said["error"] and "s3cret" not in json.dumps(said)


def test_it_works_again(shop):
    gate, service, check = shop
    check.answers(500, b"", [])
    assert gate.get("/").status == 503
    check.answers(200, b'{"allow": true}', JSON)
    assert gate.get("/").status == 200
    assert len(service.requests) == 1
    assert [event["event"] for event in told(gate)] == [
        "external_authorization_failed",
        "external_authorization_recovered",
    ]
    assert gate.metric("yett_external_authorization_total", check="route open", answer="allowed") == 1
    assert failures(gate) == {"status": 1}
