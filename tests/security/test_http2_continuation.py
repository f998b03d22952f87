"""THREATS 27, CVE-2024-27316: a header block that never ends is neither kept nor read on for ever."""

from __future__ import annotations

from tests.support import configs, http2
from tests.support.http2 import CONTINUATION, HEADERS, REQUEST, frame


def test_continuation_flood(run, origin):
    service = origin()
    process = run({**configs.public(service), "listeners": http2.listener()})
    more = frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y" * 100) * 10

    def blocks(number: int) -> bytes:
        return more if number else frame(HEADERS, 1, 1, REQUEST)

    assert http2.attack(process, blocks) > 0
    assert {seen.target for seen in service.requests} == {"/a"}
