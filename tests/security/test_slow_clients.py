"""THREATS 29 (CVE-2026-22045): slow heads, bodies and readers, half-open handshakes: each ends by its time limit."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.support import configs, http2
from tests.support.crowd import hold
from tests.support.origin import Stage, reply

LIMITS = {"handshake": "1s", "head": "1s", "body": "1s", "keep_alive": "1s"}
HEAD = b"POST /upload HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
def process(run, origin):
    service = origin()
    service.behaviour = endless
    listener = configs.listener(timeouts=LIMITS, limits={"connections": 2000})
    return run({**configs.public(service), "listeners": listener})


def endless(stage: Stage) -> None:
    """`/large` is answered with much more than buffers hold."""
    if stage.request.target != "/large":
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return
    stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    for _ in range(1000):
        stage.send(b"x" * 100_000)


def test_slow_heads(process):
    hold(
        process,
        lambda client: client.sendall(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n"),
        lambda client: client.sendall(b"X-A: b\r\n"),
    )


def test_connections_that_say_nothing(process):
    hold(process, lambda client: None)


def test_slow_bodies(process):
    """A pause inside the body, with some of it sent."""
    hold(process, lambda client: client.sendall(HEAD + b"some"))


def test_bodies_of_a_byte_now_and_again(run, origin):
    """A body that comes byte by byte, passed on or held: as good as one that stays away."""
    config = configs.public(origin())
    config["routes"]["held"] = configs.route(
        "/held", methods="POST", request_validation={"json_limits": {"depth": 4}}
    )
    listener = configs.listener(timeouts=LIMITS, limits={"connections": 2000})
    process = run({**config, "listeners": listener})

    def begin(client: socket.socket) -> None:
        path = (b"/held", b"/upload")[client.fileno() % 2]
        client.sendall(
            b"POST %s HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100000\r\n\r\n [" % path
        )

    hold(process, begin, lambda client: client.sendall(b" "), count=100)


def test_slow_readers(process):
    """An answer that is never read; what the gateway holds of it is bounded."""
    hold(
        process,
        lambda client: client.sendall(b"GET /large HTTP/1.1\r\nHost: gateway.test\r\n\r\n"),
        count=100,
        growth=64 << 20,
        receive_buffer=4096,
    )


def test_readers_of_a_byte_now_and_again(run, origin):
    """A window that is opened byte by byte: as good as one that stays shut."""
    service = origin()
    service.behaviour = reply(body=b"x" * 200_000)
    listener = http2.listener(timeouts=LIMITS, limits={"connections": 2000})
    process = run({**configs.public(service), "listeners": listener})
    request = http2.frame(http2.HEADERS, http2.END_STREAM | http2.END_HEADERS, 1, http2.REQUEST)
    begin = http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)) + request
    one = http2.frame(http2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1")
    hold(
        process,
        lambda client: client.sendall(begin),
        lambda client: client.sendall(one),
        count=50,
        growth=64 << 20,
    )


@pytest.fixture
def either(run, origin):
    """A listener where clients may begin with HTTP/2, so that their first bytes are waited for."""
    listener = http2.listener(timeouts=LIMITS, limits={"connections": 2000})
    return run({**configs.public(origin()), "listeners": listener})


@pytest.mark.parametrize(
    "begin", [b"", b"P", b"PRI"], ids=["nothing", "a method or a preface", "less than a preface"]
)
def test_clients_of_which_it_is_not_known_what_they_speak(either, begin):
    hold(either, lambda client: client.sendall(begin))


def test_clients_that_leave_before_it_is_known_what_they_speak(either):
    """Their end stands behind what they sent, so nothing but time tells."""

    def leave(client: socket.socket) -> None:
        client.sendall(b"P")
        client.shutdown(socket.SHUT_RDWR)

    hold(either, leave)


def test_half_open_handshakes(run, origin, listener_tls, client_tls):
    """A ClientHello that never ends, and connections that say nothing."""
    limits = {"connections": 2000}
    listener = {"main": {"address": "127.0.0.1:0", "tls": listener_tls, "timeouts": LIMITS, "limits": limits}}
    process = run({**configs.public(origin()), "listeners": listener})

    def begin(client: socket.socket) -> None:
        if client.fileno() % 2:
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")

    def ask() -> int:
        with process.connect(tls=client_tls, server_name="gateway.test") as wire:
            return wire.ask("GET", "/a").status

    hold(process, begin, ask=ask)
