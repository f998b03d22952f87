"""Each row of docs/concepts/choosing-authentication.md: its example is driven with a right and a wrong credential."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.authorization_server import AuthorizationServer
from tests.support.client_assertions import AssertionSigner
from tests.support.clients import Authority, shows
from tests.support.dpop import Client
from tests.support.gateway import Config, Gateway
from tests.support.issuer import Issuer
from tests.support.openid_provider import OpenIdProvider
from tests.support.origin import Origin
from tests.support.redis import Redis
from tests.support.signing import Signer
from tests.support.site import CLIENT_SECRET, Site, session_key
from tests.support.waiting import eventually
from tests.support.wire import Reply

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "choosing-authentication.md"
ROWS = re.findall(r"^\|.*\(\.\./\.\./examples/(\w+)\.yaml\) \|$", PAGE.read_text(), re.MULTILINE)
Make = Callable[..., Any]


def example(name: str) -> Config:
    """The example as it stands there."""
    from yett.config.reading import parse

    path = ROOT / "examples" / f"{name}.yaml"
    return dict(parse(path.read_bytes(), path, path.name).value)


@dataclass
class Stage:
    """What a driver plays on: all that it may put into an example are addresses, keys and secrets."""

    gateway: Make
    origin: Origin
    issuer: Make
    server: Callable[..., AuthorizationServer]
    site: Make
    provider: OpenIdProvider
    redis: Redis
    listener_tls: Config
    authority: Any
    directory: Path

    def secret(self, name: str, data: bytes) -> dict[str, str]:
        return {"file": configs.write_secret(self.directory, name, data)}

    def config(self, name: str, **provider: Any) -> Config:
        """The example, on free ports, with services that are the origin; `provider` changes its one provider."""
        found = example(name)
        found["access_log"] = {"file": str(self.directory / "access.jsonl")}
        for service in found["services"].values():
            service.pop("tls", None)
            service |= configs.service(self.origin)
        found["listeners"] = {
            listener: {**spec, "address": "127.0.0.1:0"} for listener, spec in found["listeners"].items()
        }
        if provider:
            (own,) = found["identity_providers"].values()
            own |= provider
        return found

    def identity(self, config: Config) -> Issuer:
        """An issuer of tokens for the audience of the example's one provider."""
        (own,) = config["identity_providers"].values()
        made: Issuer = self.issuer(audience=own["audience"])
        own |= {"issuer": made.issuer, "jwks": made.jwks_file(self.directory), "plaintext": "test"}
        return made

    def with_certificates(self, config: Config, listener: str) -> Authority:
        """Clients of a listener show certificates of a new authority."""
        clients = Authority(self.directory)
        asked = {**config["listeners"][listener]["tls"]["client_certificates"], "ca": str(clients.file)}
        config["listeners"][listener]["tls"] = {**self.listener_tls, "client_certificates": asked}
        config.pop("state", None)
        del config["listeners"]["web"]
        return clients

    def start(self, config: Config) -> Gateway:
        started: Gateway = self.gateway(config)
        return started


@pytest.fixture
def stage(
    gateway: Make, origin: Make, issuer: Make, authorization_server: Make, site: Make, listener_tls: Config,
    authority: Any, tmp_path: Path, _login_provider: OpenIdProvider,
) -> Iterator[Stage]:  # fmt: skip
    redis = Redis()
    yield Stage(
        gateway, origin(), issuer, authorization_server, site, _login_provider, redis, listener_tls, authority, tmp_path
    )  # fmt: skip
    redis.stop()


def right(stage: Stage, answer: Any) -> None:
    """It came in."""
    status = getattr(answer, "status", None) or answer.status_code
    assert status == 200, answer
    assert len(stage.origin.requests) == 1


def wrong(stage: Stage, answer: Reply, status: int, reason: str) -> None:
    """It was refused, for this reason, and the service saw nothing more."""
    assert (answer.status, answer.reason) == (status, reason)
    assert stage.origin.saw_no_more_than(1)


def people(stage: Stage, name: str, **changes: Any) -> Site:
    """The example with a login at the real provider."""
    config = stage.config(name)
    (listener,) = config["listeners"]
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": stage.listener_tls}}
    assert listener == "behind-balancer"
    own = config["identity_providers"]["staff"]
    own |= {
        "issuer": stage.provider.issuer,
        "plaintext": "test",
        "client": {**own["client"], "secret": stage.secret("client.secret", CLIENT_SECRET.encode())},
        "session": {**own["session"], "keys": [session_key(stage.directory)]},
    }
    config["routes"]["app"]["match"]["hosts"] = "localhost"
    here: Site = stage.site(config={**config, **changes})
    here.origin = stage.origin
    return here


