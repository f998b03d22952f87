"""A Redis that fails over: the gateway follows the Sentinels, and what was counted before is counted still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Config, Gateway
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.redis import Redis, Sentinel
from tests.support.waiting import eventually

Make = Callable[..., Any]
DUMP = (
    "local out = {} for _, key in ipairs(redis.call('KEYS', '*{limit}*')) do out[#out + 1] = key .. redis.call('GET', key) end "
    "table.sort(out) return table.concat(out, ' ')"
)


@pytest.fixture
def pair() -> Iterator[tuple[Redis, Redis]]:
    """A master and its replica."""
    master, replica = Redis(), Redis()
    assert replica.ask("REPLICAOF", "127.0.0.1", str(master.port)) == "OK"
    yield master, replica
    for server in (master, replica):
        server.stop()


@pytest.fixture
def sentinel(pair: tuple[Redis, Redis], tmp_path: Path) -> Iterator[Sentinel]:
    watching = Sentinel(pair[0], tmp_path)
    yield watching
    watching.stop()


def shared(service: Origin, master: Redis, sentinel: Sentinel) -> Config:
    """The Sentinel of `url` is one that is gone."""
    return {
        **configs.public(service, rate_limit={"hour": {"rate": "1/h", "burst": 3, "key": "route"}}),
        "state": {
            "redis": master.config(
                url=f"redis://localhost:{free_port()}",
                sentinel={"master": "shop", "further": f"localhost:{sentinel.port}"},
            )
        },
    }


def charged(gateway: Make, service: Any, pair: tuple[Redis, Redis], sentinel: Sentinel) -> list[Gateway]:
    """Two gateways that used two of three requests, which the replica knows of."""
    master, replica = pair
    gates = [gateway(shared(service, master, sentinel)) for _ in range(2)]
    for gate in gates:
        eventually(lambda gate=gate: gate.get("/a").status == 200, 30, "the connection to the master")
    eventually(
        lambda: replica.ask("EVAL", DUMP, "0") == master.ask("EVAL", DUMP, "0") != "", 30, "the replica"
    )
    return gates


def test_a_bucket_outlives_its_master(
    gateway: Make, origin: Make, pair: tuple[Redis, Redis], sentinel: Sentinel
) -> None:
    master, replica = pair
    service = origin()
    gates = charged(gateway, service, pair, sentinel)
    master.stop()
    for gate in gates:
        eventually(lambda gate=gate: gate.get("/a").status != 503, 90, "the new master")
    statuses = [gate.get("/a").status for gate in gates]
    assert statuses == [429, 429]
    assert service.saw_no_more_than(3)


def test_a_master_that_is_a_replica_now_is_left(
    gateway: Make, origin: Make, pair: tuple[Redis, Redis], sentinel: Sentinel
) -> None:
    master, replica = pair
    service = origin()
    gates = charged(gateway, service, pair, sentinel)
    eventually(
        lambda: sentinel.ask("SENTINEL", "FAILOVER", "shop") == "OK", 60, "a replica that may take over"
    )
    # A master's role has three parts, a replica's five.
    eventually(lambda: (master.ask("ROLE"), replica.ask("ROLE")) == ("5", "3"), 60, "the failover")
    for gate in gates:
        eventually(lambda gate=gate: gate.get("/a").status != 503, 60, "the new master")
    assert [gate.get("/a").status for gate in gates] == [429, 429]
    assert service.saw_no_more_than(3)
    assert replica.ask("EVAL", DUMP, "0") != ""


def test_without_a_sentinel_that_answers_nobody_is_believed(
    gateway: Make, origin: Make, pair: tuple[Redis, Redis], sentinel: Sentinel
) -> None:
    service = origin()
    config = shared(service, pair[0], sentinel)
    sentinel.stop()
    gate: Gateway = gateway(config)
    assert [gate.get("/a").reason for _ in range(3)] == ["state_unavailable"] * 3
    assert service.saw_nothing()


def test_sentinels_have_a_password_of_their_own(gateway: Make, origin: Make, tmp_path: Path) -> None:
    """It opens the Sentinels, and never the Redis; nor does that of the Redis open them."""
    words = {"redis": "of-the-redis-0123456789", "sentinel": "of-the-sentinel-0123456789"}
    files = {
        name: {"file": configs.write_secret(tmp_path, name, word.encode())} for name, word in words.items()
    }
    service, master = origin(), Redis(words["redis"])
    watching = Sentinel(master, tmp_path, words["sentinel"], replicas=0)
    gates: list[Gateway] = []
    for password in (files["sentinel"], files["redis"], None):
        config = shared(service, master, watching)
        config["state"]["redis"]["password"] = files["redis"]
        if password is not None:
            config["state"]["redis"]["sentinel"]["password"] = password
        gates.append(gateway(config))
    eventually(lambda: gates[0].get("/a").status == 200, 30, "the connection to the master")
    seen = len(service.requests)
    assert [gate.get("/a").reason for gate in gates[1:]] == ["state_unavailable"] * 2
    assert service.saw_no_more_than(seen)
    told = "".join(line for gate in gates for line in gate.events())
    assert all(word not in told for word in words.values())
    watching.stop()
    master.stop()
