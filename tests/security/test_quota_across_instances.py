"""quota over several instances: counted in Redis, exactly; what operators see and reset is what counts; nothing passes uncounted."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.filters.test_quota import month, used
from tests.support import configs
from tests.support.gateway import Config, Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.redis import Redis
from tests.support.waiting import eventually

Make = Callable[..., Any]


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


def shared(
    service: Origin, identity: Issuer, directory: Path, redis: Redis, quota: Any, **changes: Any
) -> Config:
    config = configs.protected(service, identity, directory, quota=quota, **changes)
    return {**config, "state": {"redis": redis.config()}}


def ready(identity: Issuer, *gates: Gateway) -> None:
    """Each is connected; what that takes is counted for somebody else."""
    for gate in gates:
        bearer = identity.bearer(sub="somebody else")
        eventually(
            lambda gate=gate, bearer=bearer: gate.get("/closed", bearer).status in {200, 429}, 20, "Redis"
        )


def told(gate: Gateway, request: dict[str, Any]) -> Any:
    return json.loads(gate.core.quotas(json.dumps({"by": "test", **request}).encode()))


def test_two_instances_let_exactly_the_amount_through(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis, workers: int
) -> None:
    service, identity = origin(), issuer()
    quota = {"mine": month(40, warn=["50%"]), "all": month(70, key="route")}
    config = shared(
        service, identity, tmp_path, redis, quota, rate_limit={"hour": {"rate": "1/h", "burst": 60}}
    )
    gates: list[Gateway] = [gateway(config, workers=workers) for _ in range(2)]
    ready(identity, *gates)
    bearer, before = identity.bearer(sub="ann"), len(service.requests)
    chosen = list(itertools.islice(itertools.cycle(gates), 120))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda gate: gate.get("/closed", bearer), chosen))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (40, 80)
    assert service.saw_no_more_than(before + 40)
    last = gates[0].get("/closed", bearer)
    assert last.reason == "quota_exceeded" and last.json()["limit"] == "mine"
    assert 0 < int(last["retry-after"]) <= 31 * 86_400
    assert '"mine";r=0;' in last["ratelimit"]
    counts = {name: used(gates[1], quota=name) for name in quota}
    assert counts["mine"]["mine", "id/ann"] == 40
    assert counts["all"]["all", "everyone"] == before + 40, "what one quota refused was counted by none"
    assert sum(gate.metric("yett_quota_thresholds_total", quota="mine") for gate in gates) == 1
    eventually(
        lambda: any("quota_threshold" in line for gate in gates for line in gate.events()),
        20,
        "the threshold",
    )

    # Whoever has used it up asks Redis no more, for a second.
    assert gates[0].get("/closed", bearer).status == 429
    # What one instance resets begins anew in both, and a restart forgets nothing.
    [row] = told(gates[0], {"show": {"quota": "mine", "key": "id/ann"}})["rows"]
    assert row["shared"] and re.fullmatch(r"[0-9a-f]{32}", row["id"])
    assert told(gates[0], {"reset": {"quota": "mine", "key": "nobody"}})["reset"] is False
    assert told(gates[0], {"reset": {"quota": "mine", "key": row["id"]}})["used_before"] == 40
    eventually(lambda: gates[1].get("/closed", bearer).status == 200, 20, "it begins anew")
    eventually(lambda: gates[0].get("/closed", bearer).status == 200, 20, "in the other one too")
    counted = used(gates[1], quota="mine")["mine", "id/ann"]
    gates[0].stop()
    third: Gateway = gateway(config)
    ready(identity, third)
    assert used(third, quota="mine")["mine", "id/ann"] == counted


def test_what_happens_without_redis_is_what_the_quota_says(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, identity = origin(), issuer()
    config = shared(service, identity, tmp_path, redis, {"strict": month(10)})
    lenient = {"lenient": month(5, state_loss="local")}
    config["routes"]["lenient"] = configs.route(
        "/lenient",
        authenticate="id",
        access="authenticated",
        quota=lenient,
        rate_limit={"own": {"rate": "1/h", "burst": 9}},
    )
    config["routes"]["lenient"]["rate_limit"]["own"]["shared"] = "local"
    gate: Gateway = gateway(config)
    ready(identity, gate)
    bearer = identity.bearer(sub="ann")
    assert [gate.get("/lenient", bearer).status for _ in range(2)] == [200, 200]
    assert gate.get("/closed", bearer).status == 200
    redis.stop()
    eventually(
        lambda: gate.metric("yett_limits_not_shared") == 1 or gate.get("/closed", bearer).status == 503,
        20,
        "it is gone",
    )
    before = len(service.requests)
    refused = gate.get("/closed", bearer)
    assert refused.status == 503 and refused.reason == "quota_unavailable"
    assert service.saw_no_more_than(before)
    # From what was known on: 2 of 5 were used.
    assert [gate.get("/lenient", bearer).status for _ in range(4)] == [200, 200, 200, 429]
    answer = told(gate, {"show": {}})
    assert (answer["rows"], sorted(answer["unknown"])) == ([], ["lenient", "strict"])
    assert told(gate, {"reset": {"quota": "strict", "key": "id/ann"}})["reset"] is False
    redis.start()
    eventually(lambda: gate.get("/closed", bearer).status == 200, 20, "it is back")
    assert gate.metric("yett_limit_state_loss_total", state_loss="local") >= 4


def test_shared_and_own_quotas_stand_side_by_side(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    """What one has no room for is counted by none, wherever each is counted."""
    service, identity = origin(), issuer()
    quota = {
        "own": month(3, shared="local"),
        "everywhere": month(5, cost={"GET": 1, "POST": 2}, idempotency={}),
    }
    config = shared(service, identity, tmp_path, redis, quota)
    places = [str(tmp_path / f"state-{number}") for number in range(2)]
    gates: list[Gateway] = [gateway(configs.deep(config, state__directory=place)) for place in places]
    ready(identity, *gates)
    bearer = identity.bearer(sub="ann")
    assert gates[0].post("/closed", b"", bearer).status == 200
    keyed = {**bearer, "Idempotency-Key": "k"}
    assert [gates[0].post("/closed", b"", keyed).status for _ in range(2)] == [200, 200], "the repeat is free"
    assert gates[0].get("/closed", bearer).json()["limit"] == "own", "which says nothing of repeats"
    assert used(gates[0], key="id/ann") == {("own", "id/ann"): 3, ("everywhere", "id/ann"): 4}
    assert gates[1].post("/closed", b"", bearer).json()["limit"] == "everywhere"
    assert gates[1].get("/closed", bearer).status == 200
    assert gates[1].get("/closed", bearer).json()["limit"] == "everywhere"
    assert used(gates[1], quota="everywhere", key="id/ann") == {("everywhere", "id/ann"): 5}
