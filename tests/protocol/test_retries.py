"""Retries: what may be tried again is, at another endpoint; within a budget; never what may have been acted on twice."""

from __future__ import annotations

import shutil
import subprocess
import threading
from typing import Any

import pytest

from tests.support import configs
from tests.support.origin import Behaviour, Origin, Stage, raw, reply
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head


def retrying(*services: Origin, route: dict[str, Any] | None = None, **retry: Any) -> dict[str, Any]:
    config = configs.public(services[0], **(route or {}))
    config["services"]["origin"] = configs.service(*services, retry=retry)
    return config


def once(first: Behaviour, then: Behaviour | None = None) -> Behaviour:
    """Behaves so for the first request, and well after it."""
    lock, turns = threading.Lock(), [first]

    def behave(stage: Stage) -> None:
        with lock:
            turn = turns.pop() if turns else then or reply()
        turn(stage)

    return behave


def closed(stage: Stage) -> None:
    stage.read_body()
    stage.close()


def reset(stage: Stage) -> None:
    stage.read_body()
    stage.reset()


def half(stage: Stage) -> None:
    stage.read_body()
    stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n" + b"x" * 9000)
    stage.close()


FAILURES: dict[str, Behaviour] = {
    "closed": closed,
    "reset": reset,
    "half of a head": raw(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
    "half of a small answer": half,
    "bad gateway": reply(502, b"no"),
    "unavailable": reply(503, b"no"),
    "unavailable, then closed": raw(b"HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nhal", close=True),
    "unavailable, in chunks": raw(
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (kind, method)
        for kind in FAILURES
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
        if (kind, method) != ("half of a small answer", "HEAD")  # which is whole then
    ],
)
def test_idempotent_requests_are_tried_at_another_endpoint(gateway, origin, kind, method):
    one, two = origin(name="one"), origin(name="two")
    one.behaviour = two.behaviour = once(FAILURES[kind])
    gate = gateway(retrying(one, two, retries=1))
    body = b"" if method in ("GET", "HEAD") else b"hello"
    with gate.connect() as wire:
        answer = wire.ask(method, "/a?b=c", {"X-Sent": "yes"}, body)
        assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"ok")
        assert wire.ask(target="/next").status == 200
    seen = [*one.requests, *two.requests]
    assert sorted(each.target for each in seen) == ["/a?b=c", "/a?b=c", "/next"]
    first, second = (one.requests[0], two.requests[0])
    assert first.body == second.body == body or {first.target, second.target} == {"/a?b=c", "/next"}
    assert (first["x-sent"], second["x-sent"]) == ("yes", "yes")
    line = gate.log_line(path="/a", matching=lambda line: line["status"] == 200)
    assert line["attempts"] == 2, line
    assert gate.metric("yett_service_retries_total", service="origin") == 1


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_have_been_acted_on_is_not_tried_again(gateway, origin, kind, method):
    one, two = origin(name="one"), origin(name="two")
    one.behaviour = two.behaviour = FAILURES[kind]
    gate = gateway(retrying(one, two, retries=3))
    with gate.connect() as wire:
        try:
            assert wire.ask(method, "/a", body=b"x").status in (502, 503)
        except Truncated:
            assert kind in ("half of a small answer", "unavailable, then closed")
    assert len(one.requests) + len(two.requests) == 1


def test_only_what_is_listed_is_tried_again(gateway, origin):
    cases = {"reset": "closed", 502: "bad gateway", 503: "unavailable"}
    for listed, fitting in cases.items():
        for kind in cases.values():
            service = origin()
            service.behaviour = once(FAILURES[kind])
            gate = gateway(retrying(service, retries=1, on=[listed]))
            assert (gate.get("/a").status == 200) == (fitting == kind), (listed, kind)


def test_one_endpoint_is_tried_again_itself(gateway, origin):
    service = origin()
    service.behaviour = once(closed)
    gate = gateway(retrying(service, retries=1))
    assert gate.get("/a").status == 200
    assert len(service.requests) == 2


