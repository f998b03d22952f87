"""Circuit breakers: an endpoint that fails is left alone, others go on; probes find out when it is back."""

from __future__ import annotations

import json
import select
import threading
from typing import Any

import pytest

from tests.support import configs
from tests.support.origin import Origin, reply
from tests.support.process import free_port
from tests.support.waiting import eventually
from tests.support.wire import head

LONG = "10m"


def guarded(*services: Origin, route: dict[str, Any] | None = None, **breaker: Any) -> dict[str, Any]:
    config = configs.public(services[0], **(route or {}))
    config["services"]["origin"] = configs.service(*services, circuit_breaker=breaker)
    return config


def state(gate: Any, service: Origin) -> float:
    return gate.metric("yett_circuit_state", service="origin", endpoint=service.endpoint)


def events(gate: Any) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in gate.events()]
    return [(event["event"], event.get("endpoint", "")) for event in found if "circuit" in event["event"]]


def refused(gate: Any) -> int:
    answer = gate.get("/refused")
    assert (answer.status, answer.reason) == (503, "circuit_open")
    return int(answer["retry-after"])


def test_it_opens_after_failures_in_a_row_for_the_whole_process(gateway, origin, workers):
    service = origin()
    service.answers(503)
    gate = gateway(guarded(service, failures=4, open=LONG), workers=workers)
    assert [gate.get(f"/{number}").status for number in range(3)] == [503] * 3
    service.answers(200)
    assert gate.get("/good").status == 200
    service.answers(503)
    assert [gate.get(f"/{number}").body for number in range(4)] == [b"ok"] * 4  # the service's own answers
    for _ in range(10):
        assert 500 < refused(gate) <= 600
    assert service.saw_no_more_than(8)
    assert state(gate, service) == 2
    assert gate.metric("yett_circuit_opened_total") == 1
    assert events(gate) == [("circuit_opened", service.endpoint)]


