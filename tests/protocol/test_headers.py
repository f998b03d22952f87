"""Header hygiene in both directions, request ids, trace context."""

from __future__ import annotations

import re

import pytest

from tests.support import configs

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway(configs.public(service)), service


def test_end_to_end_fields_pass_as_they_are(shop):
    gate, service = shop
    fields = {
        "Accept": "a/b",
        "User-Agent": "x (y)",
        "X-Custom": "a  b\tc",
        "Cookie": "a=1; b=2",
        "If-None-Match": 'W/"x"',
        "X-Empty": "",
        "Accept-Encoding": "gzip",
        "X-Latin": "caf\xe9",
    }
    assert gate.get("/a", fields).status == 200
    for name, value in fields.items():
        assert service.only[name] == value


def test_the_service_says_less_of_itself(shop):
    gate, service = shop
    service.answers(
        headers=[
            ("Server", "Apache/2.2"),
            ("X-Powered-By", "PHP/4"),
            ("X-Own", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "Basic"),
            ("Via", "1.1 x"),
            ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ]
    )
    answer = gate.get("/a")
    assert answer["x-own"] == "1"
    text = answer.head.lower()
    assert (
        b"apache" not in text
        and b"php" not in text
        and b"keep-alive" not in text
        and b"proxy-authenticate" not in text
    )
    assert len(answer.all("date")) == 1


def test_several_cookies_stay_several(shop):
    gate, service = shop
    service.answers(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")])
    assert gate.get("/a").all("set-cookie") == ["a=1", "b=2; Path=/"]


def test_a_request_id_is_made_and_is_the_same_everywhere(shop):
    gate, service = shop
    answer = gate.get("/a")
    identifier = answer["x-request-id"]
    assert UUID7.fullmatch(identifier)
    assert service.only["x-request-id"] == identifier
    assert gate.log_line(status=200)["request_id"] == identifier
    assert gate.get("/b")["x-request-id"] != identifier


def test_a_client_does_not_choose_the_request_id(shop):
    """Only a trusted proxy's id is kept: two callers must not be able to share one."""
    gate, service = shop
    answer = gate.get("/a", {"X-Request-Id": "chosen-by-client"})
    assert UUID7.fullmatch(answer["x-request-id"])
    assert service.only["x-request-id"] == answer["x-request-id"]


def test_a_trusted_proxy_chooses_the_request_id(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.0/8"], "header": "x-forwarded-for"}
    )
    gate = gateway(config)
    mine = "0190b3a0-aaaa-7bbb-8ccc-0123456789ab"
    answer = gate.get("/a", {"X-Request-Id": mine, "X-Forwarded-For": "8.8.8.8"})
    assert answer["x-request-id"] == service.only["x-request-id"] == mine


def test_a_service_does_not_choose_the_request_id(shop):
    gate, service = shop
    service.answers(headers=[("X-Request-Id", "evil")])
    assert UUID7.fullmatch(gate.get("/a")["x-request-id"])


def test_trace_context_goes_on(shop):
    gate, service = shop
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    assert gate.get("/a", {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "a=1,b=2"}).status == 200
    found = TRACE.fullmatch(service.only["traceparent"])
    assert found and found[1] == trace
    assert found[2] != parent
    assert service.only["tracestate"] == "a=1,b=2"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ],
)
def test_broken_trace_context_is_replaced(shop, value):
    gate, service = shop
    assert gate.get("/a", {"traceparent": value, "tracestate": "evil=1"}).status == 200
    assert TRACE.fullmatch(service.only["traceparent"])
    assert service.only["traceparent"] != value
    assert "tracestate" not in service.only


def test_two_traceparents_are_none(shop):
    gate, service = shop
    value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert gate.get("/a", [("traceparent", value), ("traceparent", value)]).status == 200
    assert len(service.only.all("traceparent")) == 1
    assert "4bf92f3577b34da6a3ce929d0e0e4736" not in service.only["traceparent"]
