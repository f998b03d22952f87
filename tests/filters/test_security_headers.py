"""security_headers: what browsers are told; a service's stricter word stays, a weaker one goes."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import configs
from yett.errors import ConfigurationError

STRICT = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "deny",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}
POLICY = "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'"


def with_tls(config, listener_tls, **changes):
    return {**config, "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls, **changes}}}


def cookies(answer):
    return answer.all("set-cookie")


def test_strict_over_tls(gateway, origin, listener_tls, client_tls):
    config = with_tls(configs.public(origin(), security_headers="strict"), listener_tls)
    answer = gateway(config).get("/a", tls=client_tls, server_name="gateway.test")
    assert {name: answer[name].lower() for name in STRICT} == STRICT
    assert answer["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert answer["content-security-policy"] == POLICY
    assert "camera=()" in answer["permissions-policy"]


def test_without_tls_no_hsts_and_none_of_the_service(gateway, origin):
    service = origin()
    service.answers(
        headers=[("Strict-Transport-Security", "max-age=99999999"), ("Set-Cookie", "a=1; SameSite=None")]
    )
    answer = gateway(configs.public(service, security_headers={})).get("/a")
    assert "strict-transport-security" not in answer
    assert cookies(answer) == ["a=1; SameSite=None; HttpOnly"]
    assert answer["x-frame-options"] == "SAMEORIGIN"
    assert answer["content-security-policy"] == "frame-ancestors 'self'"


def test_behind_a_trusted_proxy_that_says_https(gateway, origin):
    config = configs.public(origin(), security_headers={})
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": "127.0.0.1/32", "header": "forwarded"}
    )
    gate = gateway(config)
    secure = gate.get("/a", [("Forwarded", "for=192.0.2.1;proto=https")])
    assert secure["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in gate.get("/a", [("Forwarded", "for=192.0.2.1;proto=http")])
    assert "strict-transport-security" not in gate.get("/a", [("X-Forwarded-Proto", "https")])


def test_the_stricter_one_stays_and_the_weaker_one_goes(gateway, origin, listener_tls, client_tls):
    service = origin()
    service.answers(
        headers=[
            ("Strict-Transport-Security", "max-age=99999999; includeSubDomains"),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "none"),
            ("Referrer-Policy", "unsafe-url"),
            ("Content-Security-Policy", "script-src 'none'"),
            ("Permissions-Policy", "camera=*, usb=(self)"),
        ]
    )
    headers = {"permissions_policy": {"camera": "none"}, "frame_options": "sameorigin"}
    config = with_tls(configs.public(service, security_headers=headers), listener_tls)
    answer = gateway(config).get("/a", tls=client_tls, server_name="gateway.test")
    assert answer["strict-transport-security"] == "max-age=99999999; includeSubDomains"
    assert answer["x-frame-options"] == "DENY"
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.all("content-security-policy") == ["script-src 'none'", "frame-ancestors 'self'"]
    assert answer["permissions-policy"] == "camera=(), usb=(self)"


def test_cookies(gateway, origin, listener_tls, client_tls):
    service = origin()
    service.answers(
        headers=[
            ("Set-Cookie", "plain=1; Path=/"),
            ("Set-Cookie", "full=1; Secure; HttpOnly; SameSite=Strict"),
            ("Set-Cookie", "cross=1; SameSite=None"),
            ("Set-Cookie", "XSRF-TOKEN=1"),
            ("Set-Cookie", "__Host-id=1; Path=/; HttpOnly; SameSite=Lax"),
        ]
    )
    headers = {"cookies": {"readable": "XSRF-TOKEN"}}
    config = with_tls(configs.public(service, security_headers=headers), listener_tls)
    answer = gateway(config).get("/a", tls=client_tls, server_name="gateway.test")
    assert cookies(answer) == [
        "plain=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        "full=1; Secure; HttpOnly; SameSite=Strict",
        "cross=1; SameSite=None; Secure; HttpOnly",
        "XSRF-TOKEN=1; Secure; SameSite=Lax",
        "__Host-id=1; Path=/; HttpOnly; SameSite=Lax; Secure",
    ]


def test_answers_of_the_gateway_carry_them_too(gateway, origin, issuer, listener_tls, client_tls, tmp_path):
    service = origin()
    config = with_tls(configs.protected(service, issuer(), tmp_path, security_headers="strict"), listener_tls)
    match = {"hosts": "any", "methods": "GET"}
    for name, action in (
        ("redirect", {"location": "/a"}),
        ("respond", {"status": 200, "content_type": "text/plain", "body": "x"}),
    ):
        config["routes"][name] = {
            "match": {**match, "path": f"/{name}"},
            "access": "public",
            name: action,
            "security_headers": "strict",
        }
    config["defaults"] = {"security_headers": {"frame_options": "deny"}}
    gate = gateway(config)
    for target, status in (("/closed", 401), ("/redirect", 308), ("/respond", 200), ("/a/../b", 400)):
        answer = gate.get(target, tls=client_tls, server_name="gateway.test")
        assert answer.status == status
        assert answer["x-frame-options"] == "DENY", target
        assert answer["strict-transport-security"].startswith("max-age="), target
    assert not service.requests
    page = gate.get("/closed", [("Accept", "text/html")], tls=client_tls, server_name="gateway.test")
    assert page.all("content-security-policy") == ["default-src 'none'", POLICY]
    assert page.all("x-content-type-options") == ["nosniff"]


def test_edits_of_the_route_do_not_weaken(gateway, origin):
    edits = {"set": {"x-frame-options": "ALLOWALL"}, "remove": "referrer-policy"}
    answer = gateway(configs.public(origin(), response_headers=edits, security_headers={})).get("/a")
    assert answer["x-frame-options"] == "SAMEORIGIN"
    assert answer["referrer-policy"] == "strict-origin-when-cross-origin"


def test_group_route_and_defaults_tighten(gateway, origin):
    config = configs.public(origin(), security_headers={"preset": "none", "referrer_policy": "no-referrer"})
    config["defaults"] = {"security_headers": {}}
    answer = gateway(config).get("/a")
    assert answer["referrer-policy"] == "no-referrer"
    assert answer["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "weaker",
    [
        {"frame_options": "off"},
        {"frame_options": "sameorigin"},
        {"referrer_policy": "origin"},
        {"hsts": "off"},
        {"hsts": {"max_age": "1d"}},
        {"content_security_policy": "off"},
        {"permissions_policy": {"camera": "self"}},
        {"cookies": "off"},
        {"cookies": {"secure": False}},
        {"cookies": {"readable": "a"}},
        {"cross_origin_opener_policy": "unsafe-none"},
    ],
    ids=str,
)
def test_a_route_never_loosens(gateway, origin, weaker):
    config = configs.public(origin(), security_headers={"preset": "none", **weaker})
    config["defaults"] = {"security_headers": "strict"}
    with pytest.raises(ConfigurationError) as caught:
        gateway(config)
    assert {error.code for error in caught.value.errors} == {"security_headers_loosened"}


def test_over_http_2_too(gateway, origin, listener_tls):
    service = origin()
    service.answers(headers=[("Set-Cookie", "a=1"), ("X-Frame-Options", "ALLOWALL")])
    config = with_tls(configs.public(service, security_headers="strict"), listener_tls)
    url = f"https://localhost:{gateway(config).port}/a"
    done = subprocess.run(["curl", "-sik", "--http2", url], capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("HTTP/2 200"), done.stdout
    head = done.stdout.lower().splitlines()
    assert "set-cookie: a=1; secure; httponly; samesite=strict" in head
    assert [line for line in head if line.startswith("x-frame-options")] == ["x-frame-options: deny"]
    assert "strict-transport-security: max-age=63072000; includesubdomains" in head
