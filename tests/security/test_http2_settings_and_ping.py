"""THREATS 27, CVE-2019-9512 and 9515: frames that only ask for an acknowledgement run out of allowance."""

from __future__ import annotations

import pytest

from tests.support import configs, http2
from tests.support.http2 import PING, SETTINGS, frame


@pytest.mark.parametrize(
    "block", [frame(PING, 0, 0, b"12345678") * 100, frame(SETTINGS, 0, 0) * 100], ids=["ping", "settings"]
)
def test_frames_that_ask_for_nothing(run, origin, block):
    process = run({**configs.public(origin()), "listeners": http2.listener()})
    assert http2.attack(process, lambda _: block) > 0
    assert http2.floods(process) > 0
