"""JA4: what real clients' hellos say of them stands in the log as a computation of its own finds it; nothing where nobody asks."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support import configs
from tests.support.gateway import Gateway, complete
from tests.support.ja4 import captured, ja4
from tests.support.login_service import service
from tests.support.origin import Origin
from tests.support.waiting import eventually
from yett.cli.app import app

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


@dataclass
class Closed:
    """Everything behind a token, over TLS; `bearer` gets in."""

    config: dict[str, Any]
    server: Origin
    bearer: str

    def route(self, **more: Any) -> None:
        """What the route asks for now, beside a token."""
        access = {} if "authorize" in more else {"access": "authenticated"}
        self.config["routes"]["a"] = configs.route("/{rest...}", "GET", authenticate="id", **access, **more)

    def denies(self, hello: str) -> None:
        """Whoever says this hello."""
        self.route(deny={"bot": {"when": f"connection.ja4 == '{hello}'"}})


@pytest.fixture
def closed(origin: Origins, issuer: Any, listener_tls: dict[str, Any], tmp_path: Path) -> Closed:
    identity, server = issuer(), origin()
    config: dict[str, Any] = {
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
        "identity_providers": {"id": identity.inline(tmp_path)},
        "services": {"origin": configs.service(server)},
        "routes": {},
    }
    made = Closed(config, server, identity.bearer(sub="ann")["Authorization"])
    made.route()
    return made


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


def _status(connection: http.client.HTTPSConnection, bearer: str) -> int | None:
    """What is answered; nothing where the connection is gone."""
    try:
        connection.request("GET", "/", headers={"Host": "localhost", "Authorization": bearer})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (http.client.RemoteDisconnected, ConnectionError):
        return None


def _connection(port: int, highest: ssl.TLSVersion) -> http.client.HTTPSConnection:
    """Says the same hello as `python` of `CLIENTS` with this version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = highest
    context.set_alpn_protocols(["http/1.1"])
    return http.client.HTTPSConnection("localhost", port, context=context, timeout=40)


def test_a_condition_refuses_a_program_by_its_hello(
    gateway: Gateways, closed: Closed, tmp_path: Path
) -> None:
    config, server, bearer = closed.config, closed.server, closed.bearer
    refused = ja4(captured(CLIENTS["python"]))
    records, key = tmp_path / "decisions.jsonl", tmp_path / "hash.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    config["decision_log"] = {"file": str(records), "hash_key": {"file": str(key)}}
    gate = gateway(config)
    before = _connection(gate.port, ssl.TLSVersion.TLSv1_3)
    assert _status(before, bearer) == 200
    closed.route(authorize={"when": f"connection.ja4 != '{refused}'"})
    gate.reload(config)
    served = len(server.requests)
    # Nobody knows its hello: it has to come again.
    eventually(lambda: _status(before, bearer) is None, 40, "the end of the old connection")
    again = _connection(gate.port, ssl.TLSVersion.TLSv1_3)
    assert _status(again, bearer) == 403
    assert len(server.requests) == served
    older = _connection(gate.port, ssl.TLSVersion.TLSv1_2)
    assert _status(older, bearer) == 200
    assert gate.log_line(reason="policy_denied")["ja4"] == refused
    eventually(lambda: records.read_bytes().count(b"\n") >= 3, 40, "records")
    recorded = [json.loads(text) for text in records.read_bytes().splitlines()]
    assert refused in [one.get("ja4") for one in recorded] and "ja4" not in recorded[0]
    # A replay knows it where it was asked for, and guesses nothing where it was not.
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(complete(config, tmp_path)))
    replayed = CliRunner().invoke(app, ["replay", str(records), "--config", str(other), "--format", "json"])
    found = json.loads(replayed.stdout)
    assert [one["lacks"] for one in found["why"]] == [
        "what the client's hello of TLS says of its program (`ja4`)"
    ]
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0} and found["same"]["deny"] >= 1
    assert found["same"]["allow"] == 1 and found["undecidable"] >= 1 and found["damaged"] == 0


def test_a_session_that_is_resumed_does_not_get_around_a_condition(gateway: Gateways, closed: Closed) -> None:
    server, bearer = closed.server, closed.bearer
    gate = gateway(closed.config)

    def ask(
        context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> tuple[int, ssl.SSLSession | None, bool]:
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=40)
        with plain, context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
            lines = (
                "GET / HTTP/1.1",
                "Host: localhost",
                f"Authorization: {bearer}",
                "Connection: close",
                "",
                "",
            )
            secure.sendall("\r\n".join(lines).encode())
            answer = b""
            while part := secure.recv(65536):
                answer += part
            return int(answer[9:12]), secure.session, bool(secure.session_reused)

    asked = 0
    for highest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = highest
        closed.denies("none")
        gate.reload(closed.config)
        status, session, _ = ask(context)
        assert status == 200
        asked += 1
        hello = gate.wait_log(asked)[-1]["ja4"]
        closed.denies(hello)
        gate.reload(closed.config)
        served = len(server.requests)
        status, session, _ = ask(context)
        assert status == 403
        status, _, reused = ask(context, session)
        assert (status, reused) == (403, False)
        asked += 2
        assert len(server.requests) == served


def test_connections_from_before_a_condition_come_again(gateway: Gateways, closed: Closed) -> None:
    config, bearer = closed.config, closed.bearer
    gate = gateway(config)
    old = _connection(gate.port, ssl.TLSVersion.TLSv1_3)
    assert _status(old, bearer) == 200
    # From now on hellos are read, and this one was not.
    config["routes"]["login"] = configs.route("/login", "POST", login_guard={"account": {"form": "u"}})
    gate.reload(config)
    assert _status(old, bearer) == 200
    closed.denies("none")
    gate.reload(config)
    assert _status(old, bearer) in (None, 403)
    assert eventually(
        lambda: _status(old, bearer) == 200, what="another connection in place of the one let go"
    )
