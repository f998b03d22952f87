"""Threat: bytes of one request's body are read as a part of another request, which may be somebody else's.

Whatever stands before the gateway puts requests of many callers on one connection.
"""

from __future__ import annotations

import threading

import pytest

from tests.support import assertions, configs, http2
from tests.support.http2_peer import Http2Client, Stream
from tests.support.wire import head

OWN = b"name=alice"
LEFT = b"name=mallory&role=admin&"


def fill(stream: Stream) -> None:
    """Sends until nobody takes any more."""
    connection = stream.connection
    with connection.changed:
        while connection.changed.wait_for(
            lambda: connection.lib.local_flow_control_window(stream.number) > 0, 0.5
        ):
            room = connection.lib.local_flow_control_window(stream.number)
            connection.lib.send_data(stream.number, b"x" * min(room, 16_384))
            connection.flush()


def test_what_is_left_of_a_refused_body_is_not_in_the_next(gateway, origin):
    """The end of a body that was too large stays unread; the next stream takes over the place of this one."""
    service = origin()
    config = configs.public(service, limits={"body": "16KiB"})
    gate = gateway({**config, "listeners": http2.listener()})
    with Http2Client(gate.address()) as client:
        for number in range(3):
            refused = client.begin("POST", f"/large/{number}")
            refused.data(b"x" * 20_000 + LEFT, end=True)
            assert refused.status == 413
            refused.read()
            assert client.post(f"/small/{number}", OWN).status == 200
    bodies = [seen.body for seen in service.requests if seen.target.startswith("/small")]
    assert bodies == [OWN] * 3
    assert not any(seen.complete for seen in service.requests if seen.target.startswith("/large"))


@pytest.mark.parametrize("length", [(), (("content-length", str(len(OWN))),)], ids=["unknown", "known"])
def test_what_is_left_of_a_body_that_was_taken_back_is_not_in_the_next(gateway, origin, length):
    """The service reads nothing, the client gives up: what waited for the service is nobody's."""
    service, go = origin(), threading.Event()
    service.paths["/stuck"] = lambda stage: go.wait(30)
    gate = gateway({**configs.public(service, limits={"body": "64MiB"}), "listeners": http2.listener()})
    try:
        with Http2Client(gate.address()) as client:
            stuck = client.begin("POST", "/stuck")
            fill(stuck)
            stuck.reset()
            gate.wait_log(1)  # its place is free again
            answer = client.begin("POST", "/small", length)
            answer.data(OWN, end=True)
            answer.read()
            assert answer.status == 200
    finally:
        go.set()
    assert [seen.body for seen in service.requests if seen.target == "/small"] == [OWN]


def test_a_body_that_nobody_read_is_not_the_next_request(gateway, origin, issuer, tmp_path):
    """What is to be said of the caller is too long, so that nothing of the request is sent."""
    keys = assertions.make_keys(tmp_path)
    service, vouches = origin(), issuer()
    config = configs.protected(service, vouches, tmp_path)
    config["identity"] = assertions.identity(keys)
    config["identity_providers"]["id"]["claims"] = {"first": "about", "second": "about"}
    config["services"]["told"] = configs.service(service, identity_assertion={"claims": ["first", "second"]})
    config["routes"]["closed"]["service"] = "told"
    gate = gateway(config)
    hidden = head("GET", "/open/hidden")
    much = vouches.bearer(about="x" * 4000)
    with gate.connect() as wire:
        wire.send(head("POST", "/closed", {**much, "Content-Length": str(len(hidden))}) + hidden)
        assert wire.reply().reason == "assertion_failed"
        if not wire.closed(0.2):
            assert wire.ask(target="/open/next").status == 200
    assert not any("hidden" in seen.target for seen in service.requests)
