"""Threat: what counts once is sent again after a reload has changed the store that remembered it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.providers.test_client_assertion import configured as with_machines
from tests.security.test_signed_request_reuse import HOST
from tests.security.test_signed_request_reuse import configured as with_signers
from tests.support.client_assertions import AssertionSigner
from tests.support.gateway import Config
from tests.support.signing import Signer
from tests.support.waiting import eventually

Make = Callable[..., Any]


def on_disk(config: Config, directory: Path) -> Config:
    return {**config, "state": {"directory": str(directory)}}


def test_a_signed_request(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, signer = origin(), Signer(tmp_path)
    config = with_signers(service, signer)
    gate = gateway(config)
    fields = signer.sign("GET", f"{HOST}/a")
    assert gate.get("/a", fields).status == 200
    for state in ("one", "two"):
        gate.reload(on_disk(config, tmp_path / state))
        assert gate.get("/a", fields).reason == "signature_replayed"
    gate.reload(config)
    assert gate.get("/a", fields).reason == "signature_replayed"
    assert service.saw_no_more_than(1)
    assert eventually(lambda: gate.get("/a", signer.sign("GET", f"{HOST}/a")).status == 200)


def test_an_assertion_whose_verdict_is_remembered(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, batch = origin(), AssertionSigner(tmp_path)
    config = with_machines(service, batch)
    gate = gateway(config)
    begun = int(time.time())
    assert eventually(lambda: int(time.time()) > begun)
    fields = batch.sign(iat=int(time.time()))
    assert gate.get("/orders", fields).status == 200
    gate.reload(on_disk(config, tmp_path / "state"))
    answer = gate.get("/orders", fields)
    assert answer.reason == "assertion_replayed" and "make a new one" in answer.json()["detail"]
    assert service.saw_no_more_than(1)
    assert eventually(lambda: gate.get("/orders", batch.sign(iat=int(time.time()))).status == 200)


def test_under_another_name_of_its_provider(gateway: Make, origin: Make, tmp_path: Path) -> None:
    service, signer = origin(), Signer(tmp_path)
    config = with_signers(service, signer)
    gate = gateway(config)
    fields = signer.sign("GET", f"{HOST}/a")
    assert gate.get("/a", fields).status == 200
    (provider,) = config["identity_providers"].values()
    renamed = {**config, "identity_providers": {"robots": provider}}
    renamed["routes"] = {"closed": {**config["routes"]["closed"], "authenticate": "robots"}}
    gate.reload(renamed)
    assert gate.get("/a", fields).reason == "signature_replayed"
    assert service.saw_no_more_than(1)
    assert gate.get("/a", signer.sign("GET", f"{HOST}/a")).status == 200
