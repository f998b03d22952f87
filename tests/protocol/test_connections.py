"""Connections of clients: keep-alive, pipelining, HTTP/1.0, HEAD, bodiless answers, Allow, time and size limits."""

from __future__ import annotations

import time

import pytest

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import Truncated, Wire, head


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway(configs.public(service)), service


def test_many_requests_on_one_connection(shop):
    gate, service = shop
    with gate.connect() as wire:
        for number in range(50):
            answer = wire.ask(
                "POST" if number % 3 else "GET", f"/{number}", body=b"x" * number if number % 3 else b""
            )
            assert (answer.status, answer.body) == (200, b"ok")
    assert [seen.target for seen in service.requests] == [f"/{number}" for number in range(50)]
    assert service.connections == 1, "the connection to the service was not kept"


def test_pipelined_requests_are_answered_in_order(shop):
    gate, service = shop
    service.behaviour = lambda stage: reply(body=stage.request.target.encode())(stage)
    with gate.connect() as wire:
        wire.send(b"".join(head("GET", f"/{number}") for number in range(30)))
        assert [wire.reply().body for _ in range(30)] == [b"/%d" % number for number in range(30)]


def test_pipelined_bodies_are_kept_apart(shop):
    gate, service = shop
    service.behaviour = lambda stage: reply(body=stage.read_body())(stage)
    with gate.connect() as wire:
        wire.send(
            b"".join(
                head("POST", "/a", {"Content-Length": "4"})
                + b"%04d" % number
                + head("POST", "/b", {"Transfer-Encoding": "chunked"})
                + b"2\r\n%02d\r\n1\r\nx\r\n0\r\n\r\n" % number
                for number in range(10)
            )
        )
        bodies = [wire.reply().body for _ in range(20)]
    assert bodies == [part for number in range(10) for part in (b"%04d" % number, b"%02dx" % number)]


