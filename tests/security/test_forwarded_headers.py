"""Client `X-Forwarded-*`, `X-Original-URL` and the like change neither policy nor what services believe
(CVE-2026-40575, CVE-2026-35051)."""

from __future__ import annotations

import re

import pytest

from tests.support import configs

SPOOFED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/admin",
    "X-Forwarded-Server": "evil",
    "Forwarded": "for=6.6.6.6",
    "X-Real-IP": "6.6.6.6",
}


def test_forwarding_headers_are_rebuilt(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    assert gate.get("/a", SPOOFED, host="shop.test").status == 200
    seen = service.only
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "shop.test"
    text = str(seen.headers)
    assert not any(bad in text for bad in ("6.6.6.6", "evil", "gopher", "/admin"))
    # by itself: a request id or a trace id may have these digits in it
    assert not re.search(r"\b666\b", text)


@pytest.mark.parametrize(
    "name",
    [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-URI",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
    ],
)
def test_url_and_method_overrides_change_no_policy_and_do_not_pass(gateway, origin, issuer, tmp_path, name):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    assert gate.get("/open/a", {name: "/closed" if "URL" in name else "DELETE"}).status == 200
    seen = service.only
    assert (seen.method, seen.target) == ("GET", "/open/a")
    assert name not in seen, f"a service that honours `{name}` would take a request that no policy saw"
    assert gate.get("/closed", {name: "/open/a"}).reason == "credential_missing"
    assert service.saw_no_more_than(1)


def test_a_trusted_proxy_is_believed_one_header_only(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8"], "header": "x-forwarded-for"}
    )
    gate = gateway(config)
    assert gate.get("/a", {"X-Forwarded-For": "9.9.9.9, 8.8.8.8", "Forwarded": "for=7.7.7.7"}).status == 200
    seen = service.only
    assert seen["x-forwarded-for"].split(",")[0].strip() in ("8.8.8.8", "9.9.9.9")
    assert "7.7.7.7" not in str(seen.headers)
    assert gate.log_line(status=200)["client"] == "8.8.8.8", (
        "the last address that the trusted proxy saw is the client"
    )


def test_an_unreadable_header_of_a_trusted_proxy_is_refused(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8"], "header": "x-forwarded-for"}
    )
    gate = gateway(config)
    for value in ("nonsense", "1.2.3.4, nonsense", "1.2.3.4,,", "1.2.3.999", "'", "[::1"):
        answer = gate.get("/a", {"X-Forwarded-For": value})
        assert (answer.status, answer.reason) == (400, "forwarding_header_invalid"), value
    assert service.saw_nothing()


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=8.8.8.8", "8.8.8.8"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("for=9.9.9.9, for=8.8.8.8;proto=https", "8.8.8.8"),
        ("for=8.8.8.8:1234;by=1.1.1.1", None),
    ],
)
def test_forwarded_of_a_trusted_proxy(gateway, origin, value, client):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8"], "header": "forwarded"}
    )
    gate = gateway(config)
    answer = gate.get("/a", {"Forwarded": value, "X-Forwarded-For": "6.6.6.6"})
    if client is None:
        assert answer.status in (200, 400)
    else:
        assert answer.status == 200
        assert gate.log_line(status=200)["client"] == client


def test_a_chain_of_trusted_proxies_ends_at_the_first_stranger(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8", "10.0.0.0/8"], "header": "x-forwarded-for"}
    )
    gate = gateway(config)
    assert gate.get("/a", {"X-Forwarded-For": "6.6.6.6, 8.8.8.8, 10.1.2.3"}).status == 200
    assert gate.log_line(status=200)["client"] == "8.8.8.8"


def test_the_address_limit_counts_the_peer_not_what_it_claims(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service, address_limit={"probing": {"rate": "1/m", "burst": 3}}))
    statuses = [
        gate.get("/a", {"X-Forwarded-For": f"1.2.3.{n}", "X-Real-IP": f"1.2.3.{n}"}).status for n in range(6)
    ]
    assert statuses == [200] * 3 + [429] * 3
    assert service.saw_no_more_than(3)
