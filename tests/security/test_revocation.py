"""What was revoked is refused from the next request on: remembered verdicts, open streams, other instances, restarts (THREATS 7, 38)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.test_streams_outlive_tokens import cut, opened, silent
from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.gateway import Gateway
from tests.support.redis import Redis
from tests.support.waiting import eventually

Make = Callable[..., Any]


def revoke(gate: Gateway, **what: Any) -> dict[str, Any]:
    return dict(json.loads(gate.core.revocations(json.dumps({"by": "test", "revoke": what}).encode())))


def undo(gate: Gateway, id: str) -> dict[str, Any]:
    return dict(json.loads(gate.core.revocations(json.dumps({"by": "test", "undo": id}).encode())))


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_remembered_verdict_dies_with_the_token(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, workers: int
) -> None:
    service, provider = origin(), issuer()
    gate = gateway(configs.protected(service, provider, tmp_path), workers=workers)
    one, other = provider.bearer(jti="one"), provider.bearer(jti="two")
    for _ in range(8):
        assert gate.get("/a", one).status == 200
    token = one["Authorization"].removeprefix("Bearer ")
    answer = revoke(gate, token=token)
    assert answer["acknowledged"] and answer["kept"] == "none"
    seen = len(service.requests)
    for _ in range(8):
        reply = gate.get("/a", one)
        assert reply.status == 401 and reply.reason == "token_revoked"
        assert 'error="invalid_token"' in reply["www-authenticate"]
    assert service.saw_no_more_than(seen)
    assert gate.get("/a", other).status == 200
    assert gate.metric("yett_revocations") == 1 and gate.metric("yett_revocations_refused_total") == 8
    assert undo(gate, answer["id"])["acknowledged"]
    assert gate.get("/a", one).status == 200
    assert token not in gate.log_text().decode() and token not in json.dumps(answer)


@pytest.mark.parametrize("jti", [None, "", "j" * 1025])
def test_a_token_that_has_no_name(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, jti: str | None
) -> None:
    service, provider = origin(), issuer()
    gate = gateway(configs.protected(service, provider, tmp_path))
    mine, other = provider.bearer(jti=jti, n=1), provider.bearer(jti=jti, n=2)
    assert gate.get("/a", mine).status == gate.get("/a", other).status == 200
    assert revoke(gate, token=mine["Authorization"].removeprefix("Bearer "))["acknowledged"]
    assert gate.get("/a", mine).reason == "token_revoked"
    assert gate.get("/a", other).status == 200


def test_each_way_to_name_a_caller(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    gate = gateway(configs.protected(service, provider, tmp_path))
    other = provider.bearer(sub="bob", jti="other", client_id="web")
    claims = {"sub": "ann", "jti": "j", "sid": "s1", "client_id": "app"}
    past = int(time.time() * 1000) - 60_000
    for what in (
        {"subject": "ann"}, {"session": "s1"}, {"client": "app"}, {"token_id": "j"},
        {"subject": "ann", "issuer": provider.issuer},
    ):  # fmt: skip
        mine = provider.bearer(**claims)
        assert gate.get("/a", mine).status == 200
        answer = revoke(gate, **what)
        assert gate.get("/a", mine).reason == "token_revoked", what
        assert gate.get("/a", other).status == 200
        undo(gate, answer["id"])
    mine = provider.bearer(**claims)
    for what in ({"issuer": provider.issuer}, {"provider": "id"}):
        answer = revoke(gate, **what)
        assert gate.get("/a", mine).reason == "token_revoked", what
        assert gate.get("/a", other).reason == "token_revoked"
        undo(gate, answer["id"])
    revoke(gate, issuer=provider.issuer, before_ms=past)
    revoke(gate, subject="ann", issuer="https://elsewhere.test")
    assert gate.get("/a", mine).status == 200


def test_a_token_without_an_id_is_known_by_what_is_signed(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    gate = gateway(configs.protected(service, provider, tmp_path))
    claims = provider.claims(jti=None)
    one, again = provider.sign(claims), provider.sign(claims)
    assert one != again, "ECDSA signs with something random"
    for token in (one, again):
        assert gate.get("/a", {"Authorization": f"Bearer {token}"}).status == 200
    assert revoke(gate, token=one)["acknowledged"]
    for token in (one, again):
        assert gate.get("/a", {"Authorization": f"Bearer {token}"}).reason == "token_revoked"
    other = provider.bearer(jti=None, sub="bob")
    assert gate.get("/a", other).status == 200


def test_an_api_key_is_revoked_before_its_file_changes(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, keys = origin(), KeyFile(tmp_path)
    one, other = keys.add("one"), keys.add("two")
    gate = gateway(configs.with_keys(service, keys))
    assert gate.get("/a", {"X-API-Key": one}).status == 200
    assert revoke(gate, key=gate.wait_log(1)[0]["token_id"])["acknowledged"]
    assert gate.get("/a", {"X-API-Key": one}).reason == "token_revoked"
    assert gate.get("/a", {"X-API-Key": other}).status == 200


def test_an_open_stream_ends_at_once(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    service.behaviour = silent
    gate = gateway(configs.protected(service, provider, tmp_path))
    mine, other = provider.bearer(sub="ann", jti="1"), provider.bearer(sub="bob", jti="2")
    streams = [opened(gate, "/a", mine), opened(gate, "/a", other)]
    # streams that last more than a second have asked to be told
    begun = time.monotonic()
    eventually(lambda: time.monotonic() - begun > 1.2)
    revoke(gate, subject="ann")
    told = time.monotonic()
    cut(streams[0])
    assert time.monotonic() - told < 1.0
    assert gate.log_line(reason="token_revoked")["subject"] == "ann"
    streams[1].until(b"\r\n")
    assert streams[1].quiet(0.3), "it goes on"
    streams[1].close()


def test_it_is_on_disk_before_it_is_acknowledged(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    config = {
        **configs.protected(service, provider, tmp_path),
        "state": {"directory": str(tmp_path / "state")},
    }
    gate = gateway(config)
    mine = provider.bearer(sub="ann")
    answer = revoke(gate, subject="ann", all=True)
    assert answer["acknowledged"] and answer["kept"] == "disk"
    ended = revoke(gate, subject="bob")
    assert undo(gate, ended["id"])["acknowledged"]
    gate.stop(0)
    again = gateway(config)
    assert again.get("/a", mine).reason == "token_revoked"
    assert again.get("/a", provider.bearer(sub="bob", jti="b")).status == 200
    assert (tmp_path / "state" / "state.db").stat().st_mode & 0o777 == 0o600


def test_when_there_is_no_room_nothing_is_forgotten(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    gate = gateway({**configs.protected(service, provider, tmp_path), "process": {"revocations": 2}})
    # issued before they are taken back: what is issued in a later second is a new login
    tokens = {sub: provider.bearer(sub=sub, jti=sub) for sub in ("ann", "bob", "eve")}
    assert revoke(gate, subject="ann")["acknowledged"] and revoke(gate, subject="bob")["acknowledged"]
    refused = revoke(gate, subject="eve")
    assert not refused["acknowledged"] and "process.revocations" in refused["problem"]
    for sub, status in (("ann", 401), ("bob", 401), ("eve", 200)):
        assert gate.get("/a", tokens[sub]).status == status


def two(gateway: Make, config: dict[str, Any], redis: Redis, **changes: Any) -> tuple[Gateway, Gateway]:
    full = {**config, "state": {"redis": redis.config(**changes)}}
    return gateway(full), gateway(full)


def test_other_instances_refuse_within_a_second(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, provider = origin(), issuer()
    one, other = two(gateway, configs.protected(service, provider, tmp_path), redis)
    times = []
    for number in range(40):
        token = provider.bearer(sub=f"user-{number}", jti=str(number))
        assert other.get("/a", token).status == 200
        answer = revoke(one, subject=f"user-{number}")
        acknowledged = time.monotonic()
        assert answer["acknowledged"] and answer["kept"] == "shared"
        eventually(lambda token=token: other.get("/a", token).status == 401, within=10)
        times.append(time.monotonic() - acknowledged)
    times.sort()
    print(
        f"revocation to refusal on another instance: median {times[20] * 1000:.1f} ms, p99 {times[-1] * 1000:.1f} ms"
    )
    assert times[-1] < 1.0, times
    assert other.metric("yett_revocations") == 40


def test_without_redis_what_is_known_stays_and_then_nobody_is_believed(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, provider = origin(), issuer()
    one, other = two(
        gateway, configs.protected(service, provider, tmp_path), redis, stale="1s", deadline="100ms"
    )
    ann, bob = provider.bearer(sub="ann", jti="1"), provider.bearer(sub="bob", jti="2")
    assert revoke(one, subject="ann")["acknowledged"]
    eventually(lambda: other.get("/a", ann).status == 401)
    redis.stop()
    eventually(lambda: other.get("/a", bob).status == 503)
    seen = len(service.requests)
    assert other.get("/a", bob).reason == "state_unavailable"
    assert service.saw_no_more_than(seen) and other.get("/open/a").status == 200
    assert other.metric("yett_revocations_age_seconds") >= 1.0
    # it counts here although nobody else can be told
    refused = revoke(one, subject="bob")
    assert not refused["acknowledged"] and "other instances are told" in refused["problem"]
    # back, empty: what is known is written again, what could not be told is told
    redis.start()
    eventually(lambda: other.get("/a", bob).status == 401, within=20)
    assert other.get("/a", ann).reason == "token_revoked"
    eventually(lambda: other.get("/a", provider.bearer(sub="eve", jti="3")).status == 200)
    third = gateway({**configs.protected(service, provider, tmp_path), "state": {"redis": redis.config()}})
    eventually(lambda: third.get("/a", ann).reason == "token_revoked")


def test_local_goes_on_with_what_is_known(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, provider = origin(), issuer()
    config = configs.protected(service, provider, tmp_path)
    full = {**config, "state": {"redis": redis.config(stale="1s", state_loss="local")}}
    gate = gateway(full)
    ann, bob = provider.bearer(sub="ann", jti="1"), provider.bearer(sub="bob", jti="2")
    revoke(gate, subject="ann")
    redis.stop()
    eventually(lambda: gate.metric("yett_revocations_age_seconds") > 2)
    assert gate.get("/a", bob).status == 200
    assert gate.get("/a", ann).reason == "token_revoked"


def test_a_start_without_redis_believes_nobody(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    redis.stop()
    service, provider = origin(), issuer()
    config = {**configs.protected(service, provider, tmp_path), "state": {"redis": redis.config()}}
    gate = gateway(config)
    assert gate.get("/a", provider.bearer()).reason == "state_unavailable"
    assert gate.get("/open/a").status == 200
    assert service.saw_no_more_than(1)
    redis.start()
    eventually(lambda: gate.get("/a", provider.bearer()).status == 200)


@pytest.mark.parametrize("jti", ["the-id", None])
def test_an_opaque_token_is_revoked_by_itself(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path, jti: str | None
) -> None:
    """Nobody can read an id in it, whatever its issuer says; the answer that it is active is still remembered."""
    service, server = origin(), authorization_server()
    gate = gateway(
        {
            "identity_providers": {"id": server.provider(tmp_path, cache={"max_age": "1h"})},
            "services": {"origin": configs.service(service)},
            "routes": {"closed": configs.route(authenticate="id", access="authenticated")},
        }
    )
    one, other = server.bearer(jti=jti), server.bearer(jti="another", sub="bob")
    assert gate.get("/a", one).status == 200 and gate.get("/a", other).status == 200
    assert revoke(gate, token=one["Authorization"].removeprefix("Bearer "))["acknowledged"]
    assert gate.get("/a", one).reason == "token_revoked"
    assert gate.get("/a", other).status == 200
    assert server.count() == 2
    revoke(gate, subject="bob", issuer=server.base)
    assert gate.get("/a", other).reason == "token_revoked"


def test_a_signed_token_that_is_asked_about(
    gateway: Make, origin: Make, issuer: Make, authorization_server: Make, tmp_path: Path
) -> None:
    """Its issuer repeats neither `jti` nor `iss` when it is asked, as RFC 7662 lets it."""
    server, service, other = authorization_server(), origin(), issuer()
    gate = gateway(
        {
            "identity_providers": {"partners": server.provider(tmp_path)},
            "services": {"origin": configs.service(service)},
            "routes": {"closed": configs.route(authenticate="partners", access="authenticated")},
        }
    )

    def caller(jti: str) -> dict[str, str]:
        token = server.issue(other.token(jti=jti), jti=None, iss=None, sub="ann")
        return {"Authorization": f"Bearer {token}"}

    mine, next_one = caller("one"), caller("two")
    for what in (
        {"token": mine["Authorization"].removeprefix("Bearer ")},
        {"token_id": "one"},
        {"token_id": "one", "issuer": other.issuer},
    ):
        assert gate.get("/a", mine).status == 200
        answer = revoke(gate, **what)
        assert answer["acknowledged"] and gate.get("/a", mine).reason == "token_revoked", what
        assert gate.get("/a", next_one).status == 200
        undo(gate, answer["id"])
    # whose token it is, nobody says: it may be the one that is meant
    assert revoke(gate, subject="ann", issuer=other.issuer)["acknowledged"]
    assert gate.get("/a", next_one).reason == "token_revoked"
