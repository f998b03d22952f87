"""A second gateway on the same address does not take half of the traffic silently."""

from __future__ import annotations

import socket

import pytest

from tests.support import configs


def fixed(origin, port):
    config = configs.public(origin)
    config["listeners"] = {"main": {"address": f"127.0.0.1:{port}", "plaintext": "test"}}
    return config


@pytest.mark.parametrize("workers", [1, 4])
def test_a_second_gateway_on_the_same_address_does_not_start(gateway, origin, workers):
    first, second = origin(), origin()
    gate = gateway(configs.public(first), workers=workers)
    with pytest.raises(Exception) as caught:
        gateway(fixed(second, gate.port), workers=workers)
    assert str(gate.port) in str(caught.value) or "in use" in str(caught.value)
    for _ in range(40):
        assert gate.get("/a").status == 200
    assert second.saw_nothing()
    assert first.saw_no_more_than(40)


@pytest.mark.parametrize("reuse", [False, True])
def test_an_address_that_another_program_holds_does_not_load(gateway, origin, reuse):
    with socket.socket() as taken:
        if reuse:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Exception) as caught:
            gateway(fixed(origin(), taken.getsockname()[1]))
        assert str(taken.getsockname()[1]) in str(caught.value) or "in use" in str(caught.value)


def test_a_reload_onto_a_taken_address_keeps_the_old_one(gateway, origin):
    service = origin()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gate = gateway(configs.public(service))
        port, revision = gate.port, gate.revision
        with pytest.raises(Exception):
            gate.reload(fixed(service, taken.getsockname()[1]))
        assert (gate.port, gate.status()["revision"]) == (port, revision)
        assert gate.get("/a").status == 200


def test_the_address_is_free_again_after_a_stop(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    port = gate.port
    gate.stop()
    again = gateway(fixed(service, port))
    assert again.get("/a").status == 200


def test_two_gateways_in_one_process_on_their_own_addresses(gateway, origin):
    first, second = origin(), origin()
    one, two = gateway(configs.public(first)), gateway(configs.public(second))
    assert one.get("/one").status == two.get("/two").status == 200
    assert (first.only.target, second.only.target) == ("/one", "/two")