def test_retries_exclude_the_first_try_and_the_last_failure_stands(gateway, origin):
    service = origin()
    service.answers(503, b"the service's own", [("X-Own", "yes")])
    gate = gateway(retrying(service, retries=2))
    answer = gate.get("/a")
    assert (answer.status, answer.body, answer["x-own"]) == (503, b"the service's own", "yes")
    assert len(service.requests) == 3
    service.behaviour = closed
    assert gate.get("/b").reason == "service_reset"
    assert len(service.requests) == 6 + (service.requests[3].connection == service.requests[2].connection)


def test_nothing_is_repeated_after_a_byte_went_down(gateway, origin):
    """An answer larger than what is held is passed on as it comes."""
    service = origin()
    service.behaviour = lambda stage: (
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n" + b"x" * 10),
        stage.close(),
    )
    gate = gateway(retrying(service, retries=3))
    with gate.connect() as wire, pytest.raises(Truncated):
        wire.ask(target="/a")
    assert service.saw_no_more_than(1)


def test_answers_of_every_small_size_come_whole(gateway, origin):
    service = origin()
    sizes = [0, 1, 4095, 4096, 4097, 16_000, 16_383, 16_384, 16_385, 40_000]
    for size in sizes:
        service.paths[f"/{size}"] = reply(200, bytes(number % 251 for number in range(size)))
    gate = gateway(retrying(service, retries=1))
    with gate.connect() as wire:
        for size in sizes * 2:
            assert wire.ask(target=f"/{size}").body == bytes(number % 251 for number in range(size))
    assert service.connections == 1


# bodies


def put(length: int, **changes: Any) -> tuple[bytes, bytes]:
    body = bytes(number % 251 for number in range(length))
    return head("PUT", "/a", {"Content-Length": str(length), **changes}), body


@pytest.mark.parametrize("length", [1, 4096, 16_384, 16_385, 65_536])
def test_a_held_body_is_sent_again_whole(gateway, origin, length):
    one, two = origin(name="one"), origin(name="two")
    one.behaviour = two.behaviour = once(closed)
    gate = gateway(retrying(one, two, retries=1))
    start, body = put(length)
    with gate.connect() as wire:
        wire.send(start)
        for at in range(0, length, 10_000):
            wire.send(body[at : at + 10_000])
        assert wire.reply().status == 200
        assert wire.ask(target="/next").status == 200
    assert one.requests[0].body == two.requests[0].body == body
    assert gate.log_line(path="/a", matching=lambda line: line["status"] == 200)["bytes_in"] == length


def test_other_bodies_are_streamed_and_not_tried_again(gateway, origin):
    service = origin()
    gate = gateway(retrying(service, retries=1, body="1KiB"))
    for start, body in [
        put(1025),
        (head("PUT", "/a", {"Transfer-Encoding": "chunked"}), b"2\r\nhi\r\n0\r\n\r\n"),
    ]:
        service.behaviour = once(closed)
        service.forget()
        with gate.connect() as wire:
            assert wire.send(start + body).reply().reason == "service_reset"
        assert service.saw_no_more_than(1)


def test_a_body_that_is_held_is_asked_for_once(gateway, origin):
    service = origin()
    service.behaviour = once(closed)
    gate = gateway(retrying(service, retries=1))
    start, body = put(5, Expect="100-continue")
    with gate.connect() as wire:
        wire.send(start)
        assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        answer = wire.send(body).reply()
    assert (answer.status, answer.interim) == (200, [])
    assert [seen.body for seen in service.requests] == [body, body]


def test_a_body_that_never_comes_reaches_nobody(gateway, origin):
    service = origin()
    config = retrying(service, retries=1)
    config["listeners"] = configs.listener(timeouts={"body": "200ms"})
    gate = gateway(config)
    start, body = put(5)
    with gate.connect() as wire:
        assert wire.send(start + body[:2]).reply().reason == "request_timeout"
    with gate.connect() as wire:
        wire.send(start + body[:2])
    gate.wait_log(2)
    assert service.saw_nothing()


