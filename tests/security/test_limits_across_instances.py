"""A caller that spreads its requests over instances, or keeps Redis from answering, gets no more than the limit says."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Config, Gateway, compiled
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.redis import Redis
from tests.support.waiting import eventually
from yett.policy.engine import Engine, Question

Make = Callable[..., Any]
UP, LOST = "limits_shared_again", "limits_not_shared"


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


def shared(service: Origin, redis: Redis, **limits: Any) -> Config:
    """A public route whose limits everybody shares."""
    named = {name: {"rate": "1/h", "key": "route", **limit} for name, limit in limits.items()}
    config = configs.public(service, rate_limit=named)
    config["routes"]["ready"] = configs.route(
        "/ready", rate_limit={"ready": {"rate": "1000/s", "burst": 1000, "key": "route"}}
    )
    config["state"] = {"redis": redis.config()}
    return config


def connected(*gates: Gateway) -> None:
    for gate in gates:
        eventually(lambda gate=gate: gate.get("/ready").status == 200, 20, "the connection to Redis")


def flood(gates: list[Gateway], count: int, headers: dict[str, str] | None = None) -> list[int]:
    """Statuses of requests that go to the gateways in turn, several at once."""
    chosen = list(itertools.islice(itertools.cycle(gates), count))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [answer.status for answer in pool.map(lambda gate: gate.get("/a", headers or {}), chosen)]


def told(gate: Gateway, seen: list[str]) -> list[str]:
    """What the gateway said of shared limits so far."""
    seen += [json.loads(line)["event"] for line in gate.events()]
    return [event for event in seen if event in {UP, LOST}]


def test_two_instances_let_through_exactly_the_limit(
    gateway: Make, origin: Make, redis: Redis, workers: int
) -> None:
    service = origin()
    config = shared(service, redis, hour={"burst": 40}, day={"burst": 60})
    gates = [gateway(config, workers=workers) for _ in range(2)]
    connected(*gates)
    before = len(service.requests)
    statuses = flood(gates, 200)
    assert (statuses.count(200), statuses.count(429)) == (40, 160)
    assert service.saw_no_more_than(before + 40)
    answer = gates[0].get("/a")
    assert answer.reason == "rate_limited" and answer.json()["limit"] == "hour"
    assert int(answer["retry-after"]) in range(3500, 3601)
    assert '"hour";r=0;' in answer["ratelimit"]
    assert '"day";r=20;' in answer["ratelimit"], "what one limit refused was charged to none"


def test_callers_of_two_instances_are_told_apart_and_not_named_in_redis(
    gateway: Make, origin: Make, issuer: Make, redis: Redis, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    config = configs.protected(
        service, provider, tmp_path, rate_limit={"caller": {"rate": "1/h", "burst": 2}}
    )
    config["state"] = {"redis": redis.config()}
    gates = [gateway(config) for _ in range(2)]
    for gate in gates:
        ready = provider.bearer(sub="somebody-else")
        eventually(
            lambda gate=gate, ready=ready: gate.get("/a", ready).status in {200, 429}, 20, "the connection"
        )
    with redis.watched() as lines:
        for name in ("ann@example.com", "bob@example.com"):
            headers = provider.bearer(sub=name)
            assert [gate.get("/a", headers).status for gate in (*gates, *gates)] == [200, 200, 429, 429]
        eventually(
            lambda: any("PING" in line for line in lines) or redis.ask("PING") != "PONG", 20, "MONITOR"
        )
    text = "\n".join(lines)
    assert "evalsha" in text.lower() and "yett:{limit}:" in text
    assert "example.com" not in text


def test_who_is_refused_asks_redis_no_more(gateway: Make, origin: Make, redis: Redis) -> None:
    service = origin()
    gate: Gateway = gateway(shared(service, redis, hour={"burst": 1}))
    connected(gate)
    assert [gate.get("/a").status for _ in range(2)] == [200, 429]
    with redis.watched() as lines:
        assert flood([gate], 100) == [429] * 100
        eventually(
            lambda: any("PING" in line for line in lines) or redis.ask("PING") != "PONG", 20, "MONITOR"
        )
    assert not any("yett:{limit}:" in line for line in lines)


def test_leases_stay_within_one_in_a_hundred(gateway: Make, origin: Make, redis: Redis, workers: int) -> None:
    service = origin()
    config = shared(service, redis, hour={"burst": 1200, "shared": "cached"})
    gates = [gateway(config, workers=workers) for _ in range(2)]
    connected(*gates)
    before = len(service.requests)
    statuses = flood(gates, 1500)
    passed = statuses.count(200)
    assert 1188 <= passed <= 1200 and passed + statuses.count(429) == 1500
    assert service.saw_no_more_than(before + passed)
    assert all(gate.metric("yett_limit_leases_total", outcome="granted") > 0 for gate in gates)


def test_a_lease_is_spent_without_redis(gateway: Make, origin: Make, redis: Redis) -> None:
    service = origin()
    gate: Gateway = gateway(shared(service, redis, hour={"burst": 20_000, "shared": "cached"}))
    connected(gate)
    assert gate.get("/a").status == 200
    eventually(lambda: gate.metric("yett_limit_leases_total", outcome="granted") == 1, 20, "the lease")
    redis.stop()
    # A hundred were leased, and no more are to be had. Several ask at once: which of them is late is open.
    assert sorted(flood([gate], 120)) == [200] * 100 + [503] * 20
    redis.start()
    eventually(lambda: gate.get("/a").status == 200, 20, "Redis is back")


@pytest.mark.parametrize("how", ["stalled", "gone"])
@pytest.mark.parametrize(
    ("state_loss", "wanted"),
    [("refuse", [503] * 6), ("local", [200] * 4 + [429] * 2), ("fail_open", [200] * 6)],
    ids=["refuse", "local", "fail_open"],
)
def test_what_happens_without_redis_is_what_the_limit_says(
    gateway: Make, origin: Make, redis: Redis, state_loss: str, wanted: list[int], how: str
) -> None:
    service = origin()
    gate: Gateway = gateway(shared(service, redis, hour={"burst": 4, "state_loss": state_loss}))
    connected(gate)
    seen: list[str] = []
    # A connection that was still to come may have been missed by what asked for it.
    said = len(told(gate, seen))
    assert gate.get("/a").status == 200
    assert gate.metric("yett_limits_not_shared") == 0
    before = len(service.requests)
    counted = gate.metric("yett_limit_state_loss_total", state_loss=state_loss)
    (redis.stall if how == "stalled" else redis.stop)()
    answers = [gate.get("/a") for _ in range(6)]
    assert [answer.status for answer in answers] == wanted
    assert service.saw_no_more_than(before + wanted.count(200))
    if state_loss == "refuse":
        assert {answer.reason for answer in answers} == {"state_unavailable"}
        lines = eventually(
            lambda: [line for line in gate.log_lines() if line["path"] == "/a" and line["status"] == 503]
        )
        assert {line["rule"] for line in lines} == {"hour"}
    assert gate.metric("yett_limit_state_loss_total", state_loss=state_loss) == counted + 6
    assert gate.metric("yett_limits_not_shared") == 1
    assert json.loads(gate.core.status())["limits_shared"] is False
    assert told(gate, seen)[said:] in ([LOST], [])
    (redis.go_on if how == "stalled" else redis.start)()

    def back() -> bool:
        return gate.get("/ready").status == 200 and gate.metric("yett_limits_not_shared") == 0

    eventually(back, 20, "Redis answers again")
    assert json.loads(gate.core.status())["limits_shared"] is True
    # What it forgot is there again as a whole; what it still has goes on, with the requests that it heard late.
    answers = [gate.get("/a") for _ in range(6)]
    passed = [answer.status for answer in answers].count(200)
    assert passed == 4 if how == "gone" else passed <= 3
    assert {answer.status for answer in answers[passed:]} <= {429}


def test_redis_that_is_lost_is_said_once_and_its_return_as_well(
    gateway: Make, origin: Make, redis: Redis
) -> None:
    service = origin()
    gate: Gateway = gateway(shared(service, redis, hour={"burst": 1000, "state_loss": "local"}))
    seen: list[str] = []
    eventually(
        lambda: gate.get("/ready").status == 200 and gate.metric("yett_limits_not_shared") == 0, 20, "Redis"
    )
    told(gate, seen)
    seen.clear()
    redis.stop()
    # At most every ten seconds: the first connection may have been late.
    eventually(lambda: gate.get("/a").status == 200 and told(gate, seen) == [LOST], 40, "it is said")
    redis.start()
    eventually(lambda: gate.get("/a").status == 200 and told(gate, seen) == [LOST, UP], 20, "it is said")


def test_an_instance_that_never_reached_redis_serves_what_it_may(
    gateway: Make, origin: Make, redis: Redis
) -> None:
    service = origin()
    redis.stop()
    config = shared(service, redis, hour={"burst": 2, "state_loss": "local"})
    gate: Gateway = gateway(config)
    assert [gate.get("/a").status for _ in range(3)] == [200, 200, 429]
    assert gate.get("/ready").reason == "state_unavailable"
    redis.start()
    connected(gate)


def test_a_limit_of_the_instance_asks_nobody(gateway: Make, origin: Make, redis: Redis) -> None:
    service = origin()
    config = shared(service, redis, hour={"burst": 5, "shared": "local"}, day={"burst": 50})
    gates = [gateway(config) for _ in range(2)]
    connected(*gates)
    assert [[gate.get("/a").status for _ in range(8)].count(200) for gate in gates] == [5, 5]
    answer = gates[1].get("/a")
    assert answer.json()["limit"] == "hour"
    assert '"day";r=40;' in answer["ratelimit"], "what the instance refused was not charged in Redis"


def test_tools_count_in_their_own_memory(gateway: Make, origin: Make, redis: Redis) -> None:
    config = shared(origin(), redis, hour={"burst": 2})
    gate: Gateway = gateway(config)
    redis.stop()
    engine = Engine(*compiled(gate.write(config)))
    decided = [engine.decide(Question("GET", "http://gateway.test/a")) for _ in range(3)]
    assert [one["outcome"] for one in decided] == ["allow", "allow", "refuse"]
    assert decided[2]["refusal"]["rule"] == "hour"


def test_a_reload_keeps_what_is_spent(gateway: Make, origin: Make, redis: Redis) -> None:
    service = origin()
    config = shared(service, redis, hour={"burst": 3})
    gate: Gateway = gateway(config)
    connected(gate)
    statuses = []
    for number in range(5):
        statuses.append(gate.get("/a").status)
        config["routes"][f"r{number}"] = configs.route(f"/r{number}")
        gate.reload(config)
    assert statuses == [200] * 3 + [429] * 2


def test_tokens_of_one_caller_share(
    gateway: Make, origin: Make, issuer: Make, redis: Redis, tmp_path: Path
) -> None:
    """The bucket in Redis is that of the key: new tokens of one subject get no new one, another client does."""
    service, provider = origin(), issuer()
    assert isinstance(provider, Issuer)
    config = configs.protected(
        service, provider, tmp_path, rate_limit={"caller": {"rate": "1/h", "burst": 1}}
    )
    config["state"] = {"redis": redis.config()}
    gate: Gateway = gateway(config)
    eventually(lambda: gate.get("/a", provider.bearer(sub="x")).status in {200, 429}, 20, "the connection")
    assert [gate.get("/a", provider.bearer(sub="ann", jti=jti)).status for jti in ("1", "2")] == [200, 429]
    assert gate.get("/a", provider.bearer(sub="ann", client_id="mobile")).status == 200
