"""client_assertion: what a registered client signs about itself comes in once; anything else is refused with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.support import configs
from tests.support.client_assertions import AUDIENCE, AssertionSigner
from tests.support.gateway import Config, Gateway
from tests.support.origin import Origin
from tests.support.redis import Redis

Make = Callable[..., Any]


def configured(service: Origin, *signers: AssertionSigner, config: Any = None, **provider: Any) -> Config:
    clients = {one.name: one.registered(scopes=["read"], roles=["batch"], tenant="acme") for one in signers}
    own = {"type": "client_assertion", "audience": AUDIENCE, "clients": clients, **provider}
    return {
        "identity_providers": {"machines": own},
        "services": {"origin": configs.service(service)},
        "routes": {
            "open": configs.route("/open/{rest...}"),
            "closed": configs.route(
                "/{rest...}", authenticate="machines", authorize={"scopes": "read"}, tenant={"none": "test"}
            ),
        },
        **(config or {}),
    }


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


def now() -> int:
    return int(time.time()) + 1


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_client_comes_in_as_what_is_configured_of_it(
    gateway: Make, origin: Make, tmp_path: Path, algorithm: str
) -> None:
    service, batch = origin(), AssertionSigner(tmp_path, algorithm=algorithm)
    gate = gateway(configured(service, batch))
    said = {"scope": "admin", "roles": ["admin"], "tenant": "other", "client_id": "other"}
    assert gate.get("/orders", batch.sign(iat=now(), **said)).status == 200
    assert "authorization" not in service.only
    line = gate.log_line(path="/orders")
    assert (line["subject"], line["kind"], line["authentication"], line["tenant"]) == (
        "batch", "service", "client_assertion", "acme"
    )  # fmt: skip


def test_an_assertion_counts_once(gateway: Make, origin: Make, tmp_path: Path, workers: int) -> None:
    service, batch = origin(), AssertionSigner(tmp_path)
    gate: Gateway = gateway(configured(service, batch), workers=workers)
    fields = batch.sign(iat=now())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: gate.get("/orders", fields), range(16)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 15
    assert {answer.reason for answer in answers if answer.status == 401} == {"assertion_replayed"}
    assert len(service.requests) == 1
    # Another signature of the same claims is the same assertion; another client's id is another one.
    again = batch.sign(iat=now(), jti="one")
    assert gate.get("/orders", again).status == 200
    assert gate.get("/orders", batch.sign(iat=now(), jti="one")).reason == "assertion_replayed"


def test_the_same_id_of_another_client_is_another_assertion(
    gateway: Make, origin: Make, tmp_path: Path
) -> None:
    service, one, other = origin(), AssertionSigner(tmp_path), AssertionSigner(tmp_path, "nightly")
    gate = gateway(configured(service, one, other))
    assert gate.get("/a", one.sign(iat=now(), jti="same")).status == 200
    assert gate.get("/a", other.sign(iat=now(), jti="same")).status == 200


def test_an_assertion_counts_once_on_all_instances(
    gateway: Make, origin: Make, tmp_path: Path, redis: Redis
) -> None:
    service, batch = origin(), AssertionSigner(tmp_path)
    config = configured(service, batch, config={"state": {"redis": redis.config()}})
    gates = [gateway(config), gateway(config)]
    fields = batch.sign()
    assert [gate.get("/orders", fields).status for gate in gates] == [200, 401]
    fresh = batch.sign()
    redis.stop()
    answer = gates[0].get("/orders", fresh)
    assert (answer.status, answer.reason) == (503, "state_unavailable")
    assert len(service.requests) == 1


def test_what_is_from_before_the_start_may_have_been_used(
    gateway: Make, origin: Make, tmp_path: Path
) -> None:
    service, batch = origin(), AssertionSigner(tmp_path)
    gate = gateway(configured(service, batch))
    answer = gate.get("/orders", batch.sign(iat=int(time.time()) - 20))
    assert (answer.status, answer.reason) == (401, "assertion_replayed")
    assert service.saw_nothing()


def test_each_fault_has_its_reason(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, batch, other = origin(), AssertionSigner(tmp_path), AssertionSigner(tmp_path, "nightly")
    stranger = AssertionSigner(tmp_path, "stranger")
    same_kid = ECKey.generate_key("P-256", {"kid": "batch-1"}, auto_kid=False)
    gate = gateway(configured(service, batch, other))
    t = now()
    good = {"iat": t, "exp": t + 60}
    for fields, reason in (
        (stranger.sign(**good), "token_issuer_unknown"),
        (batch.sign(**good, iss="stranger", sub="stranger"), "token_issuer_unknown"),
        (batch.sign(**good, iss=None), "token_claim_invalid"),
        (batch.sign(**good, sub="nightly"), "token_claim_invalid"),
        (batch.sign(**good, sub=None), "token_claim_invalid"),
        (batch.sign(**good, iss="nightly", sub="nightly"), "token_key_unknown"),
        (batch.sign(other.key, **good), "token_key_unknown"),
        (batch.sign(same_kid, **good), "token_signature_invalid"),
        (batch.sign(**good, aud="https://id.example.com/token"), "token_audience_mismatch"),
        (batch.sign(**good, aud=[AUDIENCE, "https://other.example"]), "token_audience_mismatch"),
        (batch.sign(**good, aud=[]), "token_audience_mismatch"),
        (batch.sign(**good, aud=None), "token_claim_invalid"),
        (batch.sign(**good, aud={}), "token_claim_invalid"),
        (batch.sign(iat=t, exp=t + 301), "token_claim_invalid"),
        (batch.sign(iat=t, exp=t - 1), "token_claim_invalid"),
        (batch.sign(iat=t - 400, exp=t - 200), "token_expired"),
        (batch.sign(iat=t + 120, exp=t + 180), "token_not_yet_valid"),
        (batch.sign(**good, nbf=t + 120), "token_not_yet_valid"),
        (batch.sign(iat=t, exp=None), "token_claim_invalid"),
        (batch.sign(iat=None, exp=t + 60), "token_claim_invalid"),
        (batch.sign(iat=t, exp=str(t + 60)), "token_claim_invalid"),
        (batch.sign(**good, jti=None), "token_claim_invalid"),
        (batch.sign(**good, jti=""), "token_claim_invalid"),
        (batch.sign(**good, jti="x" * 257), "token_claim_invalid"),
        (batch.sign(header={"typ": "at+jwt"}, **good), "token_header_refused"),
        (batch.sign(header={"jwk": batch.key.as_dict(private=False)}, **good), "token_header_refused"),
        ({"Authorization": "Bearer junk"}, "credential_malformed"),
        ({"Authorization": "Basic YTpi"}, "credential_malformed"),
        ({}, "credential_missing"),
    ):
        answer = gate.get("/orders", fields)
        assert (answer.status, answer.reason) == (401, reason), fields
        assert 'Bearer realm="machines"' in answer["www-authenticate"], reason
    unsigned = batch.sign(**good)["Authorization"].rsplit(".", 1)[0] + "."
    assert gate.get("/orders", {"Authorization": unsigned}).status == 401
    assert service.saw_nothing()
    for header in ({"typ": "client-authentication+jwt"}, {"typ": "JWT"}):
        assert gate.get("/orders", batch.sign(header=header, **good)).status == 200
    assert gate.get("/orders", batch.sign(**good, aud=[AUDIENCE])).status == 200


def test_a_key_that_was_taken_away_signs_nothing(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, batch = origin(), AssertionSigner(tmp_path)
    config = configured(service, batch)
    gate: Gateway = gateway(config)
    new = ECKey.generate_key("P-256", {"kid": "batch-2"}, auto_kid=False)
    batch.publish(batch.key, new)
    gate.reload(config)
    assert gate.get("/a", batch.sign(iat=now())).status == 200
    assert gate.get("/a", batch.sign(new, iat=now())).status == 200
    batch.publish(new)
    gate.reload(config)
    assert gate.get("/a", batch.sign(iat=now())).reason == "token_key_unknown"
    assert gate.get("/a", batch.sign(new, iat=now())).status == 200


def test_tokens_and_assertions_are_accepted_side_by_side(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, batch, provider = origin(), AssertionSigner(tmp_path), issuer()
    config = configured(service, batch)
    config["identity_providers"]["id"] = provider.inline(tmp_path)
    config["routes"] = {"all": configs.route(authenticate={"any_of": ["id", "machines"]}, access="authenticated",
                                             tenant={"none": "test"})}  # fmt: skip
    gate: Gateway = gateway(config)
    assert gate.get("/a", provider.bearer()).status == 200
    assert gate.get("/a", batch.sign(iat=now())).status == 200
    # Each is judged by its own provider: a client's key makes no token, the issuer's no assertion.
    forged = batch.sign(iat=now(), iss=provider.issuer, sub="ann")
    assert gate.get("/a", forged).reason in {"token_key_unknown", "token_signature_invalid"}
    claims = batch.claims(iat=now())
    assert gate.get("/a", {"Authorization": f"Bearer {provider.sign(claims)}"}).reason == "token_key_unknown"


def test_a_revoked_client_is_refused(gateway: Make, origin: Make, tmp_path: Path) -> None:
    import json

    service, batch = origin(), AssertionSigner(tmp_path)
    gate: Gateway = gateway(configured(service, batch))
    assert gate.get("/a", batch.sign(iat=now())).status == 200
    ask = {"by": "test", "revoke": {"client": "batch", "all": True}}
    assert json.loads(gate.core.revocations(json.dumps(ask).encode()))["acknowledged"]
    assert gate.get("/a", batch.sign(iat=now())).reason == "token_revoked"
