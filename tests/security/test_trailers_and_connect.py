"""Trailers cannot set a header that a policy reads; CONNECT, TRACE and upgrades are refused unless asked for."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.wire import head


def test_trailers_authenticate_nobody(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    token = identity.bearer()["Authorization"].encode()
    with gate.connect() as wire:
        wire.send(
            head("POST", "/closed", {"Transfer-Encoding": "chunked", "Trailer": "Authorization"})
            + b"5\r\nhello\r\n0\r\nAuthorization: "
            + token
            + b"\r\n\r\n"
        )
        assert wire.reply().reason == "credential_missing"
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "trailer",
    [
        b"X-Forwarded-For: 6.6.6.6",
        b"Host: evil.test",
        b"X-Request-Id: evil",
        b"Authorization: Bearer evil",
        b"Content-Length: 3",
        b"X-Harmless: evil",
        b"Set-Cookie: evil=1",
    ],
)
def test_trailers_do_not_reach_the_service(gateway, origin, trailer):
    service = origin()
    gate = gateway(configs.public(service))
    with gate.connect() as wire:
        wire.send(
            head("POST", "/a", {"Transfer-Encoding": "chunked"})
            + b"5\r\nhello\r\n0\r\n"
            + trailer
            + b"\r\n\r\n"
        )
        answer = wire.reply()
        assert answer.status in (200, 400)
    sent = b"".join(bytes(data) for data in service.received)
    assert b"evil" not in sent and b"6.6.6.6" not in sent
    assert all(seen.body == b"hello" for seen in service.requests if seen.complete)


def test_trailers_of_an_answer_set_no_header(gateway, origin):
    service = origin()
    service.sends(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Evil\r\n\r\n"
        b"5\r\nhello\r\n0\r\nX-Evil: 1\r\nSet-Cookie: evil=1\r\n\r\n"
    )
    gate = gateway(configs.public(service))
    with gate.connect() as wire:
        answer = wire.ask(target="/a")
        assert answer.body == b"hello"
        assert "set-cookie" not in answer and "x-evil" not in answer
        assert not answer.trailers
        service.answers()
        assert wire.ask(target="/b").body == b"ok"


@pytest.mark.parametrize("target", ["origin.test:443", "127.0.0.1:22", "/a", "http://origin.test/"])
def test_connect_is_refused(gateway, origin, target):
    service = origin()
    gate = gateway(configs.public(service))
    with gate.connect() as wire:
        answer = wire.send(head("CONNECT", target)).reply()
        assert answer.status in (400, 405, 501)
        assert service.saw_nothing()
        # What follows is read as a request, never passed on as it is.
        if "connection" not in answer:
            assert wire.ask("GET", "/after").status == 200
            assert service.only.target == "/after"
        else:
            assert wire.closed()


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "PROPFIND", "get", "Get", "G", "PURGE"])
def test_methods_that_no_route_names_are_refused(gateway, origin, method):
    service = origin()
    gate = gateway(configs.public(service))
    answer = gate.request(method, "/a", {"Cookie": "secret=1"})
    assert answer.status in (405, 501)
    assert answer.reason in ("method_not_allowed", "method_not_supported")
    assert b"secret=1" not in answer.body
    assert service.saw_nothing()


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0", "anything"])
def test_an_upgrade_that_no_route_allows_is_ignored_or_refused(gateway, origin, protocol):
    service = origin()
    gate = gateway(configs.public(service))
    answer = gate.get(
        "/a", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "HTTP2-Settings": "AAMAAABk"}
    )
    assert answer.status != 101
    for seen in service.requests:
        assert not seen.names & {"upgrade", "http2-settings"}
