"""A listener with `redirect: https` says where HTTPS is, for hosts that are served there, and does nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import configs
from tests.support.wire import head


def config(origin: Any, listener_tls: dict[str, Any], port: int = 443, **more: Any) -> dict[str, Any]:
    route = configs.route(hosts={"any_of": ["gateway.test", "*.shop.test"]})
    return {
        "listeners": {
            "main": {"address": "127.0.0.1:0", "tls": listener_tls},
            "http": {"address": "127.0.0.1:0", "redirect": {"port": port}, **more},
        },
        "services": {"origin": configs.service(origin)},
        "routes": {"open": route, "any": configs.route("/any")},
    }


def test_every_method_is_sent_to_https_with_path_and_query(gateway, origin, listener_tls):
    service = origin()
    gate = gateway(config(service, listener_tls))
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        reply = gate.request(method, "/a/%C3%A9?b=c&d=?", body=b"x" * 10, listener="http")
        assert (reply.status, reply["location"]) == (308, "https://gateway.test/a/%C3%A9?b=c&d=?")
        assert reply["content-length"] == "0" and "x-request-id" in reply
    # An empty query stays one.
    assert gate.get("/a?", listener="http")["location"] == "https://gateway.test/a?"
    assert len(service.requests) == 0
    line = gate.log_line(method="HEAD")
    assert (line["status"], line["listener"], line.get("route")) == (308, "http", None)


@pytest.mark.parametrize(
    ("host", "location"),
    [
        ("GATEWAY.test:80", "https://gateway.test:8443/x"),
        ("gateway.test.:8080", "https://gateway.test:8443/x"),
        ("a.shop.test", "https://a.shop.test:8443/x"),
        ("evil.example", None),
        ("shop.test", None),
        ("gateway.test.evil.example", None),
        ("127.0.0.1", None),
    ],
)
def test_only_hosts_that_a_route_names_are_redirected_to(gateway, origin, listener_tls, host, location):
    """`hosts: any` names none: the Host field would decide where others are sent from a cache."""
    gate = gateway(config(origin(), listener_tls, 8443))
    reply = gate.get("/x", listener="http", host=host)
    if location is None:
        assert (reply.status, reply.reason) == (404, "route_not_found")
        assert "location" not in reply
        # As an unknown path of a known host at HTTPS: nothing tells them apart.
    else:
        assert (reply.status, reply["location"]) == (308, location)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET", "/a/../b"), 400),
        (head("GET", "/a%2fb"), 400),
        (head("GET", "//evil.example/"), 400),
        (head("GET", "/a;b"), 400),
        (head("GET", "http://gateway.test/"), 400),
        (head("CONNECT", "evil.example:443"), 501),
        (head("GET", "/", host=None), 400),
        (head("GET", "/", [("Host", "gateway.test"), ("Host", "evil.example")]), 400),
        (head("GET", "/", [("Host", "gateway.test/@evil.example")]), 400),
        (head("GET", "/", [("Content-Length", "1"), ("Transfer-Encoding", "chunked")]), 400),
        (b"GET / HTTP/1.1\nHost: gateway.test\n\n", 400),
    ],
)
def test_framing_and_paths_are_as_strict_as_anywhere(gateway, origin, listener_tls, data, status):
    gate = gateway(config(origin(), listener_tls))
    with gate.connect("http") as wire:
        reply = wire.send(data).reply()
        assert reply.status == status, reply.reason
        assert "location" not in reply


def test_limits_apply_and_a_reload_turns_it_off(gateway, origin, listener_tls):
    service = origin()
    limited = {"address_limit": {"few": {"rate": "1/h", "burst": 2}}, "limits": {"header_bytes": "8KiB"}}
    gate = gateway(config(service, listener_tls, **limited))
    assert [gate.get("/", listener="http").status for _ in range(3)] == [308, 308, 429]
    assert gate.get("/", [("X-Long", "x" * 9000)], listener="http").status == 431
    changed = config(service, listener_tls)
    changed["listeners"]["http"] = {"address": "127.0.0.1:0", "plaintext": "test"}
    changed["routes"] = {"open": configs.route(listeners={"any_of": ["main", "http"]})}
    with gate.connect("http") as wire:
        gate.reload(config(service, listener_tls))
        assert wire.ask("GET", "/x").status == 308
        gate.reload(changed)
        assert wire.ask("GET", "/x").status == 200
    assert len(service.requests) == 1


def test_security_headers_come_along(gateway, origin, listener_tls):
    more = config(origin(), listener_tls)
    more["defaults"] = {"security_headers": {"content_type_options": "nosniff"}}
    assert gateway(more).get("/", listener="http")["x-content-type-options"] == "nosniff"
