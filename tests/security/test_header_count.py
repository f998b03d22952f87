"""THREATS 27: many small fields are counted, in HTTP/2 too, where compression makes them cheap to send."""

from __future__ import annotations

import pytest

from tests.support import configs, http2
from tests.support.http2 import HEADERS, REQUEST, frame

CRUMB = b"\x60\x01a"  # cookie, indexed name 32: added to the table; 0xbe is the newest entry.
SHORT = b"\x40\x01x\x01y"


@pytest.mark.parametrize("first", [CRUMB, SHORT], ids=["crumbs", "one-byte"])
@pytest.mark.parametrize(("count", "passes"), [(99, True), (101, False)])
def test_repeated_fields_count_each(gateway, origin, first, count, passes):
    service = origin()
    gate = gateway({**configs.public(service), "listeners": http2.listener(limits={"headers": 100})})
    with http2.raw(gate.address()) as client:
        client.sendall(frame(HEADERS, 5, 1, REQUEST + first + b"\xbe" * (count - 1)))
        line = gate.wait_log()[0]
    if passes:
        assert line["status"] == 200
        service.wait_for(1)
    else:
        assert (line["status"], line["reason"]) == (431, "headers_too_large")
        assert service.saw_nothing()
