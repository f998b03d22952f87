"""WebSocket connections: through the gateway to a real service, and what opens none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin, Stage
from tests.support.waiting import eventually
from tests.support.websocket import WebSocketService, dial
from tests.support.wire import HeaderList, Reply

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
SWITCH = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"


def sockets(
    service: WebSocketService, websocket: dict[str, Any] | None = None, **changes: Any
) -> configs.Config:
    route = configs.route(methods="GET", websocket=websocket or {}, **changes)
    return {"services": {"origin": service.config()}, "routes": {"socket": route}}


def without(*names: str, **changes: str) -> HeaderList:
    """The handshake without some fields, and with others; `_` stands for `-`."""
    fields = {name: value for name, value in HANDSHAKE.items() if name not in names}
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return list(fields.items())


def test_messages_pass_both_ways(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    echo = websocket(subprotocols=["chat"])
    front = gateway(sockets(echo))
    big = bytes(range(256)) * 2000
    with dial(front, "/room?x=1", subprotocols=["other", "chat"], max_size=None) as client:
        assert client.subprotocol == "chat"
        for message in ["hello", "", "é" * 1000, big]:
            client.send(message)
            assert client.recv(timeout=10) == message
        assert client.ping().wait(10)
    assert client.close_code == 1000
    assert echo.requests[0].path == "/room?x=1"
    line = front.log_line(status=101)
    assert line["route"] == "socket" and line["bytes_in"] > len(big) and line["bytes_out"] > len(big)


def test_compressed_messages_pass(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    front = gateway(sockets(websocket(compression="deflate")))
    with dial(front, compression="deflate") as client:
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        client.send("z" * 10_000)
        assert client.recv(timeout=10) == "z" * 10_000


def test_over_tls(
    gateway: Callable[..., Gateway],
    websocket: Callable[..., WebSocketService],
    listener_tls: Any,
    client_tls: Any,
) -> None:
    echo = websocket(max_size=None)
    listeners = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    front = gateway({**sockets(echo, {"message": "4MiB"}), "listeners": listeners})
    big = b"x" * 3_000_000
    with dial(front, tls=client_tls, max_size=None) as client:
        client.send(big)
        assert client.recv(timeout=10) == big
    assert client.close_code == 1000


def test_what_the_service_sees(gateway: Callable[..., Gateway], origin: Callable[..., Origin]) -> None:
    back = origin()
    back.sends(f"{SWITCH}X-More: 1\r\nKeep-Alive: 1\r\n\r\n\x01\x05hello".encode(), close=True)
    front = gateway(configs.public(back, websocket={}))
    with front.connect() as wire:
        wire.send(_request(without(Cookie="a=b", Origin="http://gateway.test", X_Forwarded_For="1.2.3.4")))
        status, headers, _ = wire.read_head()
        assert wire.rest() == b"\x01\x05hello"
    reply = Reply(status, headers, b"", b"")
    assert status == 101 and reply["connection"] == "upgrade" and reply["upgrade"] == "websocket"
    assert reply["sec-websocket-accept"] == ACCEPT and reply["x-more"] == "1" and "x-request-id" in reply
    assert not {"keep-alive", "content-length", "transfer-encoding"} & {name.lower() for name, _ in headers}
    seen = back.only
    assert seen["connection"] == "upgrade" and seen["upgrade"] == "websocket"
    assert seen["sec-websocket-key"] == KEY and seen["x-forwarded-for"] == "127.0.0.1"
    assert not seen.all("content-length")


def _request(fields: HeaderList, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [
        f"{method} /a HTTP/{version}",
        "Host: gateway.test",
        *(f"{name}: {value}" for name, value in fields),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


BAD_HANDSHAKES = {
    "no upgrade": (426, without("Upgrade")),
    "another protocol": (426, without(Upgrade="h2c")),
    "two protocols": (426, without(Upgrade="websocket, h2c")),
    "connection does not name it": (426, without(Connection="keep-alive")),
    "another version": (426, without(Sec_WebSocket_Version="8")),
    "no version": (400, without("Sec-WebSocket-Version")),
    "two versions": (400, [*without(), ("Sec-WebSocket-Version", "13")]),
    "no key": (400, without("Sec-WebSocket-Key")),
    "two keys": (400, [*without(), ("Sec-WebSocket-Key", KEY)]),
    "short key": (400, without(Sec_WebSocket_Key="dGhlIHNhbXBsZQ==")),
    "no base64": (400, without(Sec_WebSocket_Key="!" * 24)),
    "a body": (400, [*without(), ("Content-Length", "1")]),
    "chunks": (400, [*without(), ("Transfer-Encoding", "chunked")]),
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
def test_a_handshake_that_is_none(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], name: str
) -> None:
    back = origin()
    front = gateway(configs.public(back, websocket={}))
    status, fields = BAD_HANDSHAKES[name]
    with front.connect() as wire:
        reply = wire.send(_request(fields)).reply()
    assert reply.status == status
    assert reply.reason == ("upgrade_required" if status == 426 else "websocket_handshake_invalid")
    if status == 426:
        assert reply["upgrade"] == "websocket" and reply["sec-websocket-version"] == "13"
    assert back.saw_nothing()


@pytest.mark.parametrize(("method", "version", "status"), [("POST", "1.1", 400), ("GET", "1.0", 426)])
def test_other_methods_and_versions(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], method: str, version: str, status: int
) -> None:
    back = origin()
    front = gateway(configs.public(back, websocket={}))
    with front.connect() as wire:
        assert wire.send(_request(without(), method, version)).reply().status == status
    assert back.saw_nothing()


def test_without_the_key_upgrades_are_ignored(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    back = origin()
    front = gateway(configs.public(back))
    with front.connect() as wire:
        assert wire.ask(target="/a", headers=HANDSHAKE).status == 200
        assert wire.ask(target="/b").status == 200
    assert not {"upgrade", "connection"} & back.requests[0].names


BAD_ANSWERS = {
    "another key": SWITCH.replace(ACCEPT, "AAAALMBiTxaQ9kYGzzhZRbK+xOo=") + "\r\n",
    "no accept": SWITCH.replace("Sec-WebSocket-Accept", "X-Accept") + "\r\n",
    "no upgrade": SWITCH.replace("Upgrade: websocket", "X: y") + "\r\n",
    "another protocol": SWITCH.replace("websocket\r", "h2c\r") + "\r\n",
    "no connection": SWITCH.replace("Connection: Upgrade", "X: y") + "\r\n",
    "a subprotocol": SWITCH + "Sec-WebSocket-Protocol: chat\r\n\r\n",
    "an extension": SWITCH + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "a body": SWITCH + "Content-Length: 5\r\n\r\nhello",
    "closing": SWITCH.replace("Connection: Upgrade", "Connection: Upgrade, close") + "\r\n",
    "HTTP/1.0": SWITCH.replace("HTTP/1.1", "HTTP/1.0") + "\r\n",
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_service_that_switches_to_something_else(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], name: str
) -> None:
    back = origin()
    back.sends(BAD_ANSWERS[name].encode())
    front = gateway(configs.public(back, websocket={}))
    reply = front.get("/a", without())
    assert (reply.status, reply.reason) == (502, "service_response_invalid")


def test_a_service_that_declines(gateway: Callable[..., Gateway], origin: Callable[..., Origin]) -> None:
    back = origin()
    back.answers(403, b"no", [("X-Why", "full")])
    front = gateway(configs.public(back, websocket={}))
    with front.connect() as wire:
        reply = wire.ask(target="/a", headers=HANDSHAKE)
        assert (reply.status, reply.body, reply["x-why"]) == (403, b"no", "full")
        assert reply["connection"] == "close" and wire.closed()


def test_the_whole_pipeline_decides(
    gateway: Callable[..., Gateway],
    websocket: Callable[..., WebSocketService],
    issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:
    echo, provider = websocket(), issuer()
    config = sockets(
        echo, authorize={"scopes": "chat"}, authenticate="id",
        rate_limit={"per-caller": {"rate": "1/h", "burst": 1, "key": "principal"}},
    )  # fmt: skip
    front = gateway({**config, "identity_providers": {"id": provider.inline(tmp_path)}})
    for headers, status in (({}, 401), (provider.bearer(), 403)):
        with pytest.raises(InvalidStatus) as refused:
            dial(front, headers=headers)
        assert refused.value.response.status_code == status
    assert echo.saw_nothing()
    with dial(front, headers=provider.bearer(scope="chat")) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"
    assert "Authorization" not in echo.requests[0].headers
    with pytest.raises(InvalidStatus) as refused:
        dial(front, headers=provider.bearer(scope="chat"))
    assert refused.value.response.status_code == 429


def test_so_many_connections_and_no_more(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], workers: int
) -> None:
    echo = websocket()
    front = gateway(sockets(echo, {"connections": 3}), workers)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(dial(front))
        eventually(lambda: len(echo.requests) == 3, what="three connections")
        with pytest.raises(InvalidStatus) as refused:
            dial(front)
        assert refused.value.response.status_code == 503
        eventually(lambda: len(echo.requests) == 3, what="three connections at the service")
        front.reload(sockets(echo, {"connections": 3, "idle": "50s"}))
    assert front.log_line(status=503)["reason"] == "websocket_limit"

    def again() -> bool:
        try:
            with dial(front):
                return True
        except InvalidStatus:
            return False

    eventually(again, what="a free place")


def closed(client: ClientConnection) -> int | None:
    """The code with which the gateway closes."""
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=10)
    return client.close_code


def test_an_idle_connection_ends(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    echo = websocket()
    front = gateway(sockets(echo, {"idle": "1s"}))
    with dial(front) as client:
        # Pings count: three of them take longer than the limit.
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                client.recv(timeout=0.6)
            assert client.ping().wait(5)
        assert closed(client) == 1001
    assert front.log_line(status=101)["reason"] == "websocket_idle"
    eventually(lambda: [code for code, _ in echo.ends] == [1001], what="the service's side closed")


@pytest.mark.parametrize("side", ["client", "service"])
def test_when_one_side_leaves_the_other_hears_of_it(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], side: str
) -> None:
    def leave(connection: ServerConnection) -> None:
        if side == "service":
            connection.send("x")
            connection.socket.shutdown(2)
        else:
            for _ in connection:
                pass

    back = websocket(leave)
    front = gateway(sockets(back))
    with dial(front) as client:
        if side == "service":
            client.recv(timeout=10)
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=10)
        else:
            client.socket.shutdown(2)
    eventually(lambda: back.open == 0 and len(back.ends) == 1, what="the service's side closed")
    front.log_line(status=101)


def test_a_slow_reader_holds_the_sender_back(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """What a client does not read stays at the service, and not in the gateway."""
    sent = 0

    def flood(stage: Stage) -> None:
        nonlocal sent
        stage.send(f"{SWITCH}\r\n".encode())
        stage.socket.settimeout(2)
        block = b"\x82\x7e\xff\xff" + bytes(65_535)
        while sent < 64 << 20:
            stage.send(block)
            sent += len(block)

    back = origin()
    back.behaviour = flood
    front = gateway(configs.public(back, websocket={}))
    with front.connect(receive_buffer=65536) as wire:
        wire.send(_request(without()))
        assert wire.read_head()[0] == 101
        eventually(lambda: back.open_connections == 0, 20, "the service gave up")
    assert sent < 32 << 20


def test_a_drain_ends_connections_at_its_deadline(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    echo = websocket()
    front = gateway(sockets(echo))
    with dial(front) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"
        front.stop(2.0)
        assert closed(client) == 1001
    assert front.log_line(status=101)["reason"] == "shutting_down"


def test_a_reload_ends_connections_of_changed_routes_only(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    echo = websocket()

    def config(**changes: Any) -> configs.Config:
        both = sockets(echo, template="/a")
        both["routes"]["other"] = configs.route("/b", "GET", websocket={}, **changes)
        return both

    front = gateway(config())
    with dial(front, "/a") as stays, dial(front, "/b") as goes:
        front.reload(config(timeouts={"connect": "1s"}))
        goes.send("x")
        assert goes.recv(timeout=10) == "x"
        front.reload(config(path={"allow": "semicolon"}))
        assert closed(goes) == 1001
        stays.send("x")
        assert stays.recv(timeout=10) == "x"
    line = front.log_line(route="other")
    assert (line["status"], line["reason"]) == (101, "route_changed")


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
def test_a_message_has_a_bound(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], listener_tls: Any, client_tls: Any,
    over_tls: bool,
) -> None:  # fmt: skip
    seen: list[int] = []

    def measure(connection: ServerConnection) -> None:
        for message in connection:
            seen.append(len(message))
            connection.send(str(len(message)))

    echo = websocket(measure)
    listeners = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}} if over_tls else configs.listener()
    front = gateway({**sockets(echo, {"message": "1000B"}), "listeners": listeners})
    with dial(front, tls=client_tls if over_tls else None) as client:
        client.send("x" * 1000)
        assert client.recv(timeout=10) == "1000"
        client.send(iter(["x" * 500, "x" * 500]))
        assert client.recv(timeout=10) == "1000"
        # The end of the message may meet a connection that is closed already.
        with contextlib.suppress(ConnectionClosed):
            client.send(iter(["x" * 500, "x" * 501]))
        assert closed(client) == 1009
    assert front.log_line(status=101)["reason"] == "websocket_message_too_large"
    eventually(lambda: len(echo.ends) == 1, what="the service's side closed")
    assert seen == [1000, 1000]


def test_a_message_of_the_service_has_a_bound(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    def shout(connection: ServerConnection) -> None:
        connection.send("x" * 1001)
        for _ in connection:
            pass

    echo = websocket(shout)
    front = gateway(sockets(echo, {"message": "1000B"}))
    with dial(front) as client:
        assert closed(client) == 1001
    eventually(lambda: [code for code, _ in echo.ends] == [1009], what="the service's side closed")


NO_FRAMES = {
    "no mask": b"\x81\x05hello",
    "an unknown kind": b"\x83\x80abcd",
    "a reserved bit": b"\xc1\x80abcd",
    "a request": b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_FRAMES)
def test_what_is_no_frame_does_not_pass(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], name: str
) -> None:
    back, seen = origin(), bytearray()

    def listen(stage: Stage) -> None:
        stage.send(f"{SWITCH}\r\n".encode())
        while True:
            seen.extend(stage.pending)
            stage.pending = b""
            stage.more()

    back.behaviour = listen
    front = gateway(configs.public(back, websocket={}))
    with front.connect() as wire:
        wire.send(_request(without()))
        assert wire.read_head()[0] == 101
        wire.send(b"\x82\x82abcd__" + NO_FRAMES[name])
        assert wire.rest() == b"\x88\x02\x03\xea"
    assert front.log_line(status=101)["reason"] == "websocket_fault"
    eventually(lambda: back.open_connections == 0, what="the service's side closed")
    assert not seen or seen.startswith(b"\x82\x82abcd__") and seen[8:9] in (b"", b"\x88"), bytes(seen)


def test_a_service_that_sends_no_frames(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    back = origin()
    back.sends(f"{SWITCH}\r\n".encode() + b"\x81\x02ok\x81\x82abcdok")
    front = gateway(configs.public(back, websocket={}))
    with front.connect() as wire:
        wire.send(_request(without()))
        assert wire.read_head()[0] == 101
        assert wire.rest().endswith(b"\x88\x02\x03\xe9")
    assert front.log_line(status=101)["reason"] == "service_response_invalid"
