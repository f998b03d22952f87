"""A token that is bound to a key or a certificate is of no use to whoever lacks that, and each proof counts once."""

from __future__ import annotations

import base64
import hashlib
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from tests.support import configs
from tests.support.dpop import Client
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.redis import Redis
from tests.support.waiting import eventually

Make = Callable[..., Any]
BASE = "http://gateway.test"


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


def serving(gateway: Make, origin: Origin, issuer: Issuer, directory: Path, **changes: Any) -> Gateway:
    """Proofs from before the start are refused: it is served when the second of the start has passed."""
    top = {key: changes.pop(key) for key in ("dpop", "state", "listeners") if key in changes}
    provider = changes.pop("provider", {})
    config = {**configs.protected(origin, issuer, directory, **changes), **top}
    config["identity_providers"]["id"].update(provider)
    started = time.time()
    gate = gateway(config)
    eventually(lambda: int(time.time()) > started)
    assert isinstance(gate, Gateway)
    return gate


def test_a_proof_opens_once(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    gate = serving(gateway, service, provider, tmp_path, sender_constrained="dpop")
    client = Client(provider, BASE)
    headers = client.headers()
    reply = gate.get("/a", headers)
    assert reply.status == 200, reply.body
    # neither the token nor the proof reaches the service
    assert "dpop" not in service.only and "authorization" not in service.only
    again = gate.get("/a", headers)
    assert again.status == 401 and again.reason == "proof_replayed"
    assert 'error="invalid_dpop_proof"' in again["www-authenticate"]
    assert service.saw_no_more_than(1)
    assert gate.get("/a", client.headers()).status == 200
    assert headers["DPoP"] not in gate.log_text().decode()


def test_a_replay_is_seen_by_every_worker_and_instance(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, provider = origin(), issuer()
    gate = serving(gateway, service, provider, tmp_path, state={"redis": redis.config()})
    other = serving(gateway, service, provider, tmp_path, state={"redis": redis.config()})
    headers = Client(provider, BASE).headers()
    assert gate.get("/a", headers).status == 200
    for instance in (gate, other):
        assert instance.get("/a", headers).reason == "proof_replayed"
    redis.stall()
    assert gate.get("/a", Client(provider, BASE).headers()).reason == "state_unavailable"
    redis.go_on()
    assert service.saw_no_more_than(1)


def test_a_bound_token_is_no_bearer_token(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    gate = serving(gateway, service, provider, tmp_path)
    client = Client(provider, BASE)
    headers = client.headers()
    for wrong, reason in (
        ({"Authorization": f"Bearer {client.token}"}, "proof_missing"),
        ({"Authorization": f"Bearer {client.token}", "DPoP": headers["DPoP"]}, "proof_missing"),
        ({"Authorization": f"DPoP {client.token}"}, "proof_missing"),
        ({"Authorization": f"DPoP {provider.token()}", "DPoP": headers["DPoP"]}, "not_bound"),
    ):
        reply = gate.get("/a", wrong)
        assert reply.status == 401 and reply.reason == reason, wrong
    challenges = gate.get("/a", {"Authorization": f"Bearer {client.token}"}).all("www-authenticate")
    assert any(one.startswith("DPoP ") and "algs=" in one for one in challenges), challenges
    assert service.saw_nothing()
    # bearers are served here, as nobody demands otherwise
    assert gate.get("/a", provider.bearer()).status == 200


@pytest.mark.parametrize("where", ["route", "provider"])
def test_where_it_is_demanded_nothing_less_is_taken(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, where: str
) -> None:
    service, provider = origin(), issuer()
    demand = {"sender_constrained": "dpop"}
    gate = serving(
        gateway, service, provider, tmp_path, **(demand if where == "route" else {"provider": demand})
    )
    reply = gate.get("/a", provider.bearer())
    assert reply.status == 401 and reply.reason == "not_bound"
    assert [one.split()[0] for one in reply.all("www-authenticate")] == ["DPoP"]
    assert service.saw_nothing()
    assert gate.get("/a", Client(provider, BASE).headers()).status == 200


def test_a_proof_is_for_one_request_and_one_token(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    gate = serving(gateway, service, provider, tmp_path)
    client, other = Client(provider, BASE), Client(provider, BASE)
    now = int(time.time())
    for changes in (
        {"htm": "POST"}, {"htu": f"{BASE}/b"}, {"htu": "https://gateway.test/a"}, {"htu": "http://other.test/a"},
        {"iat": now - 120}, {"iat": now + 60}, {"iat": 1}, {"ath": None}, {"jti": None}, {"header": {"typ": "JWT"}},
        {"header": {"jwk": None, "kid": "x"}}, {"header": {"alg": "none"}},
    ):  # fmt: skip
        reply = gate.get("/a", client.headers(**changes))
        assert reply.status == 401 and reply.reason == "proof_invalid", changes
    mixed = {**client.headers(), "DPoP": other.proof("GET", "/a")}
    assert gate.get("/a", mixed).reason == "not_bound"
    twice = [*client.headers().items(), ("DPoP", client.proof("GET", "/a"))]
    assert gate.get("/a", twice).reason == "proof_invalid"
    assert service.saw_nothing()
    ed = Client(provider, BASE, OKPKey.generate_key("Ed25519"))
    assert gate.get("/a?x=1", {**ed.headers(algorithm="EdDSA")}).status == 200


def test_a_nonce_of_the_gateway(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    secret = configs.write_secret(tmp_path, "nonce.secret", b"a secret of some length")
    service, provider = origin(), issuer()
    dpop = {"nonce": {"secret": {"file": secret}}}
    gate = serving(gateway, service, provider, tmp_path, dpop=dpop)
    other = serving(gateway, service, provider, tmp_path, dpop=dpop)
    client = Client(provider, BASE)
    reply = gate.get("/a", client.headers())
    assert reply.status == 401 and reply.reason == "proof_nonce"
    assert any('error="use_dpop_nonce"' in one for one in reply.all("www-authenticate"))
    assert service.saw_nothing()
    client.nonce = reply["dpop-nonce"]
    assert gate.get("/a", client.headers()).status == 200
    assert other.get("/a", client.headers()).status == 200, "another instance with the same secret"
    client.nonce = "made-up"
    assert gate.get("/a", client.headers()).reason == "proof_nonce"


def test_proofs_from_before_the_start_are_refused(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, redis: Redis
) -> None:
    service, provider = origin(), issuer()
    gate = serving(gateway, service, provider, tmp_path)
    headers = Client(provider, BASE).headers()
    assert gate.get("/a", headers).status == 200
    gate.stop(0)
    again = serving(gateway, service, provider, tmp_path)
    assert again.get("/a", headers).reason == "proof_invalid"
    assert service.saw_no_more_than(1)
    # where it is remembered, it is not too old but used
    shared = serving(gateway, service, provider, tmp_path, state={"redis": redis.config()})
    headers = Client(provider, BASE).headers()
    assert shared.get("/a", headers).status == 200
    shared.stop(0)
    successor = gateway(
        {**configs.protected(service, provider, tmp_path), "state": {"redis": redis.config()}}
    )
    eventually(lambda: successor.get("/a", headers).reason != "state_unavailable")
    assert successor.get("/a", headers).reason == "proof_replayed"


def test_a_certificate_bound_token_needs_its_certificate(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path, authority: Any, listener_tls: dict[str, Any],
    authority_file: str,
) -> None:  # fmt: skip
    service, provider = origin(), issuer()
    listener = {
        "main": {
            "address": "127.0.0.1:0",
            "tls": {**listener_tls, "client_certificates": {"mode": "optional", "ca": authority_file}},
        }
    }
    config = {
        **configs.protected(service, provider, tmp_path, sender_constrained="mtls"),
        "listeners": listener,
    }
    gate = gateway(config)

    def client(name: str | None) -> tuple[ssl.SSLContext, str]:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if name is None:
            return context, ""
        leaf = authority.issue_cert(name)
        leaf.configure_cert(context)
        der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        return context, base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    (one, thumbprint), (other, _), (none, _) = client("one.test"), client("two.test"), client(None)
    bound = provider.bearer(cnf={"x5t#S256": thumbprint})
    assert gate.get("/a", bound, tls=one, server_name="gateway.test").status == 200
    for tls, headers in ((other, bound), (none, bound), (one, provider.bearer(jti="plain"))):
        reply = gate.get("/a", headers, tls=tls, server_name="gateway.test")
        assert reply.status == 401 and reply.reason == "not_bound"
    dpop = {"Authorization": bound["Authorization"].replace("Bearer", "DPoP")}
    assert gate.get("/a", dpop, tls=one, server_name="gateway.test").reason == "not_bound"
    assert service.saw_no_more_than(1)


def test_a_proof_stays_here_also_where_tokens_are_asked_about(
    gateway: Make, origin: Make, authorization_server: Make, tmp_path: Path
) -> None:
    server, service = authorization_server(), origin()
    gate = gateway(
        {
            "identity_providers": {"partners": server.provider(tmp_path)},
            "services": {"origin": configs.service(service)},
            "routes": {
                "open": configs.route("/open"),
                "closed": configs.route(
                    authenticate="partners", access="authenticated", sender_constrained="dpop"
                ),
            },
        }
    )
    assert gate.get("/open", {"DPoP": "a.b.c", "D_PoP": "x"}).status == 200
    assert "dpop" not in service.only
    answer = gate.get("/closed", server.bearer())
    assert answer.reason == "not_bound" and answer["www-authenticate"].startswith("DPoP ")
