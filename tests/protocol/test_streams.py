"""Answers without a known end: each event arrives at once, and nobody is left behind when one side goes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support import configs
from tests.support.events import EventService
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head


@pytest.fixture
def events() -> Iterator[EventService]:
    service = EventService()
    yield service
    service.close()


def config(events, **changes) -> configs.Config:
    return {
        "listeners": configs.listener(http2={"prior_knowledge": True}),
        "services": {"origin": {"endpoints": events.url, "plaintext": "test"}},
        "routes": {"events": configs.route(**changes)},
    }


def follow(gate, events, target="/events"):
    wire = gate.connect()
    wire.send(head("GET", target, {"Accept": "text/event-stream"}))
    status, headers, _ = wire.read_head()
    assert status == 200 and dict(headers)["content-type"].startswith("text/event-stream")
    eventually(lambda: events.open > 0, what="an open answer")
    return wire


def test_each_event_arrives_at_once(gateway, events):
    gate = gateway(config(events))
    wire = follow(gate, events)
    for number in range(20):
        events.send(str(number))
        # The next one is sent only when this one has come.
        wire.until(b"data: %d\n\n" % number)
    wire.close()


def test_each_event_arrives_at_once_over_http2(gateway, events):
    gate = gateway(config(events))
    curl = subprocess.Popen(
        ["curl", "-sSN", "--http2-prior-knowledge", f"http://127.0.0.1:{gate.port}/events"],
        stdout=subprocess.PIPE,
    )
    assert curl.stdout
    try:
        eventually(lambda: events.open == 1, what="an open answer")
        for number in range(20):
            events.send(str(number))
            assert curl.stdout.readline() == b"data: %d\n" % number
            assert curl.stdout.readline() == b"\n"
    finally:
        curl.kill()
        curl.wait()
        curl.stdout.close()
    eventually(lambda: events.left == 1, 4.0, "the service's side closed")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_between_events_is_noticed(gateway, events, how):
    gate = gateway(config(events))
    wire = follow(gate, events)
    events.send("1")
    wire.until(b"data: 1\n\n")
    begun = time.monotonic()
    getattr(wire, how)()
    # Nothing is sent any more: only the connection itself can tell.
    eventually(lambda: events.left == 1, 20.0, "the service's side closed")
    if how == "reset":
        assert time.monotonic() - begun < 4.0, "a reset is no half-close: nothing to wait for"
    line = gate.log_line(path="/events")
    assert line["status"] == 200 and line["truncated"] is True


def test_a_half_closed_client_goes_on_as_long_as_events_come(gateway, events):
    gate = gateway(config(events))
    wire = follow(gate, events)
    wire.half_close()
    end = time.monotonic() + 6.5
    while time.monotonic() < end:
        events.send("x")
        wire.until(b"data: x\n\n")
        # Not a pause for something to happen: the rhythm of the events.
        time.sleep(0.5)
    wire.close()


def test_a_silent_service_is_given_up(gateway, events):
    gate = gateway(config(events, timeouts={"idle": "1s"}))
    wire = follow(gate, events)
    with pytest.raises(Truncated):
        wire.until(b"never")
    assert gate.log_line(path="/events")["reason"] == "service_timeout"
    eventually(lambda: events.left == 1, what="the service's side closed")


def stalled(stage):
    """Reads the request and never answers; hears when the gateway leaves."""
    stage.read_body()
    stage.socket.settimeout(60)
    stage.more()


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_client_that_is_gone_before_the_answer_is_noticed(
    gateway, origin, body, tls, listener_tls, client_tls
):
    service = origin()
    service.behaviour = stalled
    listeners = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}} if tls else configs.listener()
    gate = gateway({**configs.public(service), "listeners": listeners})
    wire = gate.connect(tls=client_tls if tls else None)
    wire.send(head("POST" if body else "GET", "/a", {"Content-Length": str(len(body))}) + body)
    service.wait_for(1)
    eventually(lambda: service.only.complete, what="the whole request")
    wire.reset()
    eventually(lambda: service.open_connections == 0, 5.0, "the service's connection closed")
    gate.log_line(path="/a")


def test_what_a_client_sends_ahead_is_kept(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    ahead = 200

    def late(stage):
        """Answers when the client has sent everything, and the gateway has had time to read of it."""
        stage.read_body()
        eventually(lambda: sent, what="what is sent ahead")
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    sent: list[bool] = []
    service.paths["/first"] = late
    with gate.connect() as wire:
        wire.send(head("GET", "/first"))
        service.wait_for(1)
        wire.send(b"".join(head("GET", f"/{number}", {"X-Padding": "x" * 300}) for number in range(ahead)))
        sent.append(True)
        for _ in range(ahead + 1):
            assert wire.reply().body == b"ok"
    assert [seen.target for seen in service.requests] == ["/first", *(f"/{n}" for n in range(ahead))]


def test_what_a_client_sends_ahead_of_a_held_body_is_kept(gateway, origin):
    """A body that is held for a retry has a buffer of its own."""
    service = origin()
    sent: list[bool] = []

    def late(stage):
        stage.read_body()
        eventually(lambda: sent, what="what is sent ahead")
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    service.paths["/first"] = late
    config = configs.public(service)
    config["services"]["origin"] = configs.service(service, retry={"retries": 1})
    gate = gateway(config)
    with gate.connect() as wire:
        wire.send(head("PUT", "/first", {"Content-Length": "5"}) + b"hello")
        service.wait_for(1)
        wire.send(head("GET", "/next"))
        sent.append(True)
        assert [wire.reply().body, wire.reply().body] == [b"ok", b"ok"]
    assert [(seen.target, seen.body) for seen in service.requests] == [("/first", b"hello"), ("/next", b"")]