FAILURES = {
    "bad gateway": reply(502),
    "unavailable": reply(503),
    "gateway timeout": reply(504),
    "reset": lambda stage: (stage.read_body(), stage.reset()),
    "closed": lambda stage: (stage.read_body(), stage.close()),
    "invalid": lambda stage: (stage.read_body(), stage.send(b"HTTP/1.1 two hundred\r\n\r\n")),
    "cut": lambda stage: (
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello"),
        stage.close(),
    ),
    "late": lambda stage: (stage.read_body(), stage.more()),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_what_is_a_failure(gateway, origin, kind):
    service = origin()
    service.behaviour = FAILURES[kind]
    gate = gateway(guarded(service, failures=2, open=LONG, route={"timeouts": {"first_byte": "200ms"}}))
    for _ in range(2):
        with gate.connect() as wire:
            wire.send(head("POST", "/a", {"Content-Length": "2"}) + b"hi")
            try:
                wire.reply()
            except AssertionError:
                assert kind == "cut"
    eventually(lambda: state(gate, service) == 2)
    seen = len(service.requests)
    refused(gate)
    assert service.saw_no_more_than(seen)


def test_an_endpoint_that_cannot_be_reached(gateway, origin):
    port = free_port()
    config = guarded(origin(), failures=2, open=LONG)
    config["services"]["origin"]["endpoints"] = f"http://127.0.0.1:{port}"
    gate = gateway(config)
    assert [gate.get("/a").reason for _ in range(3)] == ["service_unreachable"] * 2 + ["circuit_open"]


def test_what_is_no_failure(gateway, origin):
    """Nor is anything that a client can bring about alone, or any client could cut all others off."""
    service = origin()
    release = threading.Event()
    service.paths["/500"] = reply(500)
    service.paths["/404"] = reply(404)
    service.paths["/wait"] = lambda stage: (stage.read_body(), release.wait(30), reply()(stage))
    service.paths["/drip"] = lambda stage: stage.read_body()
    gate = gateway(
        guarded(
            service, failures=1, open=LONG, route={"timeouts": {"total": "300ms"}, "limits": {"body": "1KiB"}}
        )
    )
    assert gate.get("/500").status == 500
    assert gate.get("/404").status == 404
    with gate.connect() as wire:  # an upload that the client does not end in time
        wire.send(head("POST", "/drip", {"Content-Length": "10"}) + b"slow")
        assert wire.reply().reason == "total_timeout"
    with gate.connect() as wire:  # nor at all
        wire.send(head("POST", "/drip", {"Content-Length": "10"}) + b"left")
        service.wait_for(4)
    with gate.connect() as wire:
        wire.send(head("POST", "/drip", {"Transfer-Encoding": "chunked"}) + b"wrong\r\n")
        assert wire.reply().status == 400
    with gate.connect() as wire:
        wire.send(head("GET", "/wait"))
        service.wait_for(5)
        wire.reset()
    release.set()
    assert gate.get("/fine").status == 200
    assert state(gate, service) == 0


def test_others_go_on_while_one_endpoint_is_left_alone(gateway, origin, workers):
    bad, good = origin(name="bad"), origin(name="good")
    bad.answers(503)
    gate = gateway(guarded(bad, good, failures=3, open=LONG), workers=workers)
    eventually(lambda: gate.get("/a").status == 503 and len(bad.requests) == 3)
    good.forget()
    for _ in range(20):
        assert gate.get("/a").status == 200
    assert (len(bad.requests), len(good.requests)) == (3, 20)
    assert (state(gate, bad), state(gate, good)) == (2, 0)


def test_a_probe_closes_it_or_opens_it_again(gateway, origin, workers):
    service = origin()
    service.answers(503)
    gate = gateway(guarded(service, failures=1, open="200ms"), workers=workers)
    assert gate.get("/a").status == 503
    eventually(lambda: gate.get("/probe").reason is None)
    assert len(service.requests) == 2
    assert gate.metric("yett_circuit_opened_total") == 2
    service.answers(200)
    eventually(lambda: gate.get("/probe").status == 200)
    assert len(service.requests) == 3
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert gate.metric("yett_circuit_closed_total") == 1
    assert events(gate) == [("circuit_opened", service.endpoint), ("circuit_closed", service.endpoint)]


def test_only_so_many_probes_at_once(gateway, origin, workers):
    service = origin()
    release = threading.Event()
    service.answers(503)
    gate = gateway(guarded(service, failures=1, open="100ms", probes=2), workers=workers)
    assert gate.get("/a").status == 503
    service.behaviour = lambda stage: (stage.read_body(), release.wait(30), reply()(stage))
    wires = []
    while len(service.requests) < 3:  # those that come too early are refused
        before = len(service.requests)
        wire = gate.connect(timeout=30).send(head("GET", "/probe"))
        wire.socket.settimeout(0.2)
        try:
            assert wire.reply().reason == "circuit_open"
        except TimeoutError:
            eventually(lambda before=before: len(service.requests) == before + 1)
            wire.socket.settimeout(30)
            wires.append(wire)
    assert state(gate, service) == 1
    for _ in range(5):
        refused(gate)
    assert service.saw_no_more_than(3)
    wires.pop().reset()  # a probe whose client left makes room for another
    release.set()
    assert wires.pop().reply().status == 200
    assert gate.get("/after").status == 200


def test_a_probe_of_a_long_answer_does_not_keep_others_waiting(gateway, origin):
    service = origin()
    release = threading.Event()
    service.answers(503)
    service.paths["/stream"] = lambda stage: (
        stage.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
        release.wait(30),
        stage.send(b"0\r\n\r\n"),
    )
    gate = gateway(guarded(service, failures=1, open="50ms"))
    assert gate.get("/a").status == 503
    service.answers(200)
    with gate.connect(timeout=30) as wire:
        eventually(lambda: gate.metric("yett_circuit_state") != 2 or wire_begins(wire), what="a probe")
        assert gate.get("/other").status == 200
        release.set()


def test_a_probe_whose_client_is_slow_does_not_keep_others_waiting(gateway, origin, workers):
    """Nor does one client that holds every probe: its upload never ends, and the service cannot answer before."""
    service = origin()
    service.answers(503)
    service.paths["/upload"] = lambda stage: stage.read_body()
    gate = gateway(guarded(service, failures=1, open="300ms"), workers=workers)
    assert gate.get("/a").status == 503
    service.answers(200)
    wires: list[Any] = []

    def is_probe() -> bool:
        wires.append(gate.connect().send(head("POST", "/upload", {"Content-Length": "10"}) + b"slow"))
        refused = wires[-1].socket
        eventually(lambda: len(service.requests) == 2 or select.select([refused], [], [], 0)[0])
        return len(service.requests) == 2

    eventually(is_probe, what="an upload that is the probe")
    eventually(lambda: gate.get("/other").status == 200, what="others are let through")
    assert gate.get("/other").status == 200
    for wire in wires:
        wire.close()


def wire_begins(wire: Any) -> bool:
    """Asks for the stream; whether it was let through."""
    status, fields, _ = wire.send(head("GET", "/stream")).read_head()
    if status == 503:
        wire.exactly(int({name.lower(): value for name, value in fields}["content-length"]))
    return bool(status == 200)


def test_the_state_outlives_a_reload(gateway, origin):
    service = origin()
    service.answers(503)
    gate = gateway(guarded(service, failures=1, open=LONG))
    assert gate.get("/a").status == 503
    gate.reload(guarded(service, failures=2, open=LONG))
    refused(gate)
    other = origin(name="other")
    gate.reload(guarded(other, failures=2, open=LONG))
    assert gate.get("/a").status == 200
    assert not [name for name in gate.metrics() if service.endpoint in name]
    gate.reload(configs.public(service))
    assert gate.get("/a").status == 503
    assert gate.get("/a").reason is None
