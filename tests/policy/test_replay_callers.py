"""`yett replay` of every way to be somebody: recorded at a gateway, judged by the same configuration and by another one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from typer.testing import CliRunner

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.clients import Authority, shows
from tests.support.gateway import Config, Gateway, complete
from tests.support.waiting import eventually
from yett.cli.app import app

Change = Callable[[Config], None]
NONE = {"none": "not what this test is about"}


class Recorded:
    """What a gateway recorded of requests, and replays of it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.file = directory, directory / "decisions.jsonl"
        (directory / "hash.key").write_text("0123456789abcdef0123456789abcdef\n")
        self.config: Config = {}

    def log(self, **more: Any) -> Config:
        """The part of a configuration that records."""
        return {"file": str(self.file), "hash_key": {"file": str(self.directory / "hash.key")}, **more}

    def wait(self, count: int) -> list[dict[str, Any]]:
        eventually(lambda: len(self.lines()) >= count, what=f"{count} decision records")
        assert len(self.lines()) == count
        return self.lines()

    def lines(self) -> list[dict[str, Any]]:
        text = self.file.read_bytes() if self.file.exists() else b""
        return [json.loads(line) for line in text.split(b"\n")[:-1]]

    def paths(self) -> list[str]:
        return [line["path"] for line in self.lines()]

    def replay(self, change: Change | None = None) -> dict[str, Any]:
        config = copy.deepcopy(self.config)
        if change is not None:
            change(config)
        for route in config["routes"].values():
            for key in [key for key, value in route.items() if value is None]:
                del route[key]
        path = self.directory / "other.yaml"
        path.write_text(json.dumps(complete(config, self.directory)))
        words = ["replay", str(self.file), "--config", str(path), "--format", "json"]
        found: dict[str, Any] = json.loads(CliRunner().invoke(app, words).stdout)
        return found

    def flips(self, change: Change | None = None) -> tuple[int, int, int]:
        """Allow to deny, deny to allow, and undecidable ones."""
        found = self.replay(change)
        assert not found["damaged"]
        return found["flips"]["allow_to_deny"], found["flips"]["deny_to_allow"], found["undecidable"]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


def rule(route: str, **parts: Any) -> Change:
    """A change of what a route asks for."""
    return lambda config: config["routes"][route].update(parts)


# client certificates

BILLING, TILL, STRANGER = (
    "spiffe://example.org/billing", "spiffe://example.org/shops/acme/till-7", "spiffe://example.org/unheard-of",
)  # fmt: skip


@pytest.fixture
def mesh(gateway: Any, origin: Any, listener_tls: Any, authority: Any, recorded: Recorded) -> Recorded:
    clients = Authority(recorded.directory)
    identities = {
        BILLING: {"client": "billing", "scopes": "read", "roles": "ops", "tenant": "acme"},
        "spiffe://example.org/shops/{tenant}/{client}": {"kind": "device", "scopes": "read"},
    }
    recorded.config = {
        "decision_log": recorded.log(),
        "listeners": {
            "main": {
                "address": "127.0.0.1:0",
                "tls": {**listener_tls, "client_certificates": {"mode": "optional", "ca": str(clients.file)}},
            }
        },
        "identity_providers": {
            "mesh": {"type": "mtls", "subject": "spiffe", "trust_domains": "example.org", "identities": identities}
        },
        "services": {"origin": configs.service(origin())},
        "routes": {"closed": configs.route("/a", authenticate="mesh", authorize={"scopes": "read"}, tenant=NONE)},
    }  # fmt: skip
    gate = gateway(recorded.config)
    found = []
    for number, name in enumerate((BILLING, TILL, STRANGER)):
        file, _ = clients.issue(f"c{number}", names=[x509.UniformResourceIdentifier(name)])
        found.append(gate.get("/a", tls=shows(authority, file)).status)
    found.append(gate.get("/a", tls=shows(authority, None)).status)
    assert found == [200, 200, 403, 403] or found == [200, 200, 401, 403]
    recorded.wait(4)
    return recorded


def test_client_certificates(mesh: Recorded, tmp_path: Path) -> None:
    assert mesh.flips() == (0, 0, 0)
    assert mesh.flips(rule("closed", authorize={"scopes": "read", "roles": "ops"})) == (1, 0, 0)
    assert mesh.flips(rule("closed", authorize={"callers": {"spiffe": BILLING}})) == (1, 0, 0)
    assert mesh.flips(rule("closed", authorize={"scopes": "write"})) == (2, 0, 0)

    def less(config: Config) -> None:
        config["identity_providers"]["mesh"]["identities"][BILLING]["scopes"] = "write"

    # nor whom another pattern may fit now, nor whether a certificate that fitted none does
    assert mesh.flips(less) == (0, 0, 3)

    def others(config: Config) -> None:
        (tmp_path / "other").mkdir(exist_ok=True)
        ca = str(Authority(tmp_path / "other").file)
        config["listeners"]["main"]["tls"]["client_certificates"]["ca"] = ca

    # who is vouched for by another authority cannot be told
    assert mesh.flips(others)[2] >= 3


