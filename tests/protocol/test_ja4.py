"""JA4: what real clients' hellos say of them stands in the log as a computation of its own finds it; nothing where nobody asks."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.ja4 import captured, ja4
from tests.support.login_service import service
from tests.support.origin import Origin

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]
Connect = Callable[[int], None]
ASK = b"GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def _python(alpn: list[str], highest: ssl.TLSVersion, name: str | None) -> Connect:
    def connect(port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = highest
        if alpn:
            context.set_alpn_protocols(alpn)
        plain = socket.create_connection(("127.0.0.1", port), timeout=40)
        with plain, context.wrap_socket(plain, server_hostname=name) as secure:
            secure.sendall(ASK)
            while secure.recv(65536):
                pass

    return connect


def _program(*words: str) -> Connect:
    def connect(port: int) -> None:
        command = [word.replace("PORT", str(port)) for word in words]
        subprocess.run(command, input=ASK, capture_output=True, timeout=40, check=False)

    return connect


CLIENTS: dict[str, Connect] = {
    "python": _python(["http/1.1"], ssl.TLSVersion.TLSv1_3, "localhost"),
    "python without a name, TLS 1.2": _python([], ssl.TLSVersion.TLSv1_2, None),
    "openssl": _program(
        "openssl", "s_client", "-quiet", "-connect", "127.0.0.1:PORT", "-servername", "localhost"
    ),
    "curl": _program("curl", "-sk", "--http1.1", "--max-time", "30", "https://localhost:PORT/login"),
}


@pytest.fixture
def gate(gateway: Gateways, origin: Origins, listener_tls: dict[str, Any]) -> Gateway:
    guard = {"account": {"form": "user"}}
    config = configs.public(service(origin, {}), template="/login", login_guard=guard)
    return gateway({**config, "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}})


def test_real_clients_are_seen_as_they_are(gate: Gateway) -> None:
    expected = []
    for name, connect in CLIENTS.items():
        expected.append(ja4(captured(connect)))
        connect(gate.port)
        lines = gate.wait_log(len(expected))
        assert [line["ja4"] for line in lines] == expected, name
    assert len(set(expected)) == len(CLIENTS)
    assert [one[:4] for one in expected] == ["t13d", "t12i", "t13d", "t13d"]
    assert expected[0].split("_")[0].endswith("h1")


def test_where_no_login_is_guarded_nothing_is_kept(
    gateway: Gateways, origin: Origins, listener_tls: dict[str, Any]
) -> None:
    config = configs.public(service(origin, {}), template="/login")
    plain = gateway({**config, "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}})
    CLIENTS["python"](plain.port)
    (line,) = plain.wait_log(1)
    assert line["tls"] is True and "ja4" not in line