def drive_oidc(stage: Stage) -> None:
    here = people(stage, "oidc")
    stage.provider.configure(
        claims={"openid": ["sub", "sid", "realm_access"]},
        accounts={
            "ann": {"realm_access": {"roles": ["employee"]}},
            "bob": {"realm_access": {"roles": ["guest"]}},
        },
    )
    ann, bob = here.browser(), here.browser()
    ann.login("/", who="ann")
    right(stage, ann.fetch("/"))
    bob.login("/", who="bob")
    assert bob.fetch("/").json()["reason"] == "role_missing"
    ann.jar["localhost"] = {"__Host-yett-staff": "1.forged"}
    assert ann.fetch("/").json()["reason"] == "session_invalid"
    assert stage.origin.saw_no_more_than(1)


def drive_oidc_server(stage: Stage) -> None:
    here = people(stage, "oidc_server", state={"redis": stage.redis.config()})
    ann, thief = here.browser(), here.browser()
    eventually(lambda: ann.page("/").status_code == 302, 20, "the store")
    ann.login("/")
    right(stage, ann.fetch("/"))
    thief.jar["localhost"] = dict(ann.cookies)
    assert ann.fetch("/.yett/staff/logout", "POST").status_code == 204
    answer = thief.fetch("/")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_expired")
    assert stage.origin.saw_no_more_than(1)


def drive_jwt(stage: Stage) -> None:
    config = stage.config("jwt")
    identity = stage.identity(config)
    gate = stage.start(config)

    def get(**claims: Any) -> Reply:
        return gate.get("/tenants/acme/orders", identity.bearer(**claims), listener="local")

    right(stage, get(tenant_id="acme"))
    wrong(stage, get(tenant_id="acme", aud="another-app"), 401, "token_audience_mismatch")
    wrong(stage, get(tenant_id="other"), 403, "tenant_mismatch")


def drive_sender_constrained(stage: Stage) -> None:
    config = stage.config("sender_constrained")
    config["state"] = {"redis": stage.redis.config()}
    identity = stage.identity(config)
    gate = stage.start(config)
    client = Client(identity, "http://api.example.com", scope="payments.write")

    def post(fields: dict[str, str]) -> Reply:
        return gate.post("/payments", headers=fields, host="api.example.com", listener="public")

    stolen = {"Authorization": f"Bearer {client.token}"}
    given = eventually(lambda: post(client.headers("POST", "/payments")).all("dpop-nonce"), 20, "a nonce")
    client.nonce = given[0]
    fields = client.headers("POST", "/payments")
    right(
        stage, eventually(lambda: answer if (answer := post(fields)).status != 503 else None, 20, "the store")
    )
    wrong(stage, post(stolen), 401, "proof_missing")
    wrong(stage, post(fields), 401, "proof_replayed")


def drive_introspection(stage: Stage) -> None:
    server = stage.server()
    config = stage.config(
        "introspection",
        endpoint=f"{server.base}/introspect", issuer=server.base, plaintext="test",
        client=server.client(stage.directory), audience="shop-api",
    )  # fmt: skip
    gate = stage.start(config)
    token = server.issue(aud="shop-api", scope="orders.read")

    def get(token: str) -> Reply:
        return gate.get("/orders/1", {"Authorization": f"Bearer {token}"}, listener="local")

    right(stage, get(token))
    wrong(stage, get(server.issue(aud="another-app", scope="orders.read")), 401, "token_audience_mismatch")
    wrong(stage, get("invented"), 401, "token_inactive")


def drive_live_check(stage: Stage) -> None:
    server = stage.server()
    config = stage.config("live_check")
    identity = stage.identity(config)
    asked = config["identity_providers"]["customers"]["introspection"]
    asked |= {"endpoint": f"{server.base}/introspect", "client": server.client(stage.directory)}
    gate = stage.start(config)
    token = identity.token(scope="pay")
    server.issue(token, iss=identity.issuer, jti="token-1")
    fields = {"Authorization": f"Bearer {token}"}
    right(stage, gate.post("/transfers", headers=fields, listener="local"))
    server.revoke(token)
    wrong(stage, gate.post("/transfers", headers=fields, listener="local"), 401, "token_inactive")


def drive_assurance(stage: Stage) -> None:
    config = stage.config("assurance")
    identity = stage.identity(config)
    gate = stage.start(config)
    now = int(time.time())

    def post(**claims: Any) -> Reply:
        return gate.post(
            "/transfers", headers=identity.bearer(scope="bank.transfer", **claims), listener="local"
        )

    right(stage, post(acr="mfa", auth_time=now))
    wrong(stage, post(acr="password", auth_time=now), 401, "insufficient_user_authentication")
    wrong(stage, post(acr="mfa", auth_time=now - 3600), 401, "insufficient_user_authentication")


def drive_api_key(stage: Stage) -> None:
    keys = KeyFile(stage.directory)
    good, other = keys.add("acme", scopes=["orders.read"]), keys.add("weak", scopes=["feed.read"])
    gate = stage.start(stage.config("api_key", keys=str(keys.path)))

    def get(key: str) -> Reply:
        return gate.get("/orders/1", {"X-Api-Key": key}, listener="local")

    right(stage, get(good))
    wrong(stage, get(KeyFile.assemble("acme00000001", "A" * 43)), 401, "api_key_unknown")
    wrong(stage, get(other), 403, "scope_missing")