# sessions of browsers


@pytest.fixture
def staff(site: Any, recorded: Recorded) -> Recorded:
    """Two people with a session, and a script without one."""
    here = site(config={"decision_log": recorded.log()}, claims={"roles": "roles"})
    for who in ("ann", "bob"):
        browser = here.browser()
        browser.login(who=who)
        assert browser.page(f"/app/{who}").status_code == 200
    assert here.browser().send("GET", "/app/nobody", {"accept": "application/json"}).status_code == 401
    eventually(lambda: "/app/nobody" in recorded.paths(), what="the last record")
    recorded.config = here.config
    return recorded


def test_sessions(staff: Recorded) -> None:
    allowed = [line["path"] for line in staff.lines() if line["decision"] == "allow"]
    assert sorted(allowed) == ["/app/ann", "/app/bob"]
    assert staff.flips() == (0, 0, 0)
    asks = {"access": None, "tenant": NONE}
    assert staff.flips(rule("app", authorize={"callers": {"users": ["ann", "bob"]}}, **asks)) == (0, 0, 0)
    assert staff.flips(rule("app", authorize={"callers": {"users": "ann"}}, **asks)) == (1, 0, 0)
    assert staff.flips(rule("app", authorize={"roles": "boss"}, **asks)) == (2, 0, 0)

    def another_client(config: Config) -> None:
        config["identity_providers"]["staff"]["client"]["id"] = "another"

    allow_to_deny, deny_to_allow, undecidable = staff.flips(another_client)
    assert (allow_to_deny, deny_to_allow) == (0, 0)
    assert undecidable >= 2, "whether another client's sessions would count cannot be told"


# what a service says beside


@pytest.fixture
def checked(gateway: Any, origin: Any, issuer: Any, recorded: Recorded) -> Recorded:
    """One who is let in by the check, one whom it refuses, one who is never asked about."""
    check, identity = origin(), issuer()
    recorded.config = {
        **configs.protected(
            origin(), identity, recorded.directory, tenant=NONE, authorize={"scopes": "read"},
            external_authorization={"url": f"{check.url}/check", "plaintext": "test", "timeout": "10s"},
        ),
        "decision_log": recorded.log(),
    }  # fmt: skip
    gate = gateway(recorded.config)
    found = []
    for allow, scope in ((True, "read"), (False, "read"), (True, "write")):
        check.answers(200, json.dumps({"allow": allow}).encode(), [("Content-Type", "application/json")])
        found.append(gate.get("/a", identity.bearer(scope=scope, sub="ann")).reason)
    assert found == [None, "external_denied", "scope_missing"]
    recorded.wait(3)
    return recorded


def test_an_external_check(checked: Recorded) -> None:
    assert checked.flips() == (0, 0, 0)

    def gone(config: Config) -> None:
        del config["routes"]["closed"]["external_authorization"]

    assert checked.flips(gone) == (0, 1, 0)

    def another(config: Config) -> None:
        config["routes"]["closed"]["external_authorization"]["url"] += "/v2"

    # what another one would say cannot be told; who is refused before it is refused
    assert checked.flips(another) == (0, 0, 2)

    assert checked.flips(rule("closed", authorize={"scopes": "write"})) == (1, 0, 1), (
        "the check was not asked about the one who passes the rule now"
    )


# every one of several


