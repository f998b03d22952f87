"""HTTP/2 of clients (RFC 9113): with and without TLS, bodies, refusals, malformed heads."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import configs
from tests.support.http2 import (
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    frame,
)
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import Wire


def prior_knowledge(**changes: object) -> configs.Config:
    return configs.listener(http2={"prior_knowledge": True, **changes})


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway({**configs.public(service), "listeners": prior_knowledge()}), service


def curl(gate, path: str, *options: str) -> tuple[int, str, bytes]:
    host, port = gate.address()
    answer = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_code} %{http_version}", *options,
         f"http://{host}:{port}{path}"],
        stdout=subprocess.PIPE, timeout=20, check=True,
    ).stdout  # fmt: skip
    body, _, last = answer.rpartition(b"\n")
    status, version = last.decode().split()
    return int(status), version, body


def raw(gate) -> socket.socket:
    client = socket.create_connection(gate.address(), timeout=10)
    client.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return client


def goaway(client: socket.socket) -> int | None:
    """The code of GOAWAY, or nothing if the connection ended without one."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionError:
        pass
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if data[3] == GOAWAY:
            return int.from_bytes(data[13:17], "big")
        data = data[9 + length :]
    return None


def test_a_request_reaches_the_service_and_is_answered_in_http2(shop):
    gate, service = shop
    assert curl(gate, "/a?b=c", "-H", "Cookie: a=1") == (200, "2", b"ok")
    seen = service.only
    assert (seen.target, seen["cookie"]) == ("/a?b=c", "a=1")
    assert "connection" not in seen and "http2-settings" not in seen


def test_http1_on_the_same_listener(shop):
    gate, _ = shop
    with gate.connect() as wire:
        assert wire.ask("GET", "/a").status == 200


def test_bodies_both_ways(shop, tmp_path):
    gate, service = shop
    service.behaviour = lambda stage: reply(body=stage.read_body())(stage)
    body = bytes(range(256)) * 3000
    (tmp_path / "body").write_bytes(body)
    for extra in ([], ["-H", "Content-Length:"]):
        assert curl(gate, "/up", "--data-binary", f"@{tmp_path / 'body'}", *extra) == (200, "2", body)


def test_head_and_refusals(shop):
    gate, service = shop
    status, version, body = curl(gate, "/a", "-I")
    assert (status, version) == (200, "2") and b"content-length: 2" in body.lower()
    service.forget()
    status, version, body = curl(gate, "/a/%2e%2e/b", "--path-as-is")
    assert (status, version, json.loads(body)["reason"]) == (400, "2", "path_not_canonical")
    assert service.saw_nothing()


def test_two_names_for_the_host_are_refused(shop):
    gate, service = shop
    with raw(gate) as client:
        client.sendall(frame(HEADERS, 5, 1, REQUEST + b"\x00\x04host\x01b"))
        data = b""
        while b"host_invalid" not in data:
            more = client.recv(65536)
            assert more, data
            data += more
    assert service.saw_nothing()


@pytest.mark.parametrize("name", [b"connection", b"transfer-encoding", b"upgrade"])
def test_malformed_fields_reset_the_stream(shop, name):
    gate, service = shop
    with raw(gate) as client:
        client.sendall(frame(HEADERS, 5, 1, REQUEST + b"\x00" + bytes([len(name)]) + name + b"\x01b"))
        data = b""
        reset = frame(RST_STREAM, 0, 1, struct.pack(">I", 1))
        while reset not in data:
            more = client.recv(65536)
            assert more, data
            data += more
    assert service.saw_nothing()


def test_http2_is_not_spoken_where_it_is_not_asked_for(gateway, origin):
    gate = gateway(configs.public(origin()))
    with Wire(gate.address()) as wire:
        wire.send(PREFACE + frame(SETTINGS, 0, 0))
        assert wire.reply().status in (400, 505)


def test_a_client_that_has_said_nothing_goes_with_its_listener(gateway, origin):
    """While it is not known what it will speak, too."""
    config = configs.public(origin())
    gate = gateway({**config, "listeners": prior_knowledge()})
    with gate.connect() as silent:
        eventually(lambda: gate.status()["connections"] == 1)
        gate.reload({**config, "listeners": {"other": prior_knowledge()["main"]}})
        assert silent.closed()


def test_a_head_that_never_ends_and_an_idle_connection_are_closed(gateway, origin):
    listener = configs.listener(
        http2={"prior_knowledge": True}, timeouts={"head": "200ms", "keep_alive": "700ms"}
    )
    gate = gateway({**configs.public(origin()), "listeners": listener})
    with raw(gate) as client:
        client.sendall(frame(HEADERS, 1, 1, REQUEST))
        assert goaway(client) is None
    with raw(gate) as client:
        assert goaway(client) == 0


def frames(client: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of each frame, until the connection ends."""
    data = b""
    while more := client.recv(65536):
        data += more
        while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
            yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end]
            data = data[end:]


def test_a_client_that_ignores_the_first_goaway_gets_a_last_one(gateway, origin):
    listener = configs.listener(http2={"prior_knowledge": True}, timeouts={"keep_alive": "200ms"})
    gate = gateway({**configs.public(origin()), "listeners": listener})
    seen = []
    stream = 1
    with raw(gate) as client:
        for kind, flags, number, payload in frames(client):
            if kind == GOAWAY:
                seen.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))
            if len(seen) == 2:
                break
            if kind == GOAWAY or (kind == DATA and flags & END_STREAM and number == stream - 2):
                # One stream after the other; the gateway's PING is never answered.
                client.sendall(frame(HEADERS, 5, stream, REQUEST))
                stream += 2
    (announced, _), (last, code) = seen
    assert (announced, code) == (2**31 - 1, 0)
    assert 0 < last < stream, "the last stream that was served"
