"""Repeats with the same Idempotency-Key cost once: never for another caller, route, path, query or body, and never more than two."""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Config, Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.quotas import zone
from tests.support.redis import Redis
from tests.support.waiting import eventually
from tests.support.wire import Reply, head

Make = Callable[..., Any]
LIMIT = {"rate": "1/h", "burst": 100, "idempotency": {}}


def limited(service: Origin, identity: Issuer, directory: Path, **changes: Any) -> Config:
    return configs.protected(service, identity, directory, **{"rate_limit": {"work": LIMIT}, **changes})


def left(answer: Reply, name: str = "work") -> int:
    """Requests that the caller has left."""
    assert answer.status == 200, answer.body
    found = re.search(rf'"{name}";r=(\d+);', answer["ratelimit"])
    assert found is not None, answer["ratelimit"]
    return int(found[1])


def keyed(identity: Issuer, key: str = '"k-1"', **claims: Any) -> dict[str, str]:
    return {**identity.bearer(**claims), "Idempotency-Key": key}


def test_two_repeats_cost_nothing_and_the_third_does(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    identity, service = issuer(), origin()
    gate: Gateway = gateway(limited(service, identity, tmp_path))
    headers = keyed(identity)
    answers = [gate.post("/closed/orders?a=1", b"body", headers) for _ in range(5)]
    assert [left(answer) for answer in answers] == [99, 99, 99, 98, 97]
    assert [seen.body for seen in service.requests] == [b"body"] * 5, "each repeat reaches the service whole"
    assert {seen["idempotency-key"] for seen in service.requests} == {'"k-1"'}
    lines = {line["request_id"]: line.get("repeat") for line in gate.wait_log(5)}
    assert [lines[answer["x-request-id"]] for answer in answers] == [None, 1, 2, None, None]
    assert gate.metric("yett_limit_repeats_total") == 2
    assert all(b"k-1" not in text for text in (gate.log_text(), bytes(gate.core.metrics())))


OTHERS = {
    "key": ("POST", "/closed/a?x=1", '"k-2"', b"body"),
    "key in another form": ("POST", "/closed/a?x=1", "k-1", b"body"),
    "path": ("POST", "/closed/b?x=1", '"k-1"', b"body"),
    "encoded path": ("POST", "/closed/%61?x=1", '"k-1"', b"body"),
    "query": ("POST", "/closed/a?x=2", '"k-1"', b"body"),
    "method": ("PUT", "/closed/a?x=1", '"k-1"', b"body"),
    "route": ("POST", "/other/a?x=1", '"k-1"', b"body"),
    "body": ("POST", "/closed/a?x=1", '"k-1"', b"other"),
    "length": ("POST", "/closed/a?x=1", '"k-1"', b"bod"),
    "no body": ("POST", "/closed/a?x=1", '"k-1"', b""),
    "case": ("POST", "/closed/a?x=1", '"K-1"', b"body"),
}
NO_KEYS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "empty": [("Idempotency-Key", "")],
    "empty string": [("Idempotency-Key", '""')],
    "long": [("Idempotency-Key", "k" * 257)],
    "twice": [("Idempotency-Key", "k"), ("Idempotency-Key", "k")],
    "list": [("Idempotency-Key", '"k", "l"')],
    "parameter": [("Idempotency-Key", '"k";a=1')],
    "bytes": [("Idempotency-Key", ":aGVsbG8=: x")],
    "alias": [("Idempotency_Key", "k")],
}