@pytest.fixture
def both(gateway: Any, origin: Any, issuer: Any, recorded: Recorded) -> Recorded:
    """One with a token and a key, one with a token, one with a key."""
    identity, keys = issuer(), KeyFile(recorded.directory)
    key = {"X-API-Key": keys.add("feed", scopes=["feed"], tenant="acme")}
    config = configs.protected(
        origin(), identity, recorded.directory, tenant=NONE, authorize={"scopes": "read"}
    )
    config["identity_providers"]["keys"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"]["closed"]["authenticate"] = {"all_of": ["id", "keys"]}
    recorded.config = {**config, "decision_log": recorded.log()}
    gate = gateway(recorded.config)
    bearer = identity.bearer(scope="read", sub="ann")
    found = [gate.get("/a", headers).status for headers in ({**bearer, **key}, bearer, key)]
    assert found == [200, 401, 401]
    recorded.wait(3)
    return recorded


def test_all_of(both: Recorded) -> None:
    assert both.flips() == (0, 0, 0)
    assert both.flips(rule("closed", authorize={"scopes": "write"})) == (1, 0, 0)
    assert both.flips(rule("closed", authorize={"callers": {"users": "ann"}})) == (0, 0, 0)
    assert both.flips(rule("closed", authorize={"callers": {"users": "bob"}})) == (1, 0, 0)
    # one credential was refused for want of the other: whether it would be enough by itself was not looked at
    for accepted in ("id", {"any_of": ["id", "keys"]}):
        allow_to_deny, deny_to_allow, undecidable = both.flips(rule("closed", authenticate=accepted))
        assert (allow_to_deny, deny_to_allow) == (0, 0)
        assert undecidable >= 2

    def another_key(config: Config) -> None:
        other = KeyFile(both.directory, "other.yaml.keys")
        other.add("feed", scopes=["feed"], tenant="acme")
        config["identity_providers"]["keys"]["keys"] = str(other.path)

    assert both.flips(another_key)[:2] == (0, 0)
    assert both.flips(another_key)[2] >= 1


# hidden routes


@pytest.fixture
def hidden(gateway: Any, origin: Any, issuer: Any, recorded: Recorded) -> Recorded:
    """One who may, one who sees nothing there, and one who asks for what is nowhere."""
    identity = issuer()
    config = configs.protected(
        origin(), identity, recorded.directory, tenant=NONE, hidden=True, authorize={"scopes": "read"}
    )
    config["routes"]["closed"]["match"]["path"] = "/h/{rest...}"
    recorded.config = {**config, "decision_log": recorded.log()}
    gate = gateway(recorded.config)
    asked = [("/h/a", "read"), ("/h/a", "write"), ("/nowhere", "read")]
    found = [gate.get(path, identity.bearer(scope=scope, sub="ann")).status for path, scope in asked]
    found.append(gate.get("/h/a").status)
    assert found == [200, 404, 404, 404]
    recorded.wait(4)
    return recorded


def test_hidden_routes(hidden: Recorded) -> None:
    found = hidden.replay()
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0}
    assert (found["undecidable"], found["same"]) == (0, {"allow": 1, "deny": 3, "other_reason": 0})
    assert hidden.flips(rule("closed", hidden=False)) == (0, 0, 0), "to be seen is not to be let in"
    assert hidden.flips(rule("closed", authorize={"scopes": "write"})) == (1, 1, 0)
    assert hidden.flips(
        rule("closed", hidden=False, authorize={"scopes": {"any_of": ["read", "write"]}})
    ) == (0, 1, 0)

    def seen(config: Config) -> None:
        config["routes"]["more"] = configs.route("/nowhere", access="public")

    assert hidden.flips(seen) == (0, 1, 0)


# addresses


@pytest.mark.parametrize("addresses", ["plain", "hashed"])
def test_addresses(gateway: Any, origin: Any, issuer: Any, recorded: Recorded, addresses: str) -> None:
    identity = issuer()
    config = configs.protected(
        origin(), identity, recorded.directory, tenant=NONE, authorize={"scopes": "read"}
    )
    recorded.config = {**config, "decision_log": recorded.log(addresses=addresses)}
    gate: Gateway = gateway(recorded.config)
    assert [gate.get("/a", identity.bearer(scope=scope)).status for scope in ("read", "write")] == [200, 403]
    recorded.wait(2)
    assert {line["client"] == "127.0.0.1" for line in recorded.lines()} == {addresses == "plain"}
    assert recorded.flips() == (0, 0, 0)
    hashed = addresses == "hashed"
    near = rule("closed", authorize={"scopes": "read", "addresses": "127.0.0.0/8"})
    far = rule("closed", authorize={"scopes": "read", "addresses": "10.0.0.0/8"})
    # addresses are looked at before scopes
    assert recorded.flips(near) == ((0, 0, 2) if hashed else (0, 0, 0))
    assert recorded.flips(far) == ((0, 0, 2) if hashed else (1, 0, 0))
    assert recorded.flips(rule("closed", authorize={"scopes": "write"})) == (1, 1, 0)
    denied = rule("closed", deny={"here": {"addresses": "127.0.0.1"}})
    allow_to_deny, deny_to_allow, undecidable = recorded.flips(denied)
    assert (allow_to_deny, deny_to_allow) == ((0, 0) if hashed else (1, 0))
    assert undecidable == (2 if hashed else 0)