def test_what_follows_a_held_body_is_the_next_request(gateway, origin):
    """However the first one ends, its body is never read as a request."""
    service = origin()
    config = retrying(service, retries=1)
    config["services"]["gone"] = {
        "endpoints": f"http://127.0.0.1:{free_port()}",
        "plaintext": "test",
        "retry": {},
    }
    config["routes"]["gone"] = configs.route("/gone", service="gone")
    gate = gateway(config)
    inner = head("GET", "/smuggled")
    with gate.connect() as wire:
        for _ in range(3):
            wire.send(
                head("PUT", "/gone", {"Content-Length": str(len(inner))}) + inner + head("GET", "/next")
            )
            assert wire.reply().reason == "service_unreachable"
            assert wire.reply().status == 200
    assert {seen.target for seen in service.requests} == {"/next"}


# connecting


def test_connect_failures_are_tried_everywhere_and_then_again(gateway, origin):
    """Nothing was sent, so any method may be."""
    service = origin()
    ports = [free_port(), free_port()]
    config = retrying(service, retries=2, on="connect")
    config["services"]["origin"]["endpoints"] = [f"http://127.0.0.1:{port}" for port in ports]
    gate = gateway(config)
    answer = gate.post("/a", b"hello")
    assert (answer.status, answer.reason) == (502, "service_unreachable")
    assert gate.log_line(reason="service_unreachable")["attempts"] == 6
    config["services"]["origin"]["endpoints"].append(service.url)
    gate.reload(config)
    before = gate.metric("yett_service_retries_total")
    for _ in range(6):
        assert gate.post("/b", b"hello").status == 200
    assert gate.metric("yett_service_retries_total") == before, "another endpoint costs no retry"
    assert [seen.body for seen in service.requests] == [b"hello"] * 6


def test_a_connection_that_was_closed_while_it_was_kept_costs_nothing(gateway, origin):
    service = origin()
    gate = gateway(retrying(service, retries=1))
    for number in range(10):
        assert gate.request("PUT", f"/{number}", body=b"hello").status == 200
        service.drop_connections()
        eventually(lambda: service.open_connections == 0)
    assert gate.metric("yett_service_retries_total") == 0


# bounds


def test_the_budget_is_for_the_process(gateway, origin, workers):
    service = origin()
    service.answers(503)
    gate = gateway(retrying(service, retries=1, budget="1%"), workers=workers)
    for _ in range(60):
        assert gate.get("/a").status == 503
    retries = gate.metric("yett_service_retries_total")
    refused = gate.metric("yett_service_retries_refused_total")
    assert retries + refused == 60
    assert len(service.requests) == 60 + retries
    assert retries >= 30
    assert refused > 0, "sixty failures in ten seconds, and three a second are free"


def test_pauses_end_with_the_total_limit(gateway, origin):
    service = origin()
    service.behaviour = closed
    gate = gateway(retrying(service, retries=10, route={"timeouts": {"total": "150ms"}}))
    answer = gate.get("/a")
    assert answer.reason in ("service_reset", "total_timeout")
    assert len(service.requests) < 11


def test_a_request_is_limited_once_however_often_it_is_tried(gateway, origin):
    service = origin()
    service.behaviour = once(closed, once(closed))
    config = retrying(service, retries=2, route={"address_limit": {"few": {"rate": "1/h", "burst": 2}}})
    gate = gateway(config)
    assert gate.get("/a").status == 200
    assert len(service.requests) == 3
    assert gate.get("/b").status == 200
    assert gate.get("/c").status == 429


def test_open_circuits_are_not_tried_again(gateway, origin):
    one, two = origin(name="one"), origin(name="two")
    one.answers(503)
    config = retrying(one, two, retries=1)
    config["services"]["origin"]["circuit_breaker"] = {"failures": 3, "open": "10m"}
    gate = gateway(config)
    for _ in range(30):
        assert gate.get("/a").status == 200
    assert len(one.requests) == 3
    two.answers(503)
    eventually(lambda: gate.get("/a").reason == "circuit_open")
    assert (len(one.requests), len(two.requests)) == (3, 33)


def test_over_http2_as_well(gateway, origin):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl")
    service = origin()
    service.behaviour = once(closed)
    config = retrying(service, retries=1)
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)
    done = subprocess.run(
        [curl, "-s", "--http2-prior-knowledge", "-X", "PUT", "--data-binary", "hello", "-w", "%{http_code}",
         f"http://127.0.0.1:{gate.port}/a"],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout == b"ok200"
    assert [seen.body for seen in service.requests] == [b"hello"] * 2
