"""A remembered verdict is about one token, one provider and one set of keys (CVE-2026-2836 class)."""

from __future__ import annotations

import time

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import head


def test_a_token_that_differs_in_one_character_is_another_token(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path), workers=workers)
    token = identity.token()
    with gate.connect() as wire:
        for _ in range(3):
            assert wire.ask(target="/closed", headers={"Authorization": f"Bearer {token}"}).status == 200
        seen = len(service.requests)
        for position in range(0, len(token), 17):
            other = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
            answer = wire.ask(target="/closed", headers={"Authorization": f"Bearer {other}"})
            assert answer.status == 401, position
        assert service.saw_no_more_than(seen)


def test_a_verdict_of_one_provider_is_none_of_another(gateway, origin, issuer, tmp_path):
    first, second, service = issuer(), issuer("RSA"), origin()
    config = configs.protected(service, first, tmp_path)
    config["identity_providers"]["other"] = second.inline(tmp_path)
    config["routes"]["other"] = configs.route(
        "/other/{rest...}", authenticate="other", access="authenticated"
    )
    gate = gateway(config)
    with gate.connect() as wire:
        headers = first.bearer()
        assert wire.ask(target="/closed", headers=headers).status == 200
        answer = wire.ask(target="/other/a", headers=headers)
        assert answer.status == 401
        assert answer.reason in ("provider_not_accepted", "token_issuer_unknown")
    assert service.saw_no_more_than(1)


def test_expiry_cuts_a_verdict(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["leeway"] = "0s"
    gate = gateway(config)
    headers = identity.bearer(exp=int(time.time()) + 2)
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=headers).status == 200
        answer = eventually(lambda: (a := wire.ask(target="/closed", headers=headers)).status == 401 and a)
        assert answer.reason == "token_expired"


def test_a_withdrawn_key_cuts_a_verdict(gateway, origin, issuer, workers):
    """The set is fetched again, the key is gone: the cached success is worth nothing."""
    identity, service = issuer(), origin()
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = identity.provider({"refresh": "1s", "min_interval": "1s"})
    gate = gateway(config, workers=workers)
    old = identity.bearer()
    wires = [gate.connect() for _ in range(8)]
    for wire in wires:
        assert wire.ask(target="/closed", headers=old).status == 200
    identity.rotate()
    new = identity.bearer()
    eventually(lambda: gate.get("/closed", new).status == 200, what="the new key")
    for wire in wires:
        answer = wire.ask(target="/closed", headers=old)
        assert (answer.status, answer.reason) == (401, "token_key_unknown")
        wire.close()


def test_a_reload_with_other_keys_cuts_a_verdict(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    gate = gateway(config)
    old = identity.bearer()
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=old).status == 200
        identity.rotate()
        gate.reload(configs.protected(service, identity, tmp_path))
        assert wire.ask(target="/closed", headers=old).reason == "token_key_unknown"
        assert wire.ask(target="/closed", headers=identity.bearer()).status == 200
    assert service.saw_no_more_than(2)


def test_a_reload_with_another_audience_cuts_a_verdict(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    gate = gateway(config)
    headers = identity.bearer()
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=headers).status == 200
        config["identity_providers"]["id"]["audience"] = "another"
        gate.reload(config)
        assert wire.ask(target="/closed", headers=headers).reason == "token_audience_mismatch"
    assert service.saw_no_more_than(1)


def test_failures_are_not_remembered(gateway, origin, issuer):
    identity, service = issuer(), origin()
    identity.mode = "fail"
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = identity.provider({"min_interval": "1s"})
    gate = gateway(config)
    headers = identity.bearer()
    assert gate.get("/closed", headers).status == 503
    identity.mode = "ok"
    eventually(lambda: gate.get("/closed", headers).status == 200, what="the provider's recovery")


def test_two_callers_on_one_connection_stay_two(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path, authorize={"scopes": "write"})
    gate = gateway(config)
    may, may_not = identity.bearer(sub="a", scope="write"), identity.bearer(sub="b", scope="read")
    with gate.connect() as wire:
        wire.send((head("GET", "/x", may) + head("GET", "/y", may_not)) * 10)
        statuses = [wire.reply().status for _ in range(20)]
    assert statuses == [200, 403] * 10
    assert {seen.target for seen in service.requests} == {"/x"}
