"""THREATS 27, CVE-2025-8671: streams that the gateway is made to reset count as if the client had reset them."""

from __future__ import annotations

import struct

from tests.support import configs, http2
from tests.support.http2 import HEADERS, REQUEST, WINDOW_UPDATE, frame

NOTHING = struct.pack(">I", 0)


def test_made_you_reset(run, origin):
    process = run({**configs.public(origin()), "listeners": http2.listener()})

    def blocks(number: int) -> bytes:
        first = 1 + number * 100
        return b"".join(
            frame(HEADERS, 5, stream, REQUEST) + frame(WINDOW_UPDATE, 0, stream, NOTHING)
            for stream in range(first, first + 100, 2)
        )

    assert http2.attack(process, blocks) > 0
