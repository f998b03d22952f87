"""A stream (an answer without a known end, a WebSocket connection) outlives the token that opened it (THREATS 38)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.security.test_shared_secret import bearer, shared
from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin, Stage
from tests.support.waiting import eventually
from tests.support.websocket import WebSocketService, dial
from tests.support.wire import Truncated, Wire, head

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def silent(stage: Stage) -> None:
    """An answer without an end: one event, then nothing."""
    stage.send(CHUNKED + b"8\r\ndata: 1\n\r\n")
    stage.more()


def talking(stage: Stage) -> None:
    """An answer without an end: an event every 20 ms."""
    stage.send(CHUNKED)
    stage.socket.settimeout(0.02)
    while True:
        stage.send(b"8\r\ndata: 1\n\r\n")
        try:
            stage.socket.recv(1)
        except TimeoutError:
            continue
        return


def opened(gate: Gateway, target: str, headers: dict[str, str]) -> Wire:
    wire = gate.connect()
    wire.send(head("GET", target, headers))
    assert wire.read_head()[0] == 200
    wire.until(b"data: 1\n")
    return wire


def cut(wire: Wire) -> None:
    """The answer ends without its last chunk."""
    with pytest.raises(Truncated):
        wire.until(b"\r\n0\r\n\r\n")
    wire.close()


def short(issuer: Issuer) -> dict[str, str]:
    """A token that is good for between one and two seconds."""
    return issuer.bearer(exp=int(time.time()) + 2)


def protected(origin: Origin, issuer: Issuer, directory: Path, **changes: Any) -> configs.Config:
    config = configs.protected(origin, issuer, directory, **changes)
    config["identity_providers"]["id"]["leeway"] = "0s"
    return config


@pytest.mark.parametrize("behaviour", [silent, talking])
def test_an_answer_ends_with_its_token(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], issuer: Callable[..., Issuer],
    tmp_path: Path, behaviour: Callable[[Stage], None],
) -> None:  # fmt: skip
    service, provider = origin(), issuer()
    service.behaviour = behaviour
    gate = gateway(protected(service, provider, tmp_path))
    headers = short(provider)
    # The second verdict is a remembered one.
    first, second = opened(gate, "/a", headers), opened(gate, "/b", headers)
    cut(first)
    cut(second)
    eventually(lambda: service.open_connections == 0, what="the service's connections closed")
    for target in ("/a", "/b"):
        line = gate.log_line(path=target)
        assert (line["status"], line["reason"]) == (200, "credential_expired")
    assert gate.get("/a", headers).reason == "token_expired"


def test_an_answer_over_http2_ends_with_its_token(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:
    import subprocess

    service, provider = origin(), issuer()
    service.behaviour = silent
    config = protected(service, provider, tmp_path)
    gate = gateway({**config, "listeners": configs.listener(http2={"prior_knowledge": True})})
    url = f"http://127.0.0.1:{gate.port}/a"
    field = f"Authorization: {short(provider)['Authorization']}"
    done = subprocess.run(
        ["curl", "-sS", "-N", "--http2-prior-knowledge", "-H", field, "--max-time", "20", url],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == b"data: 1\n" and done.returncode == 92, done
    assert gate.log_line(path="/a")["reason"] == "credential_expired"


def test_an_answer_of_known_length_is_finished(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:
    service, provider = origin(), issuer()
    end = time.time() + 2.5

    def slow(stage: Stage) -> None:
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        stage.socket.settimeout(max(0.0, end - time.time()))
        try:
            stage.socket.recv(1)
        except TimeoutError:
            stage.send(b"hello")

    service.behaviour = slow
    gate = gateway(protected(service, provider, tmp_path))
    assert gate.get("/a", short(provider)).body == b"hello"


def test_an_answer_ends_with_its_key(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path
) -> None:
    service, keys = origin(), KeyFile(tmp_path)
    service.behaviour = silent
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    key = keys.add("soon", expires=soon.isoformat().replace("+00:00", "Z"))
    gate = gateway(configs.with_keys(service, keys))
    cut(opened(gate, "/a", {"X-API-Key": key}))
    assert gate.log_line(path="/a")["reason"] == "credential_expired"


def test_a_websocket_connection_ends_with_its_token(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:  # fmt: skip
    service, provider = websocket(), issuer()
    config = configs.protected(service, provider, tmp_path, methods="GET", websocket={})  # type: ignore[arg-type]
    config["identity_providers"]["id"]["leeway"] = "0s"
    gate = gateway(config)
    with dial(gate, headers=short(provider)) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=10)
        assert client.close_code == 1008
    eventually(lambda: service.open == 0, what="the service's connection closed")
    assert gate.log_line(status=101)["reason"] == "credential_expired"


def test_a_key_that_is_withdrawn_ends_its_own_answers_only(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], tmp_path: Path, workers: int
) -> None:
    service, keys = origin(), KeyFile(tmp_path)
    service.behaviour = silent
    service.paths["/last"] = lambda stage: (stage.send(CHUNKED + b"8\r\ndata: 1\n\r\n"), stage.more(), None)[
        2
    ]
    stays, goes = keys.add("stays"), keys.add("goes")
    gate = gateway(configs.with_keys(service, keys), workers)
    kept, lost = opened(gate, "/stays", {"X-API-Key": stays}), opened(gate, "/goes", {"X-API-Key": goes})
    keys.remove("goes")
    gate.reload(configs.with_keys(service, keys))
    cut(lost)
    assert gate.log_line(path="/goes")["reason"] == "route_changed"
    kept.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        kept.exactly(3)
    kept.reset()


def test_answers_of_a_route_that_is_gone_or_decides_otherwise_end(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    service = origin()
    service.behaviour = silent

    def config(*names: str, **changes: Any) -> configs.Config:
        routes = {name: configs.route(f"/{name}", **changes.get(name, {})) for name in names}
        return {"services": {"origin": configs.service(service)}, "routes": routes}

    gate = gateway(config("kept", "gone", "changed"))
    wires = {name: opened(gate, f"/{name}", {}) for name in ("kept", "gone", "changed")}
    gate.reload(config("kept", "changed", kept={"limits": {"body": "2MiB"}}, changed={"methods": "GET"}))
    cut(wires["gone"])
    cut(wires["changed"])
    for path in ("/gone", "/changed"):
        assert gate.log_line(path=path)["reason"] == "route_changed"
    wires["kept"].socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        wires["kept"].exactly(3)
    wires["kept"].reset()


def test_a_drain_ends_answers_before_its_deadline(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    service = origin()
    service.behaviour = silent
    gate = gateway(configs.public(service))
    wire = opened(gate, "/a", {})
    gate.stop(1.0)
    cut(wire)
    assert gate.log_line(path="/a")["reason"] == "shutting_down"


def test_an_answer_ends_with_the_secret_that_its_token_was_signed_with(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:
    service, provider = origin(), issuer()
    service.behaviour = silent
    gate = gateway(shared(service, provider, tmp_path))
    wire = opened(gate, "/a", bearer(provider, "HS256"))
    gate.reload(shared(service, provider, tmp_path, b"another secret of its own " * 3))
    cut(wire)
    assert gate.log_line(path="/a")["reason"] == "route_changed"
