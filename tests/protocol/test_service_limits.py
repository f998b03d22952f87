"""Limits of a service: so many requests under way for the process, some more wait in order, the rest is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support import configs
from tests.support.origin import Origin, Stage, reply
from tests.support.waiting import eventually
from tests.support.wire import Truncated, Wire, head


class Gate:
    """Holds requests at an origin until it is opened; says how many were there at once at most."""

    def __init__(self, service: Origin) -> None:
        self.turn = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.inside = self.most = 0
        service.behaviour = self.hold

    def hold(self, stage: Stage) -> None:
        stage.read_body()
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.turn.acquire(timeout=30)
        with self.lock:
            self.inside -= 1
        reply()(stage)

    def release(self, count: int = 1) -> None:
        self.turn.release(count)


def limited(service: Origin, route: dict[str, Any] | None = None, **limits: Any) -> dict[str, Any]:
    config = configs.public(service, **(route or {}))
    config["services"]["origin"]["limits"] = limits
    return config


def asking(gate: Any, *targets: str) -> list[Wire]:
    return [gate.connect(timeout=30).send(head("GET", target)) for target in targets]


def pending(gate: Any, count: int) -> None:
    eventually(lambda: gate.metric("yett_service_requests_pending", service="origin") == count)


def seen(service: Origin, target: str, count: int) -> None:
    eventually(lambda: [request.target for request in service.requests].count(target) == count)


def test_exactly_so_many_are_under_way_and_the_rest_is_refused(gateway, origin, workers):
    service = origin()
    doors = Gate(service)
    gate = gateway(limited(service, concurrency=5), workers=workers)
    held = asking(gate, *["/held"] * 5)
    eventually(lambda: doors.inside == 5)
    for _ in range(20):
        answer = gate.get("/refused")
        assert (answer.status, answer.reason, answer["retry-after"]) == (503, "service_overloaded", "1")
    assert service.saw_no_more_than(5)
    assert gate.metric("yett_service_requests_active", service="origin") == 5
    doors.release(5)
    assert [wire.reply().status for wire in held] == [200] * 5
    eventually(lambda: gate.metric("yett_service_requests_active") == 0)
    doors.release(40)
    for _ in range(20):
        assert gate.get("/after").status == 200
    assert doors.most == 5


def test_those_who_wait_are_served_in_order(gateway, origin, workers):
    service = origin()
    doors = Gate(service)
    gate = gateway(limited(service, concurrency=1, pending=4, wait="20s"), workers=workers)
    waiting = []
    for number in range(5):
        waiting += asking(gate, f"/{number}")
        if number:
            pending(gate, number)
        else:
            service.wait_for(1)
    refused = gate.get("/one-too-many")
    assert (refused.status, refused.reason) == (503, "service_overloaded")
    assert service.saw_no_more_than(1)
    doors.release(5)
    assert [wire.reply().status for wire in waiting] == [200] * 5
    assert [request.target for request in service.requests] == [f"/{number}" for number in range(5)]
    assert doors.most == 1


def test_nobody_waits_longer_than_allowed(gateway, origin):
    service = origin()
    doors = Gate(service)
    gate = gateway(limited(service, concurrency=1, pending=5, wait="200ms"))
    (held,) = asking(gate, "/held")
    service.wait_for(1)
    answer = gate.get("/waits")
    assert (answer.status, answer.reason, answer["retry-after"]) == (503, "service_overloaded", "1")
    assert service.saw_no_more_than(1)
    assert gate.metric("yett_service_requests_pending") == 0
    doors.release()
    assert held.reply().status == 200


def test_the_total_limit_of_the_route_ends_the_wait(gateway, origin):
    service = origin()
    doors = Gate(service)
    config = limited(service, {"template": "/slow"}, concurrency=1, pending=5, wait="30s")
    config["routes"]["quick"] = configs.route("/quick", timeouts={"total": "200ms"})
    gate = gateway(config)
    (held,) = asking(gate, "/slow")
    service.wait_for(1)
    answer = gate.get("/quick")
    assert (answer.status, answer.reason) == (504, "total_timeout")
    assert service.saw_no_more_than(1)
    doors.release()
    assert held.reply().status == 200


def test_a_place_is_free_again_however_a_request_ends(gateway, origin):
    service = origin()
    service.paths["/cut"] = lambda stage: (stage.read_body(), stage.close())
    service.paths["/half"] = lambda stage: (
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello"),
        stage.close(),
    )
    gate = gateway(limited(service, concurrency=1))
    for number in range(1, 6):
        assert gate.get("/cut").status == 502
        with gate.connect() as wire, pytest.raises(Truncated):
            wire.ask(target="/half")
        with gate.connect() as wire:
            wire.send(head("POST", "/left", {"Content-Length": "10"}) + b"he")
            seen(service, "/left", number)
        eventually(lambda: gate.metric("yett_service_requests_active") == 0)
        assert gate.get("/fine").status == 200


def test_an_upload_whose_request_is_refused_keeps_its_connection_in_step(gateway, origin):
    service = origin()
    doors = Gate(service)
    gate = gateway(limited(service, concurrency=1))
    (held,) = asking(gate, "/held")
    service.wait_for(1)
    with gate.connect() as wire:
        body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        assert wire.ask("POST", "/refused", body=body).status == 503
        doors.release()
        assert held.reply().status == 200
        doors.release()
        assert wire.ask("GET", "/next").status == 200
    assert [request.target for request in service.requests] == ["/held", "/next"]


def test_a_reload_keeps_the_count_and_changes_the_bound(gateway, origin, workers):
    service = origin()
    doors = Gate(service)
    gate = gateway(limited(service, concurrency=3), workers=workers)
    held = asking(gate, *["/held"] * 3)
    eventually(lambda: doors.inside == 3)
    gate.reload(limited(service, concurrency=2))
    assert gate.get("/refused").status == 503
    doors.release()
    eventually(lambda: gate.metric("yett_service_requests_active") == 2)
    assert gate.get("/refused").status == 503
    gate.reload(limited(service, concurrency=4))
    held += asking(gate, *["/held"] * 2)
    eventually(lambda: doors.inside == 4)
    assert gate.get("/refused").status == 503
    doors.release(4)
    assert [wire.reply().status for wire in held] == [200] * 5
    assert doors.most == 4


def test_services_do_not_share_places(gateway, origin):
    busy, other = origin(name="busy"), origin(name="other")
    doors = Gate(busy)
    config = limited(busy, {"template": "/busy"}, concurrency=1)
    config["services"]["other"] = configs.service(other, limits={"concurrency": 1})
    config["routes"]["other"] = configs.route("/other", service="other")
    gate = gateway(config)
    (held,) = asking(gate, "/busy")
    busy.wait_for(1)
    assert gate.get("/busy").reason == "service_overloaded"
    assert gate.get("/other").status == 200
    doors.release()
    assert held.reply().status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_does_not_change_what_passes(gateway, origin, method):
    service = origin()
    service.answers(201, b"x" * 100_000, [("X-Seen", "yes")])
    gate = gateway(limited(service, concurrency=1))
    with gate.connect() as wire:
        for number in range(3):
            answer = wire.ask(method, f"/{number}", body=b"hello" if method == "POST" else b"")
            assert (answer.status, answer.body, answer["x-seen"]) == (201, b"x" * 100_000, "yes")
    assert service.connections == 1
