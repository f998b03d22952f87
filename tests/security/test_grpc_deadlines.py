"""A client's own short deadline, or its silence, says nothing of a service: it opens no circuit, and takes it from nobody else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.http2_peer import Gone, Http2Client, Http2Service, Stream, reply

Start = Callable[[Callable[[Stream], None]], Http2Service]


@pytest.fixture
def service(_cleanup: contextlib.ExitStack) -> Start:
    def start(behaviour: Callable[[Stream], None]) -> Http2Service:
        started = Http2Service(behaviour=behaviour)
        _cleanup.callback(started.close)
        return started

    return start


def test_a_short_grpc_timeout_opens_no_circuit(gateway: Callable[..., Gateway], service: Start) -> None:
    released = threading.Event()

    def behave(stream: Stream) -> None:
        if stream[":path"] == "/slow":
            released.wait(20)
        with contextlib.suppress(Gone):
            reply(b"fine")(stream)

    there = service(behave)
    breaker = {"failures": 2, "open": "10m"}
    origin = {**configs.service(there), "protocol": "http2", "circuit_breaker": breaker}
    gate = gateway(
        {
            "services": {"origin": origin},
            "routes": {"open": configs.route()},
            "listeners": configs.listener(http2={"prior_knowledge": True}),
        }
    )
    with Http2Client(gate.address()) as hostile, Http2Client(gate.address()) as other:
        for _ in range(6):
            answer = hostile.get("/slow", [("content-type", "application/grpc"), ("grpc-timeout", "50m")])
            assert answer["grpc-status"] == "4"
        assert gate.metric("yett_circuit_opened_total") == 0
        assert other.get("/good").body == b"fine"
    released.set()
    assert {line.get("reason") for line in gate.wait_log(7)} == {"total_timeout", None}


@pytest.mark.parametrize("answers", [False, True], ids=["before the answer", "inside the answer"])
def test_a_silent_client_opens_no_circuit(
    gateway: Callable[..., Gateway], service: Start, answers: bool
) -> None:
    """The service waits for the client's next message, as it should; many such streams end at the same moment."""
    released = threading.Event()

    def behave(stream: Stream) -> None:
        with contextlib.suppress(Gone):
            if stream[":path"] != "/listen":
                reply(b"fine")(stream)
                return
            if answers:
                stream.headers([(":status", "200"), ("content-type", "application/grpc")])
            released.wait(20)

    there = service(behave)
    breaker = {"failures": 2, "open": "10m"}
    origin = {**configs.service(there), "protocol": "http2", "circuit_breaker": breaker}
    gate = gateway(
        {
            "services": {"origin": origin},
            "routes": {"open": configs.route(timeouts={"idle": "300ms"})},
            "listeners": configs.listener(http2={"prior_knowledge": True}),
        }
    )
    with Http2Client(gate.address()) as hostile, Http2Client(gate.address()) as other:
        streams = [hostile.begin("POST", "/listen", [("content-type", "application/grpc")]) for _ in range(6)]
        for stream in streams:
            with contextlib.suppress(Gone):
                stream.read()
        assert [line.get("reason") for line in gate.wait_log(6)] == ["service_timeout"] * 6
        assert gate.metric("yett_circuit_opened_total") == 0
        assert other.get("/good").body == b"fine"
    released.set()
