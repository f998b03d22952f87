"""external_authorization: a service decides last; what it is told, what it may say, and that doubt denies."""

from __future__ import annotations

import json
import time

import pytest

from tests.support import configs
from tests.support.waiting import eventually

ALLOW = [("Content-Type", "application/json")]


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, check, identity = origin(), origin(), issuer()

    def start(**changes):
        config = configs.protected(service, identity, tmp_path)
        asked = {
            "url": f"{check.url}/check",
            "plaintext": "test",
            "timeout": "2s",
            "headers": ["x-a"],
            "to_service": ["x-level"],
        }
        config["routes"]["closed"] = configs.route(
            "/a",
            "GET",
            authenticate="id",
            authorize={"scopes": "read"},
            external_authorization={**asked, **changes},
        )
        gate = gateway(config)

        def ask(headers=(), **claims):
            return gate.get(
                "/a?q=1", [*dict(identity.bearer(**{"scope": "read", **claims})).items(), *headers]
            )

        return gate, ask

    start.service, start.check = service, check
    return start


def says(check, document, status=200, headers=None):
    check.answers(status, json.dumps(document).encode(), headers or ALLOW)


def test_it_is_asked_and_obeyed(shop):
    gate, ask = shop()
    says(shop.check, {"allow": False})
    assert (ask().status, ask().reason) == (403, "external_denied")
    assert shop.service.saw_nothing()
    says(shop.check, {"allow": True})
    assert ask().status == 200
    assert [line.get("rule") for line in gate.wait_log(3)] == ["route closed", "route closed", None]


def test_what_it_is_told(shop):
    _, ask = shop()
    says(shop.check, {"allow": True})
    ask([("X-A", "1"), ("X-B", "2"), ("Cookie", "c=1")])
    seen = shop.check.only
    assert (seen.method, seen.target) == ("POST", "/check")
    asked = json.loads(seen.body)
    assert asked["request"]["headers"] == {"x-a": "1"}
    assert (asked["request"]["method"], asked["request"]["path"], asked["request"]["query"]) == (
        "GET",
        "/a",
        "q=1",
    )
    assert asked["principal"]["subject"] == "alice" and asked["route"] == "closed"
    assert asked["connection"]["address"] == "127.0.0.1"
    assert "Bearer" not in str(seen.headers) + seen.body.decode()


def test_it_is_not_asked_about_what_is_refused_anyway(shop):
    gate, ask = shop()
    says(shop.check, {"allow": True})
    assert gate.get("/a").status == 401
    assert ask(scope="other").reason == "scope_missing"
    assert shop.check.saw_nothing() and shop.service.saw_nothing()


def test_fields_for_the_service_are_the_checks_alone(shop):
    _, ask = shop()
    says(shop.check, {"allow": True, "headers": {"X-Level": "3", "x-admin": "1"}})
    assert ask([("X-Level", "9"), ("X_Level", "9"), ("x.level", "9")]).status == 200
    seen = shop.service.only
    assert seen.all("x-level") == ["3"]
    assert not {"x-admin", "x_level", "x.level"} & {name.lower() for name in seen.names}
    says(shop.check, {"allow": True})
    assert ask([("X-Level", "9")]).status == 200
    assert shop.service.last.all("x-level") == []


def test_on_a_public_route(gateway, origin):
    service, check = origin(), origin()
    config = configs.public(service, external_authorization={"url": check.url, "plaintext": "test"})
    gate = gateway(config)
    says(check, {"allow": False})
    assert gate.get("/").reason == "external_denied"
    assert json.loads(check.only.body)["principal"] is None
    assert service.saw_nothing()


def test_the_time_that_a_check_takes_is_not_the_service_s(gateway, origin, issuer, tmp_path):
    service, check, identity = origin(), origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    asked = {"url": f"{check.url}/check", "plaintext": "test", "timeout": "10s"}
    # Shorter than the check takes; there is no connection yet.
    config["routes"]["closed"] = configs.route(
        "/a", "GET", authenticate="id", authorize={"scopes": "read"}, external_authorization=asked,
        timeouts={"connect": "300ms"},
    )  # fmt: skip
    gate = gateway(config)

    def slowly(stage):
        stage.read_body()
        came = time.monotonic()
        eventually(lambda: time.monotonic() - came > 0.6, what="more than the time to connect")
        body = b'{"allow": true}'
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        stage.send(head.encode() + body)

    check.behaviour = slowly
    assert gate.get("/a", identity.bearer(scope="read")).status == 200
