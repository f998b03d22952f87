"""Circuits that open and close for ever: memory and descriptors stay flat (CVE-2026-3206).

100,000 cycles of one breaker are a unit test (`resilience/breaker.rs`); these go through the front door of a real process.
`YETT_CYCLES=100000` makes them as many.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.origin import reply

CYCLES = int(os.environ.get("YETT_CYCLES", "1500"))


def usage(process: Any) -> tuple[int, int]:
    """KiB of memory and open descriptors."""
    place = Path(f"/proc/{process.process.pid}")
    line = next(line for line in (place / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]), len(list((place / "fd").iterdir()))


def cycle(wire: Any, count: int) -> None:
    for _ in range(count):
        assert wire.ask(target="/bad").body == b"no"  # the service's answer opens the circuit
        while (answer := wire.ask(target="/good")).status != 200:
            assert answer.reason == "circuit_open"


def test_cycles_cost_nothing_that_stays(run, origin):
    service = origin()
    service.paths = {"/bad": reply(503, b"no"), "/good": reply(200)}
    config = configs.public(service)
    config["services"]["origin"]["circuit_breaker"] = {"failures": 1, "open": "1ms"}
    config["access_log"] = "off"
    process = run(config, "--workers", "1")
    with process.connect() as wire:
        cycle(wire, CYCLES // 3)
        memory, descriptors = usage(process)
        cycle(wire, CYCLES)
        after, open_after = usage(process)
    assert after - memory < 4096, f"{after - memory} KiB more after {CYCLES} cycles"
    assert open_after <= descriptors + 2
    assert process.get("/good").status == 200
    assert process.stderr().count("circuit_opened") > 0
