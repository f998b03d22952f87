"""THREATS 20: what HTTP/2 can say and HTTP/1.1 cannot never reaches a service as something else."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.support import configs, http2
from tests.support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, POST, RST_STREAM, frame
from tests.support.waiting import eventually

WHOLE = END_STREAM | END_HEADERS
RESET = frame(RST_STREAM, 0, 1, struct.pack(">I", 1))
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n"


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(
    method: bytes = b"GET", path: bytes = b"/a", authority: bytes = b"a", scheme: bytes = b"http"
) -> bytes:
    fields = ((b":method", method), (b":scheme", scheme), (b":path", path), (b":authority", authority))
    return b"".join(literal(name, value) for name, value in fields)


def read_until(client: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        more = client.recv(65536)
        assert more, data
        data += more


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway({**configs.public(service), "listeners": http2.listener()}), service


HEADS = {
    "a request in a value": head() + literal(b"x", b"y\r\n\r\n" + HIDDEN),
    "a bare line end in a value": head() + literal(b"x", b"y\nz: 1"),
    "NUL in a value": head() + literal(b"x", b"y\0z"),
    "a line end in a name": head() + literal(b"x\r\ny", b"z"),
    "a colon in a name": head() + literal(b"transfer-encoding: chunked\r\nx", b"y"),
    "a blank in a name": head() + literal(b"transfer-encoding ", b"chunked"),
    "upper case": head() + literal(b"Transfer-Encoding", b"chunked"),
    "an empty name": head() + literal(b"", b"y"),
    "chunks": head() + literal(b"transfer-encoding", b"chunked"),
    "two lengths": head() + literal(b"content-length", b"0") + literal(b"content-length", b"1"),
    "a list of lengths": head() + literal(b"content-length", b"0, 0"),
    "a signed length": head() + literal(b"content-length", b"+0"),
    "a length and no body": head() + literal(b"content-length", b"5"),
    "a line in the method": head(method=b"GET /hidden HTTP/1.1\r\nx: y"),
    "a line in the path": head(path=b"/a HTTP/1.1\r\nx: y"),
    "a blank in the path": head(path=b"/a /b"),
    "bytes above ASCII in the path": head(path=b"/\xff"),
    "a line in the authority": head(authority=b"a\r\nx: y"),
    "another scheme": head(scheme=b"https://b/?"),
    "a pseudo-header field of answers": head() + literal(b":status", b"200"),
    "an unknown pseudo-header field": head() + literal(b":x", b"y"),
    "a pseudo-header field too late": head() + literal(b"x", b"y") + literal(b":path", b"/hidden"),
}


@pytest.mark.parametrize("block", HEADS.values(), ids=HEADS.keys())
def test_heads_that_would_become_another_request(shop, block):
    gate, service = shop
    with http2.raw(gate.address()) as client:
        client.sendall(frame(HEADERS, WHOLE, 1, block))
        read_until(client, RESET)
    assert service.saw_nothing()


@pytest.mark.parametrize("authority", [b"b@a", b"a/hidden", b"a?b", b"a, b", b"a b", b""])
def test_authorities_that_are_none(shop, authority):
    gate, service = shop
    with http2.raw(gate.address()) as client:
        client.sendall(frame(HEADERS, WHOLE, 1, head(authority=authority)))
        line = gate.wait_log()[0]
    assert (line["status"], line["reason"]) == (400, "host_invalid")
    assert service.saw_nothing()


@pytest.mark.parametrize("length", [5, 5 + len(HIDDEN) + 1], ids=["less", "more"])
def test_a_body_of_another_length_is_no_second_request(shop, length):
    gate, service = shop
    body = b"hello" + HIDDEN
    with http2.raw(gate.address()) as client:
        block = POST + literal(b"content-length", str(length).encode())
        client.sendall(frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, body))
        read_until(client, RESET)
        # The next request takes another connection to the service.
        client.sendall(frame(HEADERS, WHOLE, 3, head()))
        eventually(lambda: any(seen.complete for seen in service.requests), what="the next request")
    assert [seen.target for seen in service.requests if seen.complete] == ["/a"]
    assert {seen.target for seen in service.requests} <= {"/a", "/index.html"}