def test_what_is_no_repeat_is_charged(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    """Each caller has a bucket of its own here: two requests of it leave 98 where the second is no repeat."""
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path)
    # `/closed` and `/other` share one limit, so that their requests are charged to one bucket.
    shop = {"hosts": "any", "access": "authenticated", "authenticate": "id", "rate_limit": {"work": LIMIT}}
    config["groups"] = {"shop": shop}
    for name in ("closed", "other"):
        config["routes"][name] = configs.route(f"/{name}/{{rest...}}", hosts=None, group="shop")
        del config["routes"][name]["match"]["hosts"]
    gate: Gateway = gateway(config)

    def second(caller: str, method: str, target: str, fields: Any, body: bytes) -> int:
        first = gate.post("/closed/a?x=1", b"body", keyed(identity, sub=caller))
        assert left(first) == 99, caller
        bearer = identity.bearer(sub=caller)
        return left(gate.request(method, target, [*bearer.items(), *fields], body))

    for what, (method, target, key, body) in OTHERS.items():
        assert second(what, method, target, [("Idempotency-Key", key)], body) == 98, what
    assert second("a repeat", "POST", "/closed/a?x=1", [("Idempotency-Key", '"k-1"')], b"body") == 99

    for what, fields in NO_KEYS.items():
        found = [
            left(gate.post("/closed/a", b"body", [*identity.bearer(sub=f"no key: {what}").items(), *fields]))
            for _ in range(2)
        ]
        assert found == [99, 98], what
    reads = [left(gate.get("/closed/a", keyed(identity, sub="reads"))) for _ in range(2)]
    assert reads == [99, 98]
    bare = [left(gate.post("/closed/a", b"", keyed(identity, "8e03978e-40d5", sub="bare"))) for _ in range(2)]
    assert bare == [99, 99], "many clients send no quotes"
    # The key of another caller is worth nothing, also where only the client is another.
    for claims in ({"sub": "ann"}, {"sub": "eve"}, {"sub": "ann", "client_id": "other"}):
        assert left(gate.post("/closed/a", b"body", keyed(identity, '"shared"', **claims))) == 99
    large = [left(gate.post("/closed/a", b"x" * 65_537, keyed(identity, sub="large"))) for _ in range(2)]
    assert large == [99, 98]
    for wanted in (99, 98):
        with gate.connect() as wire:
            fields = {**keyed(identity, sub="chunked"), "Transfer-Encoding": "chunked"}
            wire.send(head("POST", "/closed/a", list(fields.items())) + b"4\r\nbody\r\n0\r\n\r\n")
            assert left(wire.reply()) == wanted
    assert all(seen.complete for seen in service.requests)


