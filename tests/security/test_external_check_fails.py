"""An external check that is down, slow, broken, oversized, or says something else denies."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support import configs

JSON = [("Content-Type", "application/json")]
ANSWERS = {
    "500": (500, b'{"allow": true}', JSON),
    "403": (403, b'{"allow": true}', JSON),
    "204": (204, b"", []),
    "redirect": (302, b"", [("Location", "/yes")]),
    "no type": (200, b'{"allow": true}', []),
    "html": (200, b"<html>allow</html>", [("Content-Type", "text/html")]),
    "not JSON": (200, b"allow", JSON),
    "a list": (200, b'[{"allow": true}]', JSON),
    "true": (200, b"true", JSON),
    "text": (200, b'{"allow": "true"}', JSON),
    "number": (200, b'{"allow": 1}', JSON),
    "empty": (200, b"{}", JSON),
    "twice": (200, b'{"allow": false, "allow": true}', JSON),
    "oversized": (200, b'{"allow": true, "x": "' + b"a" * 70_000 + b'"}', JSON),
    "a field with a line end": (
        200,
        json.dumps({"allow": True, "headers": {"x-level": "1\r\nx-admin: 1"}}).encode(),
        JSON,
    ),
    "a field that is no text": (200, b'{"allow": true, "headers": {"x-level": 1}}', JSON),
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
    check.answers(*answer)
    refused = gate.get("/")
    assert (refused.status, refused.reason) == (503, "external_unavailable")
    assert service.saw_nothing()


def test_it_is_down(shop):
    gate, service, check = shop
    check.close()
    assert gate.get("/").reason == "external_unavailable"
    assert service.saw_nothing()


def test_it_is_slow(shop):
    gate, service, check = shop
    over = threading.Event()
    check.behaviour = lambda stage: over.wait(30)
    refused = gate.get("/")
    over.set()
    assert refused.reason == "external_unavailable"
    assert service.saw_nothing()


def test_it_works_again(shop):
    gate, service, check = shop
    check.answers(500, b"", [])
    assert gate.get("/").status == 503
    check.answers(200, b'{"allow": true}', JSON)
    assert gate.get("/").status == 200
    assert len(service.requests) == 1
