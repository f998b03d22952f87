"""Threat: crowds of handshakes, finished or not, keep other clients waiting."""

from __future__ import annotations

import contextlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Wire, head


class Slow:
    """A client whose handshake goes on only when it is told to."""

    def __init__(self, gate: Any, tls: ssl.SSLContext) -> None:
        self.wire = gate.connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = tls.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            self.session.do_handshake()
        self.hello = self.outgoing.read()

    def _step(self, work: Any) -> Any:
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                self.wire.try_send(self.outgoing.read())
                data = self.wire.socket.recv(65536)
                if not data:
                    raise ConnectionError("closed by the gateway") from None
                self.incoming.write(data)

    def finish(self) -> bytes:
        """The rest of the handshake, and a request; the start of its answer."""
        self._step(self.session.do_handshake)
        self.session.write(head("GET", "/x", [("Connection", "close")], host="localhost"))
        self.wire.send(self.outgoing.read())
        return bytes(self._step(lambda: self.session.read(12)))


def config(origin: Any, listener_tls: dict[str, Any], **listener: Any) -> dict[str, Any]:
    return {
        **configs.public(origin),
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls, **listener}},
    }


@pytest.fixture
def crowd() -> Any:
    with contextlib.ExitStack() as stack:

        def start(gate: Any, tls: ssl.SSLContext, count: int) -> list[Slow]:
            made = [Slow(gate, tls) for _ in range(count)]
            for one in made:
                stack.callback(one.wire.close)
            return made

        yield start


def test_a_crowd_is_computed_beside_the_worker_and_everybody_is_served(
    gateway, origin, listener_tls, client_tls, crowd
):
    """Hellos that come at once do not keep the worker's open connections waiting for each other's arithmetic."""
    service = origin()
    gate = gateway(config(service, listener_tls))
    with gate.connect(tls=client_tls, server_name="localhost") as alone:
        assert alone.ask("GET", "/x").status == 200
        assert gate.metric("yett_tls_handshakes_elsewhere_total") == 0, (
            "one after the other stay on the worker"
        )
        clients = crowd(gate, client_tls, 60)
        for one in clients:
            one.wire.send(one.hello)
        assert alone.ask("GET", "/x").status == 200
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(Slow.finish, clients)) == {b"HTTP/1.1 200"}
    assert gate.metric("yett_tls_handshakes_elsewhere_total") > 0
    assert gate.metric("yett_tls_handshake_failures_total") == 0
    assert len(service.requests) == 62


def test_a_bound_on_handshakes_makes_others_wait_not_fail(
    gateway, origin, listener_tls, client_tls, crowd, workers
):
    gate = gateway(config(origin(), listener_tls, limits={"handshakes": 1}), workers)
    clients = crowd(gate, client_tls, 20)
    for one in clients:
        one.wire.send(one.hello)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(Slow.finish, clients)) == {b"HTTP/1.1 200"}
    assert gate.metric("yett_tls_handshake_failures_total") == 0


def test_clients_that_stop_half_way_hold_their_places_for_a_while_only(
    gateway, origin, listener_tls, client_tls, crowd
):
    service = origin()
    limits, timeouts = {"handshakes": 2}, {"handshake": "700ms"}
    gate = gateway(config(service, listener_tls, limits=limits, timeouts=timeouts))
    stalled = crowd(gate, client_tls, 2)
    for one in stalled:
        one.wire.send(one.hello)
        assert one.wire.socket.recv(1), "it has its place"

    def late() -> bool:
        try:
            return bool(gate.get("/x", tls=client_tls, server_name="localhost").status == 200)
        except (OSError, AssertionError):
            return False

    # Both places are taken: who comes now waits, and is served once they are free.
    eventually(late, what="the places are free again")
    assert gate.metric("yett_tls_handshake_failures_total", cause="timeout") >= 2
    assert len(service.requests) == 1


def test_places_that_stay_taken_are_busy(gateway, origin, listener_tls, client_tls, crowd):
    """All of a short time passes with every place taken: closed, and counted as that."""
    gate = gateway(config(origin(), listener_tls, limits={"handshakes": 1}, timeouts={"handshake": "3s"}))
    clients = crowd(gate, client_tls, 6)
    for one in clients:
        one.wire.send(one.hello)
    failures = "yett_tls_handshake_failures_total"
    eventually(lambda: gate.metric(failures) == 6)
    assert gate.metric(failures, cause="busy") + gate.metric(failures, cause="timeout") == 6
    assert gate.metric(failures, cause="busy") >= 1


def test_who_says_nothing_holds_no_place(gateway, origin, listener_tls, client_tls):
    gate = gateway(config(origin(), listener_tls, limits={"handshakes": 1}))
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            wire: Wire = stack.enter_context(gate.connect())
            wire.send(b"\x16\x03\x01")
        assert gate.get("/x", tls=client_tls, server_name="localhost").status == 200


def test_a_hello_of_which_too_much_is_held_is_closed(gateway, origin, listener_tls, client_tls):
    """One message in four records, all but its end: what the library would wait for, four times the bound."""
    gate = gateway(config(origin(), listener_tls))
    message = b"\x01\x00\xfe\x00" + bytes(0xFD00)
    parts = [message[at : at + 16_000] for at in range(0, len(message), 16_000)]
    with gate.connect() as wire:
        wire.try_send(b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts))
        assert wire.closed()
    failures = "yett_tls_handshake_failures_total"
    eventually(lambda: gate.metric(failures, cause="hello_too_long") == 1)
    assert gate.get("/x", tls=client_tls, server_name="localhost").status == 200
