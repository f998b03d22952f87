"""State in a Redis over TLS, as a user of its own with the rights that the page names: all of it works, and nobody else gets in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import configs
from tests.support.client_assertions import AUDIENCE, AssertionSigner
from tests.support.gateway import Config, Gateway
from tests.support.origin import Origin
from tests.support.redis import Redis
from tests.support.waiting import eventually

Make = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "state.md"
PASSWORD = "a password of the gateway"


def rights() -> list[str]:
    """What the page says that the user needs."""
    found = re.search(r"The user needs `([^`]+)`", PAGE.read_text())
    assert found
    return found[1].replace("PREFIX", "yett").split()


@pytest.fixture
def redis(authority: trustme.CA, tmp_path: Path) -> Iterator[Redis]:
    """Over TLS alone; the user `yett` has the rights of the page, and the user of everybody a password."""
    own = authority.issue_cert("localhost")
    paths = (tmp_path / "redis.pem", tmp_path / "redis.key", tmp_path / "redis-ca.pem")
    paths[0].write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))
    paths[1].write_bytes(own.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(paths[2]))
    server = Redis(password="of the operator", tls=paths)
    assert server.ask("ACL", "SETUSER", "yett", "reset", "on", f">{PASSWORD}", *rights()) == "OK"
    yield server
    server.stop()


def state(server: Redis, directory: Path, **changes: Any) -> Config:
    """As the user `yett`, unless a change says otherwise."""
    password = configs.write_secret(directory, "redis.password", PASSWORD.encode())
    own = {
        "username": "yett",
        "password": {"file": password},
        "ca": str(directory / "redis-ca.pem"),
        **changes,
    }
    return {"redis": {name: value for name, value in server.config(**own).items() if value is not None}}


def configured(service: Origin, signer: AssertionSigner, state: Config) -> Config:
    return {
        "state": state,
        "identity_providers": {
            "machines": {
                "type": "client_assertion",
                "audience": AUDIENCE,
                "clients": {signer.name: signer.registered()},
            }
        },
        "services": {"origin": configs.service(service)},
        "routes": {
            "closed": configs.route(
                authenticate="machines",
                access="authenticated",
                rate_limit={"all": {"rate": "1000/s", "burst": 1000, "key": "route"}},
            ),
            "open": configs.route("/open"),
        },
    }


def test_a_user_with_these_rights_can_do_all_that_state_needs(
    gateway: Make, origin: Make, redis: Redis, tmp_path: Path
) -> None:
    service, signer = origin(), AssertionSigner(tmp_path)
    config = configured(service, signer, state(redis, tmp_path))
    one: Gateway = gateway(config)
    other: Gateway = gateway(config)
    eventually(lambda: one.get("/a", signer.sign()).status == 200, 20, "the connection")
    eventually(lambda: other.get("/a", signer.sign()).status == 200, 20, "the connection")
    fields = signer.sign()
    assert [gate.get("/a", fields).status for gate in (one, other)] == [200, 401]
    ask = {"by": "test", "revoke": {"client": signer.name, "all": True}}
    answer = json.loads(one.core.revocations(json.dumps(ask).encode()))
    assert answer["acknowledged"] and answer["kept"] == "shared"
    eventually(lambda: other.get("/a", signer.sign()).reason == "token_revoked", 5, "the other instance")
    undo = {"by": "test", "undo": answer["id"]}
    assert json.loads(one.core.revocations(json.dumps(undo).encode()))["acknowledged"]
    eventually(lambda: other.get("/a", signer.sign()).status == 200, 5, "the other instance")
    found = redis.ask("EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0").split()
    assert found and all(key.startswith("yett:") for key in found)


def test_sessions_live_there_too(site: Make, redis: Redis, tmp_path: Path) -> None:
    here = site(session={"store": "server"}, config={"state": state(redis, tmp_path)})
    browser = here.browser()
    eventually(lambda: browser.page("/app").status_code == 302, 20, "the connection")
    assert browser.login().status_code == 303
    assert browser.fetch("/app").status_code == 200
    assert browser.fetch("/.yett/staff/logout", "POST").status_code == 204
    assert browser.fetch("/app").status_code == 401


@pytest.mark.parametrize(
    "what", ["password", "nobody", "authority", "plain", "rights"],
    ids=["wrong password", "no user", "another authority", "plain text", "too few rights"],
)  # fmt: skip
def test_without_its_rights_and_its_certificate_nothing_counts(
    gateway: Make, origin: Make, redis: Redis, tmp_path: Path, what: str
) -> None:
    changes: dict[str, Any] = {}
    if what == "password":
        wrong = configs.write_secret(tmp_path, "wrong.password", b"the password of somebody else")
        changes["password"] = {"file": wrong}
    if what == "nobody":
        changes |= {"username": None, "password": None}
    if what == "authority":
        other = tmp_path / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        changes["ca"] = str(other)
    if what == "plain":
        changes |= {"url": f"redis://localhost:{redis.port}", "plaintext": "test", "ca": None}
    if what == "rights":
        assert redis.ask("ACL", "SETUSER", "yett", "-set") == "OK"
    service, signer = origin(), AssertionSigner(tmp_path)
    gate: Gateway = gateway(configured(service, signer, state(redis, tmp_path, **changes)))
    assert gate.get("/open").status == 200
    seen = len(service.requests)
    began = time.monotonic()
    answer = gate.get("/a", signer.sign())
    while answer.status == 503 and time.monotonic() < began + 2:
        answer = gate.get("/a", signer.sign())
    assert (answer.status, answer.reason) == (503, "state_unavailable")
    assert service.saw_no_more_than(seen)
    assert PASSWORD not in gate.log_text().decode() and PASSWORD not in json.dumps(gate.events())
