"""THREATS 27, CVE-2023-44487: streams that are begun and reset at once end the connection, and nobody else suffers."""

from __future__ import annotations

import struct

from tests.support import configs, http2
from tests.support.http2 import HEADERS, REQUEST, RST_STREAM, frame

CANCEL = struct.pack(">I", 8)


def test_rapid_reset(run, origin):
    process = run({**configs.public(origin()), "listeners": http2.listener()})

    def blocks(number: int) -> bytes:
        first = 1 + number * 100
        return b"".join(
            frame(HEADERS, 5, stream, REQUEST) + frame(RST_STREAM, 0, stream, CANCEL)
            for stream in range(first, first + 100, 2)
        )

    assert http2.attack(process, blocks) > 0
