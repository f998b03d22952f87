"""One of two services is killed and comes back, again and again, under load: not one request fails.

`YETT_KILLS=100` kills a hundred times instead of ten.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from tests.support import configs
from tests.support.victim import Victim, answer
from tests.support.waiting import eventually

KILLS = int(os.environ.get("YETT_KILLS", "10"))
CLIENTS = 6
MORE = 40
BETWEEN = 60
"""Answers between two events."""


class Load:
    """Clients that ask one idempotent request after the other, and note whatever is not its answer."""

    def __init__(self, gate: Any) -> None:
        self.gate = gate
        self.stop = threading.Event()
        self.done = [0] * CLIENTS
        self.faults: list[str] = []
        self.threads = [threading.Thread(target=self.client, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, number: int) -> None:
        try:
            with self.gate.connect(timeout=30) as wire:
                while not self.stop.is_set():
                    method = ("GET", "PUT", "DELETE")[self.done[number] % 3]
                    body = b"" if method == "GET" else os.urandom(8).hex().encode() * (1 + number * 400)
                    reply = wire.ask(method, f"/{number}", body=body)
                    assert reply.status == 200, (reply.status, reply.reason)
                    assert reply.body == answer(method.encode(), body), "another request's answer"
                    self.done[number] += 1
        except Exception as error:
            self.faults.append(f"client {number}: {type(error).__name__}: {error}")

    def goes_on(self, count: int = BETWEEN) -> None:
        before = sum(self.done)
        eventually(lambda: self.faults or sum(self.done) >= before + count, 60, "load")
        assert not self.faults, self.faults

    def end(self) -> int:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        return sum(self.done)


def retries(gate: Any) -> float:
    return float(gate.metric("yett_service_retries_total"))


def test_kills_and_returns_lose_no_request(gateway):
    services = [Victim(), Victim()]
    try:
        config: dict[str, Any] = {
            "services": {
                "origin": {
                    "endpoints": [service.url for service in services],
                    "plaintext": "test",
                    "retry": {"retries": 1},
                    "circuit_breaker": {"failures": 5, "open": "500ms"},
                }
            },
            "routes": {"open": configs.route()},
        }
        gate = gateway(config, workers=2)
        load = Load(gate)
        try:
            number = 0
            # Where chance had it that nothing was under way at any that was killed, some more are.
            while number < KILLS or (number < KILLS + MORE and not retries(gate)):
                victim = services[number % 2]
                number += 1
                load.goes_on()
                victim.kill()
                load.goes_on()
                victim.start()
                # The other one is next: as long as a circuit is open there is nobody else to ask.
                eventually(lambda: gate.metric("yett_circuit_state") == 0, 20, "closed circuits")
            load.goes_on()
        finally:
            total = load.end()
        assert not load.faults, load.faults
        print(f"{number} kills, {total} requests, {retries(gate):.0f} retries")
        assert gate.metric("yett_requests_total", status="2xx") == total
        assert gate.metric("yett_requests_total") == total
        assert retries(gate) > 0, "no request was ever under way at a service that was killed"
    finally:
        for service in services:
            service.kill()
