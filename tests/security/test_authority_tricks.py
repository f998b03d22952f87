"""`//host/admin`; targets and hosts that disagree (CVE-2026-26205, CVE-2026-33186)."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.wire import head


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"] = {
        "public": configs.route("/{rest...}", hosts="public.test"),
        "inner": configs.route("/inner/{rest...}", hosts="inner.test"),
    }
    return gateway(config), service


BAD = [
    "",
    " ",
    "a b",
    "public.test/inner",
    "public.test#x",
    "public.test?x",
    "user@public.test",
    "user:pw@public.test",
    "public.test:99999",
    "public.test:-1",
    "public.test:8080x",
    "public.test:80:80",
    "public.test,inner.test",
    "public.test;inner.test",
    "[::1",
    "::1",
    "public..test",
    ".public.test",
    "public.test..",
    "public_test\x80",
    "public.test\\x",
    "%70ublic.test",
    "http://public.test",
    "[public.test]",
    "[::1]x",
    "a" * 300 + ".test",
    "public.test:",
    "*",
    "*.test",
    "'public.test'",
    "public.test|x",
]


@pytest.mark.parametrize("host", BAD)
def test_odd_hosts_are_refused(shop, host):
    gate, service = shop
    answer = gate.get("/a", host=host)
    assert answer.status in (400, 404), host
    assert answer.reason in ("host_invalid", "malformed_request", "header_invalid", "route_not_found")
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "target",
    [
        "//inner.test/inner/a",
        "///inner/a",
        "http://inner.test/inner/a",
        "inner.test/inner/a",
        "/\\inner.test/a",
    ],
)
def test_an_authority_in_the_target_is_no_way_around(shop, target):
    gate, service = shop
    answer = gate.get(target, host="public.test")
    assert answer.status == 400, target
    assert service.saw_nothing()


def test_the_host_header_alone_decides(shop):
    gate, service = shop
    for extra in (
        {"X-Forwarded-Host": "inner.test"},
        {"X-Host": "inner.test"},
        {"Forwarded": "host=inner.test"},
        {"X-Original-Host": "inner.test"},
    ):
        assert gate.get("/inner/a", extra, host="public.test").status == 200
        assert service.last["host"].startswith("public.test") or service.last["host"] == service.endpoint
        assert "inner.test" not in [
            value for name, value in service.last.headers if name.lower().startswith("x-forwarded")
        ]


def test_unknown_hosts_find_nothing(shop):
    gate, service = shop
    for host in (
        "other.test",
        "127.0.0.1",
        "localhost",
        "public.test.evil",
        "xpublic.test",
        "inner.test.public.test",
    ):
        assert gate.get("/a", host=host).reason == "route_not_found"
    assert service.saw_nothing()


def test_a_host_for_each_request_of_a_connection(shop):
    gate, service = shop
    with gate.connect() as wire:
        wire.send(
            head("GET", "/inner/1", host="inner.test")
            + head("GET", "/inner/2", host="public.test")
            + head("GET", "/a", host="inner.test")
        )
        assert [wire.reply().status for _ in range(3)] == [200, 200, 404]
    hosts = [(seen.target, seen["x-forwarded-host"]) for seen in service.requests]
    assert hosts == [("/inner/1", "inner.test"), ("/inner/2", "public.test")]
