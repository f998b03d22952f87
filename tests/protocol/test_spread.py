"""Long connections do not pile up on one worker; short ones stay where they came in."""

from __future__ import annotations

from tests.support import configs
from tests.support.wire import Wire


def by_worker(gate):
    return gate.status()["listeners"][0]["connections_by_worker"]


def test_sixteen_long_connections_on_two_workers_end_at_most_ten_to_six(gateway, origin):
    service = origin()
    for _ in range(8):
        gate = gateway(configs.public(service), workers=2)
        wires = [Wire(gate.address()) for _ in range(16)]
        assert all(wire.ask(target="/a").status == 200 for wire in wires)
        counts = by_worker(gate)
        assert sum(counts) == 16 and max(counts) <= 10, counts
        for wire in wires:
            wire.close()
        gate.stop()


def test_short_connections_are_not_handed_over(gateway, origin):
    gate = gateway(configs.public(origin()), workers=2)
    for _ in range(100):
        assert gate.get("/a").status == 200
    assert gate.metric("yett_connections_moved_total") == 0
