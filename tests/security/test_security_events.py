"""Security events of an identity provider end what they are about; nobody else's do, and one that comes again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer, make_key

Make = Callable[..., Any]
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
RECEIVER = "https://gateway.test/events"
TOKEN = b"a token of the transmitter"


@pytest.fixture
def served(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> tuple[Gateway, Issuer, Any]:
    service, provider = origin(), issuer()
    config = configs.protected(service, provider, tmp_path)
    secret = configs.write_secret(tmp_path, "transmitter", TOKEN)
    config["security_events"] = {
        "id": {"provider": "id", "audience": RECEIVER, "path": "/security-events", "token": {"file": secret}}
    }
    return gateway(config), provider, service


def event(
    issuer: Issuer, kind: str, subject: dict[str, Any] | None, header: dict[str, Any] | None = None, key: Any = None,
    fields: dict[str, Any] | None = None, **changes: Any,
) -> bytes:  # fmt: skip
    body = {**(fields or {}), **({"subject": subject} if subject else {})}
    usual = {
        "sub": None,
        "exp": None,
        "aud": RECEIVER,
        "events": {kind: body},
        "jti": f"e{time.monotonic_ns()}",
    }
    claims = issuer.claims(**{**usual, **changes})
    return issuer.sign(claims, {"typ": "secevent+jwt", **(header or {})}, key=key).encode()


def push(gate: Gateway, token: bytes, **headers: str) -> Any:
    fields = {"content-type": "application/secevent+jwt", "authorization": f"Bearer {TOKEN.decode()}"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return gate.post("/security-events", token, {name: value for name, value in fields.items() if value})


def person(issuer: Issuer, sub: str) -> dict[str, Any]:
    return {"format": "iss_sub", "iss": issuer.issuer, "sub": sub}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CAEP + "credential-change", {"change_type": "revoke", "credential_type": "password"}),
        (CAEP + "token-claims-change", {"claims": {"role": "ro-admin"}}),
        (CAEP + "session-revoked", {}),
        (RISC + "account-disabled", {"reason": "hijacking"}),
        (RISC + "sessions-revoked", {}),
    ],
)
def test_what_a_person_holds_is_refused(served: Any, kind: str, fields: dict[str, Any]) -> None:
    gate, provider, service = served
    ann, bob = provider.bearer(sub="ann", jti="1"), provider.bearer(sub="bob", jti="2")
    assert gate.get("/a", ann).status == gate.get("/a", bob).status == 200
    reply = push(gate, event(provider, kind, person(provider, "ann"), fields=fields))
    assert reply.status == 202 and reply.body == b""
    assert gate.get("/a", ann).reason == "token_revoked"
    assert gate.get("/a", bob).status == 200
    later = provider.bearer(sub="ann", jti="3", iat=int(time.time()) + 5)
    assert gate.get("/a", later).status == (401 if "disabled" in kind else 200)
    assert {request.target for request in service.requests} == {"/a"}


def test_a_session_ends_and_others_of_the_person_go_on(served: Any) -> None:
    gate, provider, _ = served
    one, other = provider.bearer(sid="s1", jti="1"), provider.bearer(sid="s2", jti="2")
    subject = {
        "format": "complex",
        "session": {"format": "opaque", "id": "s1"},
        "user": person(provider, "alice"),
    }
    token = event(provider, CAEP + "session-revoked", subject)
    assert push(gate, token).status == 202
    assert gate.get("/a", one).reason == "token_revoked"
    assert gate.get("/a", other).status == 200
    held = gate.metric("yett_revocations")
    assert push(gate, token).status == 202, "delivered again: acknowledged, and nothing new"
    assert gate.metric("yett_revocations") == held


def test_others_and_verifications_are_acknowledged(served: Any) -> None:
    gate, provider, _ = served
    verify = "https://schemas.openid.net/secevent/ssf/event-type/verification"
    assert push(gate, event(provider, verify, None, fields={"state": "x"})).status == 202
    assert push(gate, event(provider, RISC + "account-enabled", person(provider, "ann"))).status == 202
    assert gate.metric("yett_revocations") == 0


def test_what_nobody_vouches_for_changes_nothing(served: Any) -> None:
    gate, provider, _ = served
    ann = provider.bearer(sub="ann", jti="1")
    kind, subject, now = CAEP + "session-revoked", person(provider, "ann"), int(time.time())
    other = make_key("EC", 77)
    for token, code in (
        (event(provider, kind, subject, key=other), "invalid_key"),
        (event(provider, kind, subject, header={"kid": "unknown"}), "invalid_key"),
        (event(provider, kind, subject, header={"typ": "JWT"}), "invalid_request"),
        (event(provider, kind, subject, header={"jku": "https://evil.test"}), "invalid_request"),
        (event(provider, kind, subject, iss="https://evil.test"), "invalid_issuer"),
        (event(provider, kind, subject, aud="https://other.test"), "invalid_audience"),
        (event(provider, kind, subject, aud=None), "invalid_audience"),
        (event(provider, kind, subject, jti=None), "invalid_request"),
        (event(provider, kind, subject, iat=now + 600), "invalid_request"),
        (event(provider, kind, subject, iat=now - 200_000), "invalid_request"),
        (event(provider, kind, subject, iat=None), "invalid_request"),
        (event(provider, kind, subject, events={}), "invalid_request"),
        (event(provider, kind, {"format": "email", "email": "ann@example.com"}), "invalid_request"),
        (event(provider, kind, {**subject, "iss": "https://evil.test"}), "invalid_request"),
        (provider.token(aud=RECEIVER).encode(), "invalid_request"),
        (b"nonsense", "invalid_request"),
        (b"", "invalid_request"),
    ):
        reply = push(gate, token)
        assert reply.status == 400 and reply.json()["err"] == code, (code, reply.body)
    good = event(provider, kind, subject)
    assert push(gate, good, authorization="").status == 401
    assert push(gate, good, authorization="Bearer another").json()["err"] == "authentication_failed"
    assert push(gate, good, content_type="application/json").status == 400
    assert push(gate, b"x" * 70_000).status == 400
    assert gate.get("/security-events").status == 405
    assert gate.get("/a", ann).status == 200 and gate.metric("yett_revocations") == 0
    # and an event is no access token
    assert gate.get("/a", {"Authorization": f"Bearer {good.decode()}"}).status == 401


def test_it_is_not_acknowledged_before_it_is_kept(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Path
) -> None:
    service, provider = origin(), issuer()
    config = {**configs.protected(service, provider, tmp_path), "process": {"revocations": 1}}
    config["security_events"] = {"id": {"provider": "id", "audience": RECEIVER, "path": "/security-events"}}
    gate = gateway(config)
    kind = CAEP + "session-revoked"
    assert push(gate, event(provider, kind, person(provider, "ann"))).status == 202
    token = event(provider, kind, person(provider, "bob"))
    assert push(gate, token).reason == "state_unavailable"
    assert push(gate, token).reason == "state_unavailable", "delivered again, it is tried again"
