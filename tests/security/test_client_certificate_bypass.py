"""Threat: a route that requires a client certificate is reached without one, by another Host, a hello in pieces, or a session of elsewhere."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.clients import VERSIONS, Authority, configured, shows
from tests.support.wire import Wire, head


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@VERSIONS
def test_a_route_requires_what_the_listener_only_asks_for(
    gateway, origin, listener_tls, authority, clients, version
):
    service = origin()
    gate = gateway(configured(service, listener_tls, mode="optional", ca=str(clients.file)))
    without = shows(authority, None, version)
    assert gate.get("/open", tls=without).status == 200
    refused = gate.get("/closed", tls=without)
    assert (refused.status, refused.reason) == (403, "client_certificate_required")
    assert len(service.requests) == 1
    assert gate.get("/closed", tls=shows(authority, clients.issue("partner")[0], version)).status == 200
    line = gate.log_line(path="/closed", status=200)
    assert len(line["client_certificate"]) == 64 and "partner" in line["client_certificate_subject"]


def test_a_host_with_another_certificate_is_misdirected(gateway, origin, listener_tls, authority, tmp_path):
    issued = authority.issue_cert("other.test", "shared.test")
    chain, key = tmp_path / "other.pem", tmp_path / "other.key"
    chain.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    pairs = [*listener_tls["certificates"], {"chain": str(chain), "key": {"file": str(key)}}]
    service = origin()
    config = configs.public(service)
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": {"certificates": pairs}}}
    gate, tls = gateway(config), shows(authority, None)
    for sni, host, status in [
        ("gateway.test", "gateway.test", 200),
        ("gateway.test", "localhost", 200),
        ("other.test", "SHARED.test:8443", 200),
        ("gateway.test", "other.test", 421),
        ("other.test", "gateway.test", 421),
        ("127.0.0.1", "gateway.test", 200),
        ("127.0.0.1", "other.test", 421),
    ]:
        before = len(service.requests)
        answer = gate.get("/a", tls=tls, server_name=sni, host=host)
        assert answer.status == status, (sni, host)
        assert answer.reason == ("misdirected_request" if status == 421 else None)
        assert len(service.requests) - before == (status == 200)


def test_a_hello_in_single_bytes_is_the_same_hello(gateway, origin, listener_tls, authority, clients):
    service = origin()
    gate = gateway(configured(service, listener_tls, mode="optional", ca=str(clients.file)))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shows(authority, None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Wire(gate.address()) as wire:

        def step(work: Any) -> Any:
            while True:
                try:
                    done = work()
                except ssl.SSLWantReadError:
                    done = None
                for byte in outgoing.read():
                    wire.send(bytes([byte]))
                if done is not None:
                    return done
                incoming.write(wire.socket.recv(65536))

        step(lambda: session.do_handshake() or True)
        step(lambda: session.write(head("GET", "/closed")))
        assert step(lambda: session.read(4096)).startswith(b"HTTP/1.1 403")
    assert service.requests == []


@VERSIONS
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_session_of_one_listener_is_none_at_another(
    gateway, origin, listener_tls, authority, clients, tmp_path, version, mode
):
    """Neither one without a certificate, nor one with a certificate that the other listener does not trust."""
    others = Authority(tmp_path, "others")
    service = origin()
    config = configured(service, listener_tls, mode=mode, ca=str(clients.file))
    for name, demand in [("bare", None), ("other", {"mode": "required", "ca": str(others.file)})]:
        tls = {**listener_tls, "client_certificates": demand} if demand else listener_tls
        config["listeners"][name] = {"address": "127.0.0.1:0", "tls": tls}
    for route, names in [("open", ["main", "bare", "other"]), ("closed", ["main", "other"])]:
        config["routes"][route]["listeners"] = {"any_of": names}
    gate = gateway(config)

    def ask(
        context: ssl.SSLContext, listener: str, target: str, session: ssl.SSLSession | None = None
    ) -> Any:
        raw = Wire(gate.address(listener))
        raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost", session=session)
        with raw:
            return raw.ask(target=target).status, raw.socket.session_reused, raw.socket.session

    for listener, file in [("bare", None), ("other", others.issue("partner")[0])]:
        context = shows(authority, file, version)
        status, _, session = ask(context, listener, "/open")
        assert status == 200 and session is not None
        assert ask(context, listener, "/open", session)[1], "it resumes where it was made"
        before = len(service.requests)
        try:
            status, reused, _ = ask(context, "main", "/closed", session)
        except (ssl.SSLError, OSError, AssertionError):
            status, reused = 0, False
        assert (status, reused) in {(0, False), (403, False)}
        assert len(service.requests) == before
