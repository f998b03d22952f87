"""jwt: key sets by file and URL, rotation, outages, claims; a valid token passes and becomes a caller in the log."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Truncated


def fetched(service, identity, **fetch):
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = identity.provider(fetch)
    return config


@pytest.mark.parametrize("kind", ["RSA", "EC", "P-384", "OKP"])
def test_keys_from_a_file(gateway, origin, issuer, tmp_path, kind):
    identity, service = issuer(kind), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    answer = gate.get("/closed", identity.bearer(sub="alice", client_id="mobile", jti="the-id"))
    assert answer.status == 200
    assert service.saw_no_more_than(1)
    line = gate.log_line(status=200)
    assert "alice" in str(line) and "mobile" in str(line) and "the-id" in str(line)
    assert identity.fetches == 0


def test_keys_by_url_are_fetched_once(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity), workers=workers)
    for _ in range(20):
        assert gate.get("/closed", identity.bearer()).status == 200
    assert identity.fetches == 1


def test_a_burst_at_start_is_one_fetch(gateway, origin, issuer, workers):
    """Single flight: thirty-two callers wait for one answer."""
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity), workers=workers)
    headers = identity.bearer()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(gate.get("/closed", headers).status))
        for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * 32
    assert identity.fetches == 1


def test_challenges_say_what_is_wrong(gateway, origin, issuer, tmp_path):
    """RFC 6750 section 3: no error code where no credential was sent."""
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path, authorize={"scopes": "read"}))
    missing = gate.get("/closed")["www-authenticate"]
    assert missing.startswith("Bearer realm=") and "error" not in missing
    invalid = gate.get("/closed", identity.bearer(exp=1))["www-authenticate"]
    assert 'error="invalid_token"' in invalid
    short = gate.get("/closed", identity.bearer())["www-authenticate"]
    assert 'error="insufficient_scope"' in short and 'scope="read"' in short
    assert service.saw_nothing()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.test"}, "token_issuer_unknown"),
        ({"aud": "other"}, "token_audience_mismatch"),
        ({"aud": None}, "token_claim_invalid"),
        ({"iss": None}, "token_issuer_unknown"),
        ({"exp": 1}, "token_expired"),
    ],
)
def test_each_claim_has_a_reason(gateway, origin, issuer, tmp_path, changes, reason):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    answer = gate.get("/closed", identity.bearer(**changes))
    assert answer.status == 401
    assert (
        answer.reason in {reason, "token_claim_invalid"}
        if None in changes.values()
        else answer.reason == reason
    )
    assert service.saw_nothing()
    assert gate.log_line(status=401)["fault"] == "client"


def test_one_of_several_audiences(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    assert gate.get("/closed", identity.bearer(aud=["other", "shop"])).status == 200
    assert gate.get("/closed", identity.bearer(aud=["other", "shopper"])).status == 401


def test_declared_claims_have_their_type(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {"level": {"from": "acr", "type": "int"}}
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer(acr=2)).status == 200
    for value in ("2", 2.5, True, [2]):
        if value is not None:
            assert gate.get("/closed", identity.bearer(acr=value)).reason == "token_claim_invalid", value
    assert service.saw_no_more_than(1)


# rotation


def test_a_new_key_is_found_by_its_first_token(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    gate = gateway(fetched(service, identity, min_interval="1s"), workers=workers)
    assert gate.get("/closed", identity.bearer()).status == 200
    identity.rotate(keep_old=True)
    eventually(lambda: gate.get("/closed", identity.bearer()).status == 200, what="the new key")
    assert identity.fetches <= 3


def test_rotation_under_load_fails_nobody(gateway, origin, issuer, workers):
    """A key is published before it signs, and kept after: no token of either is ever refused."""
    identity, service = issuer(), origin()
    gate = gateway(fetched(service, identity, refresh="1s", min_interval="1s"), workers=workers)
    assert gate.get("/closed", identity.bearer()).status == 200
    stop, failures, done = threading.Event(), [], [0]

    def load():
        try:
            with gate.connect() as wire:
                while not stop.is_set():
                    answer = wire.ask(target="/closed", headers=identity.bearer(jti=str(time.monotonic_ns())))
                    if answer.status != 200:
                        failures.append(answer)
                    done[0] += 1
        except (Truncated, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        old = identity.signer
        identity.rotate(keep_old=True)
        new, identity.signer = identity.signer, old  # published, not yet signing
        fetches = identity.fetches
        identity.wait_fetches(fetches + 2)
        identity.signer = new
        count = done[0]
        eventually(lambda count=count: done[0] > count + 50 or failures)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not failures, failures[:2]


# outages


def test_a_set_serves_on_while_its_provider_is_down(gateway, origin, issuer):
    identity, service = issuer(), origin()
    gate = gateway(fetched(service, identity, refresh="1s", min_interval="1s", stale="1h"))
    assert gate.get("/closed", identity.bearer()).status == 200
    identity.mode = "fail"
    identity.wait_fetches(identity.fetches + 2)
    assert gate.get("/closed", identity.bearer()).status == 200
    assert any("jwks" in event or "provider" in event for event in gate.events(1.0)), (
        "an outage that nobody hears of"
    )


def test_a_set_serves_no_longer_than_allowed(gateway, origin, issuer):
    identity, service = issuer(), origin()
    gate = gateway(fetched(service, identity, refresh="1s", min_interval="1s", stale="1s"))
    headers = identity.bearer()
    assert gate.get("/closed", headers).status == 200
    identity.mode = "fail"
    eventually(
        lambda: gate.get("/closed", headers).reason == "identity_provider_unavailable",
        what="the end of the stale set",
    )
    assert gate.get("/open/a").status == 200
    identity.mode = "ok"
    eventually(lambda: gate.get("/closed", headers).status == 200, what="the recovery")


def test_an_outage_at_start_ends_by_itself(gateway, origin, issuer):
    identity, service = issuer(), origin()
    identity.mode = "hangup"
    gate = gateway(fetched(service, identity, min_interval="1s"))
    headers = identity.bearer()
    answer = gate.get("/closed", headers)
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert answer["retry-after"].isdigit()
    assert service.saw_nothing()
    identity.mode = "ok"
    eventually(lambda: gate.get("/closed", headers).status == 200, what="the recovery")


def test_an_outage_does_not_ask_the_provider_for_every_request(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    identity.mode = "fail"
    gate = gateway(configs.protected(service, identity), workers=workers)
    for _ in range(50):
        assert gate.get("/closed", identity.bearer()).status == 503
    assert identity.fetches <= 3
    assert service.saw_nothing()


def test_a_reload_keeps_the_fetched_set(gateway, origin, issuer):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity)
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).status == 200
    identity.mode = "fail"
    config["routes"]["new"] = configs.route("/new")
    gate.reload(config)
    assert gate.get("/closed", identity.bearer()).status == 200
    assert identity.fetches == 1
