"""Limits and quotas in a Redis Cluster: counted exactly, wherever their slot is, and not at all where nobody has it."""

from __future__ import annotations

import concurrent.futures
import itertools
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.filters.test_quota import month, used
from tests.support import configs
from tests.support.gateway import Config, Gateway
from tests.support.origin import Origin
from tests.support.redis import Cluster, Redis
from tests.support.waiting import eventually

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    three = Cluster()
    yield three
    three.stop()


def shared(service: Origin, cluster: Cluster, prefix: str, **routes: Any) -> Config:
    config = configs.public(service)
    config["routes"] = {"ready": configs.route("/ready"), **routes}
    config["state"] = {"redis": {**cluster.config(), "prefix": prefix}}
    return config


def hour(burst: int, **changes: Any) -> Config:
    return {"hour": {"rate": "1/h", "burst": burst, "key": "route", **changes}}


def told(node: Redis, *words: str) -> list[str]:
    """All lines of an answer."""
    command = ["redis-cli", "-h", "127.0.0.1", "-p", str(node.port), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split("\n")[
        :-1
    ]


def test_two_instances_count_exactly_and_a_slot_that_moves_is_followed(
    gateway: Make, origin: Make, cluster: Cluster
) -> None:
    service = origin()
    limited = configs.route("/a", rate_limit=hour(45), quota={"all": month(44, key="route")})
    config = shared(service, cluster, "moved", limited=limited)
    gates: list[Gateway] = [gateway(config) for _ in range(2)]
    for gate in gates:
        eventually(lambda gate=gate: gate.get("/a").status == 200, 30, "the masters")
    before = len(service.requests)
    chosen = list(itertools.islice(itertools.cycle(gates), 40 - before))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {answer.status for answer in pool.map(lambda gate: gate.get("/a"), chosen)} == {200}
    assert used(gates[1]) == {("all", "everyone"): 40}

    # The slot goes to another master, key by key: first it asks there, then it has moved.
    slot = int(told(cluster.nodes[0], "CLUSTER", "KEYSLOT", "moved:{limit}:")[0])
    source = next(
        node for node in cluster.nodes if told(node, "CLUSTER", "COUNTKEYSINSLOT", str(slot)) != ["0"]
    )
    target = next(node for node in cluster.nodes if node is not source)
    names = {node.port: node.ask("CLUSTER", "MYID") for node in cluster.nodes}
    assert target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", names[source.port]) == "OK"
    assert source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", names[target.port]) == "OK"
    keys = told(source, "CLUSTER", "GETKEYSINSLOT", str(slot), "1000")
    move = ("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys)
    assert source.ask(*move) == "OK"
    assert [gate.get("/a").status for gate in gates] == [200, 200], "asked where the keys are by now"
    for node in (target, source, *cluster.nodes):
        assert node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", names[target.port]) == "OK"
    assert [gate.get("/a").status for gate in (*gates, *gates)] == [200, 200, 429, 429], "44 of 44"
    assert used(gates[0]) == {("all", "everyone"): 44}
    assert service.saw_no_more_than(44)
    third: Gateway = gateway(config)
    eventually(lambda: third.get("/a").status == 429, 30, "who comes later knows it as well")


def test_a_master_that_is_gone_is_what_the_limit_says(gateway: Make, origin: Make, cluster: Cluster) -> None:
    """The last test of this module: it takes a master away."""
    service = origin()
    routes = {
        "strict": configs.route("/strict", rate_limit=hour(1000)),
        "lenient": configs.route("/lenient", rate_limit=hour(3, state_loss="local")),
    }
    gate: Gateway = gateway(shared(service, cluster, "gone", **routes))
    eventually(lambda: gate.get("/strict").status == 200, 30, "the masters")
    slot = told(cluster.nodes[0], "CLUSTER", "KEYSLOT", "gone:{limit}:")[0]
    owner = next(node for node in cluster.nodes if told(node, "CLUSTER", "COUNTKEYSINSLOT", slot) != ["0"])
    owner.stop()
    eventually(lambda: gate.get("/strict").reason == "state_unavailable", 30, "it is gone")
    before = len(service.requests)
    assert [gate.get("/strict").reason for _ in range(3)] == ["state_unavailable"] * 3
    assert service.saw_no_more_than(before)
    statuses = [gate.get("/lenient").status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert gate.get("/ready").status == 200