def test_a_request_byte_by_byte(shop):
    gate, service = shop
    with gate.connect() as wire:
        for byte in head("POST", "/a", {"Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n0\r\n\r\n":
            wire.send(bytes([byte]))
        assert wire.reply().status == 200
    assert service.only.body == b"hello"


def test_connection_close_is_honoured(shop):
    gate, _ = shop
    with gate.connect() as wire:
        answer = wire.ask(headers={"Connection": "close"}, target="/a")
        assert answer["connection"].lower() == "close"
        assert wire.closed()


def test_http_1_0_closes_and_gets_no_chunks(shop):
    gate, service = shop
    service.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    with gate.connect() as wire:
        wire.send(b"GET /a HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
        answer = wire.reply()
        assert answer.body == b"hello"
        assert "transfer-encoding" not in answer
        assert wire.closed()
    assert service.only.head.startswith(b"GET /a HTTP/1.1\r\n")


def test_head_has_the_length_and_no_body(shop):
    gate, service = shop
    service.answers(body=b"hello")
    with gate.connect() as wire:
        answer = wire.ask("HEAD", "/a")
        assert (answer.status, answer["content-length"], answer.body) == (200, "5", b"")
        assert wire.ask(target="/b").body == b"hello"
    assert [seen.method for seen in service.requests] == ["HEAD", "GET"]


def test_refusals_to_head_have_no_body(shop, gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["path"] = "/only"
    gate = gateway(config)
    with gate.connect() as wire:
        assert wire.ask("HEAD", "/other").status == 404
        assert wire.ask("HEAD", "/only").status == 200
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_answers_keep_the_connection(shop, status):
    gate, service = shop
    service.paths["/none"] = reply(status, b"", [("ETag", '"a"')])
    with gate.connect() as wire:
        answer = wire.ask(target="/none")
        assert (answer.status, answer["etag"]) == (status, '"a"')
        assert wire.ask(target="/next").body == b"ok"


@pytest.mark.parametrize("status", [200, 201, 206, 301, 400, 404, 418, 429, 500, 503, 599])
def test_answers_of_the_service_pass(shop, status):
    gate, service = shop
    service.answers(status, b"body", [("X-Own", "1"), ("Content-Type", "text/plain")])
    answer = gate.get("/a")
    assert (answer.status, answer.body, answer["x-own"], answer["content-type"]) == (
        status,
        b"body",
        "1",
        "text/plain",
    )
    assert gate.log_line(status=status).get("reason") in (None, "")


def test_early_hints_and_continue_of_a_service_do_not_confuse(shop):
    gate, service = shop
    service.sends(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    assert gate.get("/a").body == b"ok"


def test_an_answer_that_ends_with_the_connection(shop):
    gate, service = shop
    service.sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, close=True)
    answer = gate.get("/a")
    assert len(answer.body) == 100_000


def test_405_says_what_is_allowed(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"] = {
        "read": configs.route("/a", "GET"),
        "write": configs.route("/a", {"any_of": ["POST", "PUT"]}),
    }
    gate = gateway(config)
    answer = gate.request("DELETE", "/a")
    assert (answer.status, answer.reason) == (405, "method_not_allowed")
    assert {method.strip() for method in answer["allow"].split(",")} == {"GET", "HEAD", "POST", "PUT"}
    assert service.saw_nothing()


def test_404_is_a_problem_document(shop, gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["path"] = "/only"
    answer = gateway(config).get("/other")
    assert answer.status == 404
    assert answer["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == 404
    assert document["reason"] == "route_not_found"
    assert document["title"]
    assert answer["x-request-id"] in str(document)
    assert service.saw_nothing()


def test_html_where_it_is_preferred(gateway, origin):
    config = configs.public(origin())
    config["routes"]["open"]["match"]["path"] = "/only"
    gate = gateway(config)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert gate.get("/x", {"Accept": browser})["content-type"].startswith("text/html")
    for accept in ("*/*", "application/json", "application/problem+json, text/html;q=0.5", "text/html;q=0"):
        assert gate.get("/x", {"Accept": accept})["content-type"] == "application/problem+json", accept


# limits of a listener


def test_a_long_request_line_is_414(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(limits={"request_line": "1KiB"})
    gate = gateway(config)
    answer = gate.get("/" + "a" * 2000)
    assert (answer.status, answer.reason) == (414, "request_line_too_long")
    assert service.saw_nothing()
    assert gate.get("/" + "a" * 900).status == 200


def test_an_endless_request_line_is_cut(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    with gate.connect() as wire:
        for _ in range(200):
            if not wire.try_send(b"GET /" + b"a" * 65536):
                break
        try:
            assert wire.reply().status == 414
        except (Truncated, ConnectionResetError):
            pass
    assert gate.log_line(status=414)["reason"] == "request_line_too_long"
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "headers",
    [
        [("X", "y" * 9000)],
        [(f"X-{n}", "y" * 100) for n in range(90)],
        [("X" * 9000, "y")],
        [("Cookie", "a=b; " * 2000)],
    ],
    ids=["one large", "many", "long name", "cookie"],
)
def test_large_header_fields_are_431(gateway, origin, headers):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(limits={"header_bytes": "8KiB"})
    gate = gateway(config)
    answer = gate.get("/a", headers)
    assert (answer.status, answer.reason) == (431, "headers_too_large")
    assert service.saw_nothing()


def test_many_header_fields_are_431(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(limits={"headers": 20})
    gate = gateway(config)
    answer = gate.get("/a", [("X", "y")] * 20)
    assert (answer.status, answer.reason) == (431, "headers_too_large")
    assert service.saw_nothing()
    assert gate.get("/a", [("X", "y")] * 19).status == 200


def timed(gateway, origin, **timeouts):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(timeouts=timeouts)
    return gateway(config), service


def test_a_slow_head_is_408(gateway, origin):
    gate, service = timed(gateway, origin, head="300ms")
    with gate.connect() as wire:
        wire.send(b"GET /a HTTP/1.1\r\nHost: gate")
        answer = wire.reply()
        assert (answer.status, answer.reason) == (408, "request_timeout")
        assert wire.closed()
    assert service.saw_nothing()


def test_a_head_that_trickles_is_cut_at_the_same_time(gateway, origin):
    """The limit is for the whole head; a byte now and then does not extend it."""
    gate, service = timed(gateway, origin, head="500ms")
    start = time.monotonic()
    with gate.connect() as wire:
        wire.send(b"GET /a HTTP/1.1\r\n")
        eventually(lambda: not wire.quiet(0.05) or not wire.try_send(b"X: y\r\n"), what="the cut")
        assert time.monotonic() - start < 5
    assert service.saw_nothing()


def test_a_slow_body_is_cut(gateway, origin):
    gate, service = timed(gateway, origin, body="300ms")
    with gate.connect() as wire:
        wire.send(head("POST", "/a", {"Content-Length": "10"}) + b"hello")
        answer = wire.reply()
        assert (answer.status, answer.reason) == (408, "request_timeout")
        assert wire.closed()
    assert not any(seen.complete for seen in service.requests)


def test_an_idle_connection_is_closed_without_a_word(gateway, origin):
    gate, _ = timed(gateway, origin, keep_alive="300ms")
    with gate.connect() as wire:
        assert wire.ask(target="/a").status == 200
        assert wire.closed(5)
    with gate.connect() as wire:
        assert wire.closed(15), "a connection without a request stays"


def test_a_client_that_does_not_read_is_cut(gateway, origin):
    gate, service = timed(gateway, origin, body="500ms")
    service.answers(body=b"x" * 20_000_000)
    with gate.connect(receive_buffer=4096) as wire:
        wire.send(head("GET", "/a"))
        service.wait_for(1)
        eventually(lambda: service.open_connections == 0, within=15, what="the service's connection let go")
    eventually(lambda: gate.log_lines(), what="the log line")


def test_connections_are_limited(gateway, origin, workers):
    service = origin()
    config = configs.public(service)
    config["listeners"] = configs.listener(limits={"connections": 8})
    gate = gateway(config, workers=workers)
    wires = [gate.connect() for _ in range(8)]
    for wire in wires:
        assert wire.ask(target="/a").status == 200
    with gate.connect() as extra:
        extra.try_send(head("GET", "/b"))
        try:
            answer = extra.reply()
            assert (answer.status, answer.reason) == (503, "connection_limit")
        except (Truncated, ConnectionResetError):
            pass
        assert extra.closed()
    assert all(seen.target == "/a" for seen in service.requests)
    wires.pop().close()

    def again():
        try:
            return gate.get("/c").status == 200
        except (Truncated, OSError):
            return False

    eventually(again, what="a place after one closed")
    for wire in wires:
        wire.close()


def test_clients_that_vanish_leave_nothing_behind(shop):
    gate, service = shop
    for _ in range(50):
        wire = gate.connect()
        wire.send(b"GET /a HTTP/1.1\r\nHost: g")
        wire.reset()
    eventually(lambda: gate.status()["connections"] == 0, what="all connections gone")
    assert gate.get("/a").status == 200
    assert service.saw_no_more_than(1)


def test_tls(gateway, origin, listener_tls, client_tls):
    service = origin()
    config = configs.public(service)
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    gate = gateway(config)
    with gate.connect(tls=client_tls, server_name="gateway.test") as wire:
        for _ in range(3):
            assert wire.ask(target="/a").status == 200
    assert service.last["x-forwarded-proto"] == "https"
    with Wire(gate.address()) as plain:
        plain.send(head("GET", "/plain"))
        try:
            plain.rest()
        except (Truncated, OSError):
            pass
    assert gate.get("/b", tls=client_tls, server_name="localhost").status == 200
    assert all(seen.target != "/plain" for seen in service.requests)


def test_a_handshake_that_stalls_is_cut(gateway, origin, listener_tls, client_tls):
    config = configs.public(origin())
    config["listeners"] = {
        "main": {"address": "127.0.0.1:0", "tls": listener_tls, "timeouts": {"handshake": "300ms"}}
    }
    gate = gateway(config)
    with gate.connect() as wire:
        wire.send(b"\x16\x03\x01")
        assert wire.closed(10)
    assert gate.get("/a", tls=client_tls, server_name="gateway.test").status == 200


def test_one_empty_line_before_a_request_is_ignored_and_no_more(shop):
    """RFC 9112 section 2.2: one CRLF may stand there; many are a client that has lost its way."""
    gate, service = shop
    assert gate.send(b"\r\n" + head("GET", "/a"))[0][0].status == 200
    assert gate.send(b"\r\n" * 50 + head("GET", "/b"))[0][0].status == 400
    assert gate.send(b"\n" + head("GET", "/c"))[0][0].status == 400
    assert [seen.target for seen in service.requests] == ["/a"]


def test_pipelined_refusals_stay_in_step(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(configs.protected(service, identity, tmp_path))
    good = head("POST", "/closed", {"Content-Length": "5", **identity.bearer()}) + b"hello"
    bad = head("POST", "/closed", {"Content-Length": "5"}) + b"hello"
    with gate.connect() as wire:
        wire.send((bad + good) * 50)
        assert [wire.reply().status for _ in range(100)] == [401, 200] * 50
    assert [seen.body for seen in service.requests] == [b"hello"] * 50