def test_a_repeat_passes_where_nothing_is_left_and_nothing_else_does(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    identity, service = issuer(), origin()
    gate: Gateway = gateway(limited(service, identity, tmp_path, rate_limit={"work": {**LIMIT, "burst": 1}}))
    statuses = [gate.post("/closed", b"body", keyed(identity)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    # Made-up keys get nothing, and of who has no room not even the body is read.
    for number in range(10):
        assert gate.post("/closed", b"body", keyed(identity, f"made-up-{number}")).status == 429
        assert gate.post("/closed", b"body", keyed(identity, f"made-up-{number}")).status == 429
    with gate.connect() as wire:
        fields = {**keyed(identity, "k-2"), "Content-Length": "60000"}
        wire.send(head("POST", "/closed", list(fields.items())))
        assert wire.reply().status == 429
    assert service.saw_no_more_than(3)


def test_many_keys_in_parallel_get_three_times_the_limit_and_no_more(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, workers: int
) -> None:
    identity, service = issuer(), origin()
    gate: Gateway = gateway(
        limited(service, identity, tmp_path, rate_limit={"work": {**LIMIT, "burst": 10}}), workers=workers
    )
    bearer = identity.bearer()
    asked = [{**bearer, "Idempotency-Key": f"k-{number}"} for number in range(30)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [
            answer.status
            for _ in range(5)
            for answer in pool.map(lambda headers: gate.post("/closed", b"body", headers), asked)
        ]
    assert statuses.count(200) == 30 and statuses.count(429) == 120
    assert service.saw_no_more_than(30)


def test_each_repeat_pays_the_limit_by_address_and_holds_a_place(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    identity, service = issuer(), origin()
    changes = {
        "address_limit": {"all": {"rate": "1/h", "burst": 3}},
        "concurrency_limit": {"one": {"requests": 1}},
    }
    gate: Gateway = gateway(limited(service, identity, tmp_path, **changes))
    headers = keyed(identity)
    assert gate.post("/closed", b"body", headers).status == 200
    with gate.connect() as wire:
        wire.send(head("POST", "/closed", list({**headers, "Content-Length": "4"}.items())))
        # It waits for its body, which shows whether it is a repeat, and has a place meanwhile.
        eventually(lambda: gate.metric("yett_concurrency_held") == 1, what="the first request")
        assert gate.post("/closed", b"body", headers).reason == "concurrency_limited"
        wire.send(b"body")
        assert left(wire.reply()) == 99
    assert gate.post("/closed", b"body", headers).reason == "address_limited"
    eventually(lambda: gate.metric("yett_concurrency_held") == 0, what="the places")
    assert service.saw_no_more_than(2)


def test_other_limits_and_costs_after_the_answer_are_charged(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    """Each limit says for itself which repeats are free, a quota too; what the answer costs is charged each time."""
    identity, service = issuer(), origin()
    config = limited(
        service, identity, tmp_path,
        rate_limit={
            "work": LIMIT,
            "once": {**LIMIT, "idempotency": {"repeats": 1}},
            "plain": {"rate": "1/h", "burst": 100},
            "after": {**LIMIT, "cost": {"after": {"header": "x-cost", "missing": 1}}},
        },
        quota={
            "month": {"amount": 10, "period": "month", "zone": zone(), "idempotency": {}},
            "all": {"amount": 4, "period": "month", "zone": zone()},
        },
    )  # fmt: skip
    config["state"] = {"directory": str(tmp_path / "state")}
    gate: Gateway = gateway(config)
    service.answers(headers=[("X-Cost", "10")])
    headers = keyed(identity)
    with gate.connect() as wire:
        answers = [wire.ask("POST", "/closed", headers, b"body") for _ in range(4)]
        refused = wire.ask("POST", "/closed", headers, b"body")
    found = {
        name: [left(answer, name) for answer in answers] for name in ("work", "once", "plain", "month", "all")
    }
    assert found == {
        "work": [99, 99, 99, 98],
        "once": [99, 99, 98, 97],
        "plain": [99, 98, 97, 96],
        "month": [9, 9, 9, 8],
        "all": [3, 2, 1, 0],
    }
    assert [left(answer, "after") for answer in answers] == [99, 90, 81, 71], (
        "9 more each time, and 1 beforehand"
    )
    assert refused.reason == "quota_exceeded" and refused.json()["limit"] == "all"


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.mark.parametrize("shared", ["exact", "cached"])
def test_where_instances_share_the_limit_a_repeat_costs_once_and_asks_nobody(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis, shared: str
) -> None:
    identity, service = issuer(), origin()
    limit = {**LIMIT, "burst": 400, "shared": shared}
    config = limited(
        service, identity, tmp_path, rate_limit={"work": limit, "own": {**LIMIT, "shared": "local"}}
    )
    config["state"] = {"redis": redis.config()}
    gates: list[Gateway] = [gateway(config) for _ in range(2)]
    for number, gate in enumerate(gates):
        headers = keyed(identity, f"ready-{number}", sub="somebody-else")
        eventually(
            lambda gate=gate, headers=headers: gate.post("/closed", b"", headers).status == 200, 20, "Redis"
        )
    headers = keyed(identity)
    first = gates[0].post("/closed", b"body", headers)
    repeats = [gates[0].post("/closed", b"body", headers) for _ in range(2)]
    assert [left(one) for one in repeats] == [left(first)] * 2
    assert [left(one, "own") for one in repeats] == [99, 99]
    if shared == "exact":
        # What was charged is known to the instance that charged it.
        assert [left(gates[1].post("/closed", b"body", headers)) for _ in range(2)] == [398, 398]
        assert left(gates[0].post("/closed", b"body", headers)) == 397, "the third costs"
    assert gates[0].post("/closed", b"body", keyed(identity, '"k-2"')).status == 200
    redis.stop()
    assert gates[0].post("/closed", b"body", keyed(identity, '"k-2"')).status == 200
    new = [gates[0].post("/closed", b"body", keyed(identity, '"k-3"', sub="new")) for _ in range(3)]
    assert {answer.reason for answer in new} == {"state_unavailable"}, (
        "and nothing that was not charged is free"
    )
