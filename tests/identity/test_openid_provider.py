"""jwt against a real OpenID provider (oidc-provider): tokens that clients get for themselves, keys that it publishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support import configs
from tests.support.openid_provider import OpenIdProvider, signing_key
from tests.support.waiting import eventually

SHOP = "https://shop.example"
SECRET = "not secret, only for tests, and long enough"


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    batch = {
        "client_id": "batch",
        "client_secret": SECRET,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    }
    started = OpenIdProvider(
        clients=[batch],
        resources={
            SHOP: {"scope": "orders.read orders.write"},
            "https://other.example": {"scope": "orders.read"},
        },
    )
    yield started
    started.close()


def config(service, provider, **changes):
    """Keys are found through the issuer alone."""
    identity = {
        "type": "jwt", "preset": "oidc", "issuer": provider.issuer, "audience": SHOP, "plaintext": "test",
        "token_type": "at+jwt", **changes,
    }  # fmt: skip
    return {
        "identity_providers": {"id": identity},
        "services": {"origin": configs.service(service)},
        "routes": {"orders": configs.route("/orders", authenticate="id", authorize={"scopes": "orders.read"})},
    }  # fmt: skip


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_client_calls_for_itself(gateway, origin, provider):
    service = origin()
    gate = gateway(config(service, provider))
    assert gate.get("/orders", bearer(provider.token("batch", SECRET, SHOP, "orders.read"))).status == 200
    line = gate.log_line(status=200)
    assert (line["subject"], line["client_id"], line["kind"]) == ("batch", "batch", "service")
    assert service.saw_no_more_than(1)


def test_a_token_for_another_resource_or_scope_is_refused(gateway, origin, provider):
    service = origin()
    gate = gateway(config(service, provider))
    other = provider.token("batch", SECRET, "https://other.example", "orders.read")
    assert gate.get("/orders", bearer(other)).reason == "token_audience_mismatch"
    short = provider.token("batch", SECRET, SHOP, "orders.write")
    assert gate.get("/orders", bearer(short)).reason == "scope_missing"
    assert service.saw_nothing()


@pytest.mark.parametrize("kind", ["RSA", "OKP"])
def test_other_kinds_of_keys(gateway, origin, provider, kind):
    service = origin()
    provider.configure(algorithm={"RSA": "PS256", "OKP": "EdDSA"}[kind])
    provider.publish(signing_key("other", kind))
    gate = gateway(config(service, provider))
    assert gate.get("/orders", bearer(provider.token("batch", SECRET, SHOP, "orders.read"))).status == 200


def test_a_key_is_changed_under_load_without_one_wrong_verdict(gateway, origin, provider, workers):
    """Published, used, and after the last token of the old one withdrawn, as RFC 7517 section 4.5 and the page have it."""
    service = origin()
    gate = gateway(
        config(service, provider, jwks={"refresh": "1s", "min_interval": "1s", "stale": "1s"}),
        workers=workers,
    )
    now = [provider.token("batch", SECRET, SHOP, "orders.read")]
    stop, wrong, done = threading.Event(), [], [0, 0, 0]

    def load(index: int) -> None:
        with gate.connect() as wire:
            while not stop.is_set():
                answer = wire.ask(target="/orders", headers=bearer(now[0]))
                done[index] += 1
                if answer.status != 200:
                    wrong.append((answer.status, answer.reason))

    threads = [threading.Thread(target=load, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2):
            (old,) = provider.keys
            new, old_token = signing_key(f"key-{number}"), now[0]
            fetches = gate.metrics()["yett_jwks_fetches_total"]
            provider.publish(old, new)
            eventually(
                lambda fetches=fetches: gate.metrics()["yett_jwks_fetches_total"] >= fetches + 2,
                20,
                "the new key beside the old one",
            )
            provider.publish(new, old)
            now[0] = provider.token("batch", SECRET, SHOP, "orders.read")
            assert gate.get("/orders", bearer(now[0])).status == 200
            assert gate.get("/orders", bearer(old_token)).status == 200
            provider.publish(new)
            eventually(
                lambda token=old_token: gate.get("/orders", bearer(token)).reason == "token_key_unknown",
                20,
                "the old key to be gone",
            )
            for _ in range(20):
                assert gate.get("/orders", bearer(old_token)).reason == "token_key_unknown"
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not wrong, wrong[:5]
    assert min(done) > 20


def test_a_provider_that_answers_nothing_is_bridged(gateway, origin, provider):
    service = origin()
    gate = gateway(config(service, provider, jwks={"refresh": "1s", "min_interval": "1s"}))
    token = provider.token("batch", SECRET, SHOP, "orders.read")
    assert gate.get("/orders", bearer(token)).status == 200
    provider.pause()
    try:
        eventually(lambda: gate.metrics()["yett_jwks_fetch_failures_total"], 30, "a fetch that failed")
        assert gate.get("/orders", bearer(token)).status == 200
    finally:
        provider.resume()
