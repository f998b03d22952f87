"""Bodies: streamed both ways with backpressure, limited, 100-continue after the checks, refusals that can be read."""

from __future__ import annotations

import contextlib
import threading

import pytest

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head

BIG = bytes(range(256)) * 4096 * 3  # 3 MiB


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway(configs.public(service, limits={"body": "64MiB"})), service


def chunked(data: bytes, size: int) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 4096, 65537, 1 << 20])
def test_bodies_pass_unchanged_both_ways(shop, size):
    gate, service = shop
    data = BIG[: min(len(BIG), size * 200)]
    service.behaviour = lambda stage: (
        stage.read_body(),
        stage.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(data, size)),
    )
    with gate.connect(timeout=30) as wire:
        wire.send(head("POST", "/a", {"Transfer-Encoding": "chunked"}) + chunked(data, size))
        assert wire.reply().body == data
        assert wire.ask("POST", "/b", body=data).body == data
    assert [seen.body == data for seen in service.requests] == [True, True]
    assert service.requests[0]["transfer-encoding"] == "chunked"
    assert service.requests[1]["content-length"] == str(len(data))


def test_a_request_body_streams(shop):
    """The service reads the first part before the client sends the second."""
    gate, service = shop
    first, second = threading.Event(), threading.Event()

    def slow(stage):
        assert stage.read_line() == b"5"
        assert stage.read_exactly(7) == b"first\r\n"
        first.set()
        assert second.wait(10)
        stage.read_body()
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    service.behaviour = slow
    with gate.connect() as wire:
        wire.send(head("POST", "/a", {"Transfer-Encoding": "chunked"}) + b"5\r\nfirst\r\n")
        assert first.wait(10)
        wire.send(b"6\r\nsecond\r\n0\r\n\r\n")
        second.set()
        assert wire.reply().status == 200


def test_an_answer_streams(shop):
    """The client reads the first part before the service sends the second."""
    gate, service = shop
    seen = threading.Event()

    def slow(stage):
        stage.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        )
        assert seen.wait(10)
        stage.send(b"6\r\nsecond\r\n0\r\n\r\n")

    service.behaviour = slow
    with gate.connect() as wire:
        wire.send(head("GET", "/a"))
        wire.read_head()
        assert b"first" in wire.until(b"first") + b"first"
        seen.set()
        wire.until(b"second")


def test_a_slow_reader_holds_up_the_service(gateway, origin):
    """200 MB for a client that does not read: the service is held up, and the gateway buffers next to nothing."""
    service = origin()
    gate = gateway(configs.public(service))
    total, sent, part = 200_000_000, 0, b"x" * 1_000_000

    def pour(stage):
        nonlocal sent
        stage.read_body()
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            stage.send(part)
            sent += len(part)

    service.behaviour = pour
    with gate.connect(receive_buffer=65536, timeout=60) as wire:
        wire.send(head("GET", "/a"))
        wire.read_head()
        last = -1

        def still():
            nonlocal last
            before, last = last, sent
            return before == last > 0

        eventually(
            lambda: not threading.Event().wait(0.2) and still(), within=20, what="the service to be held up"
        )
        assert sent < 40_000_000, f"{sent} bytes taken for a client that does not read"
        assert gate.metric("yett_buffered_bytes") < 4_000_000
        got = len(wire.pending)
        wire.pending = b""
        while got < total:
            data = wire.socket.recv(1 << 20)
            assert data
            got += len(data)
    eventually(lambda: gate.metric("yett_buffered_bytes") == 0, what="the buffers given back")


def test_a_slow_service_holds_up_the_client(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service, limits={"body": "500MiB"}))
    go = threading.Event()

    def wait(stage):
        assert go.wait(30)
        stage.read_body()
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    service.behaviour = wait
    total = 100_000_000
    with gate.connect(timeout=1.0) as wire:
        wire.send(head("POST", "/a", {"Content-Length": str(total)}))
        sent = 0
        part = b"x" * 65536
        try:
            while sent < total:
                sent += wire.socket.send(part[: total - sent])
        except TimeoutError:
            pass
        assert sent < 40_000_000, f"{sent} bytes taken for a service that does not read"
        assert gate.metric("yett_buffered_bytes") < 4_000_000
        wire.socket.settimeout(30)
        go.set()
        while sent < total:
            sent += wire.socket.send(part[: total - sent])
        assert wire.reply().status == 200
    assert len(service.only.body) == total


# limits


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_past_the_limit_is_413(gateway, origin, framing):
    service = origin()
    gate = gateway(configs.public(service, limits={"body": "1KiB"}))
    with gate.connect() as wire:
        data = b"x" * 1025
        if framing == "length":
            answer = wire.ask("POST", "/a", body=data)
            assert service.saw_nothing()
        else:
            answer = wire.send(
                head("POST", "/a", {"Transfer-Encoding": "chunked"}) + chunked(data, 100)
            ).reply()
            assert not any(seen.complete for seen in service.requests)
        assert (answer.status, answer.reason) == (413, "body_too_large")
    seen = len(service.requests)
    assert gate.post("/a", b"x" * 1024).status == 200
    with gate.connect() as wire:
        assert (
            wire.send(head("POST", "/a", {"Transfer-Encoding": "chunked"}) + chunked(b"x" * 1024, 100))
            .reply()
            .status
            == 200
        )
    assert service.saw_no_more_than(seen + 2)


def test_one_huge_chunk_is_refused_by_its_size(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service, limits={"body": "1KiB"}))
    with gate.connect() as wire:
        wire.send(head("POST", "/a", {"Transfer-Encoding": "chunked"}) + b"ffffffff\r\n")
        assert wire.reply().reason == "body_too_large"
    assert not any(seen.complete for seen in service.requests)


