"""redirect: an answer in place of a service."""

from __future__ import annotations

import pytest

from tests.support import configs


def redirecting(service, issuer=None, path="/old/{rest...}", **redirect):
    config = configs.public(service)
    config["routes"] = {
        "away": {
            "match": {"hosts": "any", "path": path, "methods": {"any_of": ["GET", "POST"]}},
            "access": "public",
            "redirect": redirect,
        }
    }
    return config


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_fixed_location(gateway, origin, status):
    service = origin()
    gate = gateway(redirecting(service, status=status, location="https://shop.test/new"))
    answer = gate.get("/old/a?x=y")
    assert (answer.status, answer["location"]) == (status, "https://shop.test/new")
    assert service.saw_nothing()
    assert gate.log_line(status=status)["route"] == "away"


def test_from_http_to_https(gateway, origin):
    gate = gateway(redirecting(origin(), status=308, scheme="https"))
    answer = gate.get("/old/a%20b?x=y", host="shop.test")
    assert answer["location"] == "https://shop.test/old/a%20b?x=y"


def test_the_host_of_the_client_does_not_lead_astray(gateway, origin):
    gate = gateway(redirecting(origin(), status=302, scheme="https"))
    for host in ("evil.test@shop.test", "shop.test/evil", "shop.test\\evil"):
        assert gate.get("/old/a", host=host).status == 400


def test_a_path_from_variables(gateway, origin):
    config = redirecting(origin(), path="/old/{id}", status=302, scheme="https", host="new.test")
    config["routes"]["away"]["redirect"]["path"] = "/new/{id}/x"
    gate = gateway(config)
    answer = gate.get("/old/7?q=1")
    assert answer["location"].startswith("https://new.test/new/7/x")


def test_the_body_of_a_redirected_request_is_not_the_next_request(gateway, origin):
    service = origin()
    gate = gateway(redirecting(service, status=307, location="https://shop.test/"))
    with gate.connect() as wire:
        hidden = b"GET /old/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
        assert wire.ask("POST", "/old/a", body=hidden).status == 307
        if not wire.closed(0.1):
            assert wire.ask(target="/old/b").status == 307
    assert service.saw_nothing()


def test_access_is_decided_first(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["routes"]["closed"].pop("service")
    config["routes"]["closed"]["redirect"] = {"status": 302, "location": "https://shop.test/secret"}
    gate = gateway(config)
    answer = gate.get("/a")
    assert answer.status == 401 and "location" not in answer
    assert gate.get("/a", identity.bearer()).status == 302
