"""Threat: one client takes every connection. It gets `connections_per_address`, and others are served."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests.protocol.test_proxy_protocol import announce
from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Wire
from yett.errors import ConfigurationError

CAP = {"connections": 200, "connections_per_address": 5}


def refused(gate: Any, cause: str = "address") -> float:
    return gate.metric("yett_connections_refused_total", cause=cause)


def serves(wire: Wire) -> bool:
    """Whether the connection is open and answered; a refused one is told so, and closed."""
    try:
        reply = wire.ask("GET", "/x")
    except (AssertionError, OSError):
        return False
    assert reply.status == 200 or (reply.status, reply.reason) == (503, "connection_limit")
    return reply.status == 200


def crowd(
    stack: contextlib.ExitStack, gate: Any, count: int, before: bytes = b"", **options: Any
) -> list[bool]:
    """Opens so many connections, which stay open; which of them are served."""
    wires = [stack.enter_context(gate.connect(**options)) for _ in range(count)]
    for wire in wires:
        wire.try_send(before)
    return [serves(wire) for wire in wires]


def test_one_address_gets_its_part_and_others_are_served(gateway, origin, workers):
    service = origin()
    gate = gateway({**configs.public(service), "listeners": configs.listener(limits=CAP)}, workers)
    with contextlib.ExitStack() as stack:
        assert sum(crowd(stack, gate, 60, source=("127.0.0.9", 0))) == 5
        assert refused(gate) == 55
        assert all(crowd(stack, gate, 5, source=("127.0.0.8", 0)))
        assert gate.get("/x").status == 200
        assert len(service.requests) == 5 + 5 + 1
    # Who leaves makes room.
    eventually(lambda: gate.status()["connections"] == 0)
    with contextlib.ExitStack() as stack:
        assert all(crowd(stack, gate, 5, source=("127.0.0.9", 0)))
    assert refused(gate) == 55 and refused(gate, "listener") == 0


def test_refused_connections_hold_nothing(gateway, origin, workers):
    """Attacked for a while: what stays open is the cap, and another client is served all the time."""
    gate = gateway({**configs.public(origin()), "listeners": configs.listener(limits=CAP)}, workers)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(gate.connect(source=("127.0.0.9", 0))) for _ in range(5)]
        assert all(serves(wire) for wire in held)
        for _ in range(20):
            for _ in range(20):
                gate.connect(source=("127.0.0.9", 0)).close()
            assert gate.get("/x").status == 200
        eventually(lambda: refused(gate) >= 400)
        eventually(lambda: gate.status()["connections"] <= 6)
        assert all(serves(wire) for wire in held)


def test_tls_connections_are_closed_without_a_word(gateway, origin, listener_tls, client_tls):
    limits = {"connections": 200, "connections_per_address": 1}
    main = {"main": {"address": "127.0.0.1:0", "tls": listener_tls, "limits": limits}}
    gate = gateway({**configs.public(origin()), "listeners": main})
    with gate.connect(tls=client_tls, server_name="localhost") as wire:
        assert serves(wire)
        with gate.connect() as second:
            assert second.closed()
        # A handshake that is not done counts as well.
        with gate.connect(source=("127.0.0.9", 0)), gate.connect(source=("127.0.0.9", 0)) as third:
            assert third.closed()
        assert serves(wire)
    assert refused(gate) == 2


@pytest.mark.parametrize(
    ("sources", "served"),
    [
        (["203.0.113.9"] * 4 + ["::ffff:203.0.113.9"] * 4, 5),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "2001:db8:0:0:1::"] * 2, 5),
        (["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "203.0.113.9"] * 2, 8),
    ],
)
def test_behind_a_balancer_the_client_counts(gateway, origin, workers, sources, served):
    """The balancer itself has more connections than one client may."""
    proxied = {"addresses": ["127.0.0.0/8"]}
    listener = configs.listener(limits=CAP, proxy_protocol=proxied)
    gate = gateway({**configs.public(origin()), "listeners": listener}, workers)
    with contextlib.ExitStack() as stack:
        results = [crowd(stack, gate, 1, announce(source))[0] for source in sources]
        assert sum(results) == served
        assert all(crowd(stack, gate, 5, announce("198.51.100.7")))
    assert refused(gate) == len(sources) - served


def test_beside_a_balancer_a_stranger_is_counted_before_it_says_anything(gateway, origin, workers):
    """Who does not announce stands for itself, and need not be heard first for that."""
    proxied = {"proxy_protocol": {"addresses": ["127.0.0.7"]}, "timeouts": {"handshake": "60s"}}
    listener = configs.listener(limits=CAP, **proxied)
    gate = gateway({**configs.public(origin()), "listeners": listener}, workers)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(gate.connect(source=("127.0.0.9", 0)))
        eventually(lambda: refused(gate) == 15)
        assert all(crowd(stack, gate, 5, source=("127.0.0.8", 0)))
        assert sum(crowd(stack, gate, 8, announce("198.51.100.7"), source=("127.0.0.7", 0))) == 5


def test_proxies_that_forward_for_many_are_not_counted(gateway, origin):
    trusted = {"addresses": ["127.0.0.7"], "header": "x-forwarded-for"}
    listener = configs.listener(limits=CAP, trusted_proxies=trusted)
    gate = gateway({**configs.public(origin()), "listeners": listener})
    with contextlib.ExitStack() as stack:
        assert all(crowd(stack, gate, 20, source=("127.0.0.7", 0)))
        assert sum(crowd(stack, gate, 20, source=("127.0.0.9", 0))) == 5


def test_a_reload_counts_on_and_takes_a_new_limit(gateway, origin):
    service = configs.public(origin())
    gate = gateway({**service, "listeners": configs.listener(limits=CAP)})
    with contextlib.ExitStack() as stack:
        assert all(crowd(stack, gate, 4, source=("127.0.0.9", 0)))
        gate.reload({**service, "defaults": {"limits": {"connections_per_address": 6}}})
        assert sum(crowd(stack, gate, 5, source=("127.0.0.9", 0))) == 2
        gate.reload(service)
        assert all(crowd(stack, gate, 5, source=("127.0.0.9", 0)))


def test_a_cap_that_is_none_does_not_load(gateway, origin):
    limits = {"connections": 5, "connections_per_address": 5}
    with pytest.raises(ConfigurationError, match="one address would get all of them"):
        gateway({**configs.public(origin()), "listeners": configs.listener(limits=limits)})