def test_a_client_that_sends_10_megabytes_reads_its_401(gateway, origin, issuer, tmp_path):
    service = origin()
    config = configs.protected(service, issuer(), tmp_path, limits={"body": "64MiB"})
    gate = gateway(config)
    for framing in ("length", "chunked"):
        with gate.connect() as wire:
            data = b"x" * 10_000_000
            if framing == "length":
                wire.send(head("POST", "/closed", {"Content-Length": str(len(data))}))
            else:
                wire.send(head("POST", "/closed", {"Transfer-Encoding": "chunked"}))
                data = chunked(data, 50_000)
            for start in range(0, len(data), 100_000):
                if not wire.try_send(data[start : start + 100_000]):
                    break
            answer = wire.reply()
            assert (answer.status, answer.reason) == (401, "credential_missing")
    assert service.saw_nothing()


def test_a_small_unread_body_keeps_the_connection(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(configs.protected(service, identity, tmp_path))
    with gate.connect() as wire:
        assert wire.ask("POST", "/closed", body=b"x" * 1000).status == 401
        if not wire.closed(0.1):
            assert wire.ask("POST", "/closed", identity.bearer(), body=b"y").status == 200
            assert service.only.body == b"y"


# 100-continue


def test_continue_is_sent_only_after_the_checks(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(configs.protected(service, identity, tmp_path))
    fields = {"Expect": "100-continue", "Content-Length": "5"}
    with gate.connect() as wire:
        wire.send(head("POST", "/closed", {**fields, **identity.bearer()}))
        assert wire.read_head()[0] == 100
        wire.send(b"hello")
        assert wire.reply().status == 200
    assert service.only.body == b"hello"
    assert "expect" not in service.only
    for headers in ({}, identity.bearer(exp=1)):
        with gate.connect() as wire:
            answer = wire.send(head("POST", "/closed", {**fields, **headers})).reply()
            assert (answer.status, answer.interim) == (401, [])
    with gate.connect() as wire:
        answer = wire.send(
            head(
                "POST",
                "/closed",
                {"Expect": "100-continue", "Content-Length": "50000000", **identity.bearer()},
            )
        ).reply()
        assert (answer.status, answer.interim, answer.reason) == (413, [], "body_too_large")
    assert service.saw_no_more_than(1)


def test_another_expectation_is_417(shop):
    gate, service = shop
    answer = gate.post("/a", b"x", {"Expect": "a-miracle"})
    assert (answer.status, answer.reason) == (417, "expectation_failed")
    assert service.saw_nothing()


# buffers


def test_buffers_are_bounded_for_the_process(gateway, origin):
    """Many clients with bodies that the service does not read: some get 503, and none takes more than the bound."""
    service = origin()
    go = threading.Event()

    def hold(stage):
        go.wait(30)
        reply()(stage)

    service.paths["/hold"] = hold
    config = configs.public(service, limits={"body": "64MiB"})
    config["process"] = {"buffered_bytes": "1MiB"}
    gate = gateway(config)
    wires, statuses = [], []
    part = b"x" * 60_000
    for _ in range(60):
        wire = gate.connect(timeout=0.05)
        wires.append(wire)
        wire.send(head("POST", "/hold", {"Content-Length": "2000000"}))
        try:
            for _ in range(20):
                wire.socket.sendall(part)
        except (TimeoutError, OSError):
            pass
        assert gate.metric("yett_buffered_bytes") <= 1 << 20
    for wire in wires:
        try:
            statuses.append(wire.reply())
        except (TimeoutError, Truncated, OSError):
            pass
    go.set()
    for answer in statuses:
        assert (answer.status, answer.reason) == (503, "buffer_exhausted")
    for wire in wires:
        wire.close()
    eventually(lambda: gate.metric("yett_buffered_bytes") == 0, what="the buffers given back")
    assert gate.get("/after").status == 200


def test_a_length_alone_takes_nothing_from_others(gateway, origin):
    """A body that is held is given room as it comes: who only announces a large one keeps nobody else out."""
    service = origin()
    config = configs.public(service, request_validation={"json_limits": {"depth": 4}})
    config["routes"]["free"] = configs.route("/free")
    config["process"] = {"buffered_bytes": "4MiB"}
    gate = gateway(config)
    fields = {"Content-Type": "application/json", "Content-Length": str(1 << 20), "Expect": "100-continue"}
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            wire = stack.enter_context(gate.connect())
            wire.send(head("POST", "/a", fields))
            assert wire.read_head()[0] == 100
        assert gate.get("/free").status == 200
        wire.send(b'"' + b"x" * ((1 << 20) - 2) + b'"')
        assert wire.reply().reason == "json_too_complex", "all of it was held and read"
    assert service.only.target == "/free"


# broken off


def test_a_client_that_leaves_in_the_body_is_no_whole_request(shop):
    gate, service = shop
    with gate.connect() as wire:
        wire.send(head("POST", "/a", {"Content-Length": "100"}) + b"half")
        service.wait_for(1)
    eventually(lambda: service.open_connections == 0, what="the service's connection closed")
    assert not service.only.complete
    eventually(lambda: gate.log_lines(), what="the log line")


def test_half_closed_clients_get_their_answer(shop):
    gate, _service = shop
    with gate.connect() as wire:
        wire.send(head("GET", "/a"))
        wire.half_close()
        assert wire.reply().status == 200


def test_a_service_that_breaks_off_is_visible_to_the_client(shop):
    gate, service = shop
    for start in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ):
        service.sends(start, close=True)
        with gate.connect() as wire:
            try:
                answer = wire.ask(target="/a")
            except Truncated:
                continue
            assert answer.status == 502
    lines = gate.wait_log(2)
    assert all(line["fault"] == "service" for line in lines), lines
