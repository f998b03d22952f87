"""Trailer fields say nothing that the gateway has checked, set or removed in the headers (THREATS 21)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.http2_peer import Http2Client, Http2Service, Stream

Start = Callable[[Callable[[Stream], None]], Http2Service]


@pytest.fixture
def service(_cleanup: contextlib.ExitStack) -> Start:
    def start(behaviour: Callable[[Stream], None]) -> Http2Service:
        started = Http2Service(behaviour=behaviour)
        _cleanup.callback(started.close)
        return started

    return start


def front(gateway: Callable[..., Gateway], service: Http2Service, **route: Any) -> Gateway:
    return gateway(
        {
            "services": {"origin": {**configs.service(service), "protocol": "http2"}},
            "routes": {"open": configs.route(methods="POST", **route)},
            "listeners": configs.listener(http2={"prior_knowledge": True}),
        }
    )


def answer(stream: Stream) -> None:
    stream.read()
    stream.headers([(":status", "200")])
    stream.data(b"ok")
    stream.finish([("x-kept", "1"), ("x-debug", "secret"), ("x_stage", "service")])


def test_trailers_set_nothing_that_the_route_decides(gateway: Callable[..., Gateway], service: Start) -> None:
    there = service(answer)
    edits = {"set": {"x-user": "nobody"}, "remove": ["x-role"]}
    out = {"set": {"x-stage": "gateway"}, "remove": ["x-debug"]}
    gate = front(gateway, there, request_headers=edits, response_headers=out)
    with Http2Client(gate.address()) as client:
        stream = client.begin("POST", "/a")
        stream.data(b"hello")
        stream.finish(
            [
                ("x-user", "admin"),
                ("x_user", "admin"),
                ("x-role", "admin"),
                ("x.role", "admin"),
                ("x-sent", "1"),
            ]
        )
        assert stream.read() == b"ok"
        assert stream["x-stage"] == "gateway"
        assert stream.trailers == [("x-kept", "1")]
    assert there.only.trailers == [("x-sent", "1")]
    assert there.only["x-user"] == "nobody"
