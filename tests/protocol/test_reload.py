"""Reload: whole or not at all, no request fails for it; stop drains."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head


def test_no_request_fails_while_configurations_change(gateway, origin, workers):
    """Four clients on kept connections and four with new ones, twenty reloads between two services."""
    first, second = origin(name="first"), origin(name="second")
    first.answers(body=b"first")
    second.answers(body=b"second")
    one, two = configs.public(first), configs.public(second)
    gate = gateway(one, workers=workers)
    address = gate.address()
    one["listeners"] = two["listeners"] = configs.listener()
    stop, failures, counts = threading.Event(), [], [0] * 8
    from tests.support.wire import Wire

    def keep(number):
        try:
            with Wire(address) as wire:
                while not stop.is_set():
                    answer = wire.ask(target="/a")
                    if answer.status != 200 or answer.body not in (b"first", b"second"):
                        failures.append(answer)
                    counts[number] += 1
                    if "connection" in answer and answer["connection"].lower() == "close":
                        wire.close()
                        wire.__init__(address)
        except (Truncated, OSError) as error:
            failures.append(error)

    def new(number):
        try:
            while not stop.is_set():
                with Wire(address) as wire:
                    answer = wire.ask(target="/a")
                    if answer.status != 200:
                        failures.append(answer)
                counts[number] += 1
        except (Truncated, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=keep if number < 4 else new, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            before = sum(counts)
            gate.reload(two if number % 2 == 0 else one)
            eventually(lambda before=before: sum(counts) > before + 16 or failures)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not failures, failures[:3]
    assert all(counts)


def test_a_reload_is_in_force_when_it_returns(gateway, origin, workers):
    first, second = origin(name="first"), origin(name="second")
    gate = gateway(configs.public(first), workers=workers)
    wires = [gate.connect() for _ in range(8)]
    for wire in wires:
        assert wire.ask(target="/before").status == 200
    gate.reload(configs.public(second))
    for wire in wires:
        try:
            assert wire.ask(target="/after").status == 200
        except (Truncated, OSError):
            pass  # an idle connection may be closed by a reload
        wire.close()
    for _ in range(8):
        assert gate.get("/after").status == 200
    assert all(seen.target == "/before" for seen in first.requests)
    assert all(seen.target == "/after" for seen in second.requests)


def test_a_request_under_way_ends_with_the_revision_that_it_began_with(gateway, origin):
    first, second = origin(name="first"), origin(name="second")
    release = threading.Event()
    first.behaviour = lambda stage: (stage.read_body(), release.wait(20), reply(body=b"first")(stage))
    gate = gateway(configs.public(first))
    old = gate.revision
    with gate.connect(timeout=30) as wire:
        wire.send(head("GET", "/a"))
        first.wait_for(1)
        gate.reload(configs.public(second))
        assert gate.get("/b").status == 200
        release.set()
        assert wire.reply().body == b"first"
    assert old.startswith(gate.log_line(path="/a")["revision"])
    assert gate.revision.startswith(gate.log_line(path="/b")["revision"])
    assert gate.revision != old


def test_listeners_come_and_go(gateway, origin):
    service = origin()
    config = configs.public(service)
    gate = gateway(config)
    port = gate.port
    more = configs.deep(config)
    more["listeners"] = {**configs.listener(), "more": {"address": "127.0.0.1:0", "plaintext": "test"}}
    more["routes"]["open"]["listeners"] = {"any_of": ["main", "more"]}
    gate.reload(more)
    assert gate.port == port, "the listener that stays was bound anew"
    assert gate.get("/a", listener="more").status == 200
    other = gate.address("more")
    gate.reload(config)
    from tests.support.wire import Wire

    def gone():
        try:
            with Wire(other) as wire:
                wire.ask(target="/a")
            return False
        except (Truncated, OSError):
            return True

    eventually(gone, what="the listener to go")
    assert gate.get("/a").status == 200


def test_the_same_configuration_is_the_same_revision(gateway, origin):
    config = configs.public(origin())
    gate = gateway(config)
    before = gate.revision
    assert gate.reload(config) == before
    assert gate.status()["revision"] == before


def test_certificates_change_without_a_restart(
    gateway, origin, listener_tls, client_tls, authority, tmp_path
):
    config = configs.public(origin())
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    gate = gateway(config)

    def serial():
        with gate.connect(tls=client_tls, server_name="gateway.test") as wire:
            assert wire.ask(target="/a").status == 200
            return wire.socket.getpeercert()["serialNumber"]

    before = serial()
    fresh = authority.issue_cert("gateway.test")
    (tmp_path / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in fresh.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(fresh.private_key_pem.bytes())
    gate.reload(config)
    assert serial() != before


def test_a_key_that_does_not_fit_its_certificate_keeps_the_old_pair(
    gateway, origin, listener_tls, client_tls, authority, tmp_path
):
    config = configs.public(origin())
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    gate = gateway(config)
    (tmp_path / "key.pem").write_bytes(authority.issue_cert("x.test").private_key_pem.bytes())
    with pytest.raises(Exception):
        gate.reload(config)
    assert gate.get("/a", tls=client_tls, server_name="gateway.test").status == 200


# stop


def test_stop_lets_requests_finish(gateway, origin, workers):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20), reply(body=b"late")(stage))
    gate = gateway(configs.public(service), workers=workers)
    wire = gate.connect(timeout=30)
    idle = gate.connect()
    wire.send(head("GET", "/a"))
    service.wait_for(1)
    address = gate.address()
    stopping = threading.Thread(target=gate.stop, args=(15.0,))
    stopping.start()
    assert idle.closed(10), "an idle connection stays open in a drain"
    release.set()
    answer = wire.reply()
    assert answer.body == b"late"
    # The idle connection has shown that its worker drains; of several workers, another may be told later.
    if workers == 1:
        assert answer["connection"].lower() == "close"
    assert wire.closed()
    stopping.join(20)
    assert not stopping.is_alive()
    from tests.support.wire import Wire

    with pytest.raises(OSError):
        Wire(address)
    assert gate.log_lines()[-1]["status"] == 200, "the last line was not written"
    wire.close()
    idle.close()


def test_stop_cuts_what_is_not_done_by_the_deadline(gateway, origin):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20))
    gate = gateway(configs.public(service))
    with gate.connect(timeout=30) as wire:
        wire.send(head("GET", "/a"))
        service.wait_for(1)
        start = time.monotonic()
        gate.stop(0.5)
        assert time.monotonic() - start < 5
        try:
            assert wire.rest()[:12] in (b"", b"HTTP/1.1 503")
        except Truncated:
            pass
    release.set()


def test_stop_twice_is_stop_once(gateway, origin):
    gate = gateway(configs.public(origin()))
    gate.core.stop(1.0)
    gate.core.stop(1.0)
    gate.stopped = True


def test_reloads_leave_no_descriptors_and_no_threads(gateway, origin, issuer):
    import os

    service, identity = origin(), issuer()
    config = configs.protected(service, identity)
    gate = gateway(config)

    def resources():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def reload(number):
        changed = configs.deep(config)
        changed["routes"][f"r{number}"] = configs.route(f"/r{number}")
        gate.reload(changed)
        assert gate.get(f"/r{number}").status == 200

    for number in range(5):
        reload(number)
    before = resources()
    for number in range(40):
        reload(number)
    eventually(
        lambda: all(a <= b + 6 for a, b in zip(resources(), before, strict=True)),
        what=f"no more than {before}, now {resources()}",
    )
