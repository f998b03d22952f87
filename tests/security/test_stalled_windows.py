"""THREATS 28 (CVE-2026-47774, CVE-2026-49975): streams whose answers the client's window holds back, with many fields."""

from __future__ import annotations

import struct

import pytest

from tests.support import configs, http2
from tests.support.crowd import hold
from tests.support.http2 import HEADERS, PREFACE, REQUEST, SETTINGS, frame
from tests.support.origin import reply

NO_WINDOW = struct.pack(">HI", 4, 0)
STREAMS = 100
# `x: y`, and a crumb of a cookie, as literals that are not indexed.
FIELD = b"\x00\x01x\x01y"
CRUMB = b"\x00\x06cookie\x03a=b"


@pytest.fixture
def process(run, origin):
    service = origin()
    service.behaviour = reply(body=b"x" * 200_000)
    listener = http2.listener(timeouts={"body": "1s", "keep_alive": "1s"}, limits={"connections": 2000})
    config = configs.public(service)
    # What the gateway answers by itself: two thousand requests at once are much for the origin, and it is not on trial.
    config["routes"]["alive"] = {
        "match": {"hosts": "any", "path": "/alive", "methods": "GET"}, "access": "public", "respond": {"body": "yes"},
    }  # fmt: skip
    return run({**config, "listeners": listener})


def begin(block: bytes) -> bytes:
    heads = (frame(HEADERS, 5, stream, block) for stream in range(1, 2 * STREAMS, 2))
    return PREFACE + frame(SETTINGS, 0, 0, NO_WINDOW) + b"".join(heads)


@pytest.mark.parametrize("fields", [FIELD * 50, CRUMB * 50], ids=["fields", "crumbs"])
def test_streams_behind_a_stalled_window(process, fields):
    data = begin(REQUEST + fields)
    hold(
        process,
        lambda client: client.sendall(data),
        count=20,
        within=20,
        growth=96 << 20,
        receive_buffer=4096,
        ask=lambda: process.get("/alive").status,
    )


@pytest.mark.parametrize("fields", [FIELD * 5000, CRUMB * 2000], ids=["fields", "crumbs"])
def test_too_many_fields_on_every_stream(process, fields):
    """More fields than a request may have, on many streams that are never answered in full."""
    block = REQUEST + fields
    first, rest = block[:16_000], block[16_000:]
    data = PREFACE + frame(SETTINGS, 0, 0, NO_WINDOW)
    for stream in range(1, 40, 2):
        data += frame(HEADERS, 1, stream, first)
        data += frame(9, 4, stream, rest[:16_000])
    hold(process, lambda client: client.sendall(data), count=20, growth=96 << 20)