def drive_signed_request(stage: Stage) -> None:
    signer = Signer(stage.directory, name="acme-2026")
    config = stage.config("signed_request")
    config["identity_providers"]["partners"]["keys"]["acme-2026"]["public_key"] = str(signer.file)
    config["routes"]["orders"].setdefault("tenant", {"none": "test"})
    gate = stage.start(config)
    body = b'{"amount": 1}'
    fields = signer.sign("POST", "http://gateway.test/orders", body)
    right(stage, gate.post("/orders", body, fields, listener="local"))
    wrong(stage, gate.post("/orders", body, fields, listener="local"), 401, "signature_replayed")
    fields = signer.sign("POST", "http://gateway.test/orders", body)
    wrong(
        stage,
        gate.post("/orders", b'{"amount": 9}', fields, listener="local"),
        400,
        "content_digest_mismatch",
    )


def drive_all_of(stage: Stage) -> None:
    keys = KeyFile(stage.directory)
    key = {"X-Api-Key": keys.add("acme", scopes=["orders.read"])}
    config = stage.config("all_of")
    clients = stage.with_certificates(config, "partners")
    config["identity_providers"]["keys"]["keys"] = str(keys.path)
    config["routes"]["orders"]["match"]["hosts"] = "localhost"
    gate = stage.start(config)
    own, _ = clients.issue("own", names=[x509.DNSName("erp.acme.example.com")])
    other, _ = clients.issue("other", names=[x509.DNSName("erp.other.example.com")])

    def post(file: Path, fields: dict[str, str]) -> Reply:
        tls = shows(stage.authority, file)
        return gate.post("/orders", headers=fields, host="localhost", listener="partners", tls=tls)

    right(stage, post(own, key))
    wrong(stage, post(other, key), 403, "client_certificate_unknown")
    wrong(stage, post(own, {}), 401, "credential_missing")


def drive_client_assertion(stage: Stage) -> None:
    signer = AssertionSigner(stage.directory, "nightly-import")
    stranger = AssertionSigner(stage.directory, "stranger")
    config = stage.config("client_assertion")
    config["identity_providers"]["machines"]["clients"]["nightly-import"] |= signer.registered()
    gate = stage.start(config)
    soon = {"iat": int(time.time()) + 1}
    fields = signer.sign(**soon)
    right(stage, gate.post("/orders", headers=fields, listener="local"))
    wrong(stage, gate.post("/orders", headers=fields, listener="local"), 401, "assertion_replayed")
    forged = signer.sign(stranger.key, **soon)
    wrong(stage, gate.post("/orders", headers=forged, listener="local"), 401, "token_key_unknown")


def drive_mtls(stage: Stage) -> None:
    config = stage.config("mtls")
    clients = stage.with_certificates(config, "mesh")
    config["routes"]["orders"]["match"]["hosts"] = "localhost"
    gate = stage.start(config)

    def post(name: str, uri: str) -> Reply:
        file, _ = clients.issue(name, names=[x509.UniformResourceIdentifier(uri)])
        tls = shows(stage.authority, file)
        return gate.post("/shops/acme/orders", host="localhost", listener="mesh", tls=tls)

    right(stage, post("own", "spiffe://example.org/shops/acme/till-1"))
    wrong(stage, post("tenant", "spiffe://example.org/shops/other/till-1"), 403, "tenant_mismatch")
    wrong(stage, post("domain", "spiffe://evil.example/shops/acme/till-1"), 403, "client_certificate_unknown")


def drive_device(stage: Stage) -> None:
    config = stage.config("device")
    clients = stage.with_certificates(config, "devices")
    config["routes"]["readings"]["match"]["hosts"] = "localhost"
    gate = stage.start(config)

    def post(name: str) -> Reply:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        file, _ = clients.issue(name, subject=subject)
        tls = shows(stage.authority, file)
        return gate.post("/tenants/acme/readings", host="localhost", listener="devices", tls=tls)

    right(stage, post("m1.acme.meters.example.com"))
    wrong(stage, post("m1.other.meters.example.com"), 403, "tenant_mismatch")
    wrong(stage, post("m1.acme.phones.example.com"), 403, "client_certificate_unknown")


DRIVERS = {
    name.removeprefix("drive_"): drive for name, drive in globals().items() if name.startswith("drive_")
}


def test_every_row_is_driven_and_every_driver_has_a_row() -> None:
    assert len(ROWS) == len(set(ROWS)) >= 10
    assert set(ROWS) == set(DRIVERS)


@pytest.mark.parametrize("row", ROWS)
def test_the_right_credential_opens_and_the_wrong_one_does_not(stage: Stage, row: str) -> None:
    DRIVERS[row](stage)
