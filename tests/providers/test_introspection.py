"""introspection: opaque tokens are asked about, within bounds, and what cannot be answered is refused."""

from __future__ import annotations

import ssl
import threading
import time

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support import configs
from tests.support.certificates import make
from tests.support.waiting import eventually


def guarded(service, server, directory, client=None, **changes):
    return {
        "identity_providers": {"partners": server.provider(directory, client, **changes)},
        "services": {"origin": configs.service(service)},
        "routes": {
            "open": configs.route("/open/{rest...}"),
            "closed": configs.route(authenticate="partners", access="authenticated"),
        },
    }


def test_an_active_token_becomes_a_caller(gateway, origin, authorization_server, tmp_path, workers):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path), workers=workers)
    headers = server.bearer(sub="alice", client_id="mobile", jti="the-id")
    for _ in range(5):
        assert gate.get("/closed", headers).status == 200
    assert service.saw_no_more_than(5)
    assert server.count() <= workers and not server.refused
    assert server.asked[0].form["token_type_hint"] == "access_token"
    line = gate.wait_log()[0]
    assert "alice" in str(line) and "mobile" in str(line) and "the-id" in str(line)
    assert headers["Authorization"].removeprefix("Bearer ") not in gate.log_text().decode()


def test_what_is_not_active_is_refused_and_remembered_for_a_moment(
    gateway, origin, authorization_server, tmp_path
):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, cache={"inactive_max_age": "300s"}))
    for _ in range(5):
        answer = gate.get("/closed", {"Authorization": "Bearer nobody-knows-it"})
        assert (answer.status, answer.reason) == (401, "token_inactive")
        assert 'error="invalid_token"' in answer["www-authenticate"]
    assert server.count() == 1
    assert service.saw_nothing()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "token_expired"),
        ({"nbf": 4_000_000_000}, "token_not_yet_valid"),
        ({"iat": 4_000_000_000}, "token_not_yet_valid"),
        ({"aud": "other"}, "token_audience_mismatch"),
        ({"aud": None}, "token_claim_invalid"),
        ({"aud": 7}, "token_claim_invalid"),
        ({"iss": "https://evil.test"}, "token_issuer_unknown"),
        ({"exp": "soon"}, "token_claim_invalid"),
        ({"exp": 4_000_000_000.5}, "token_claim_invalid"),
        ({"nbf": -1}, "token_claim_invalid"),
        ({"sub": 7}, "token_claim_invalid"),
        ({"sub": None, "client_id": None}, "token_claim_invalid"),
        ({"scope": 7}, "token_claim_invalid"),
        ({"token_type": "refresh_token"}, "token_claim_invalid"),
        ({"token_type": 7}, "token_claim_invalid"),
        ({"token_use": "refresh_token"}, "token_claim_invalid"),
        ({"typ": "Refresh"}, "token_claim_invalid"),
    ],
)
def test_active_is_not_enough(gateway, origin, authorization_server, tmp_path, changes, reason):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, issuer=server.base))
    answer = gate.get("/closed", server.bearer(**changes))
    assert (answer.status, answer.reason) == (401, reason)
    assert service.saw_nothing()
    assert gate.get("/closed", server.bearer()).status == 200


def test_clients_stand_in_for_an_audience(gateway, origin, authorization_server, tmp_path):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, audience=None, clients={"any_of": ["mobile", "batch"]}))
    assert gate.get("/closed", server.bearer(aud=None)).status == 200
    assert gate.get("/closed", server.bearer(aud=None, client_id="other")).reason == "token_audience_mismatch"
    # a refresh token is active, too, and has a client
    assert gate.get("/closed", server.bearer(aud=None, token_type=None)).reason == "token_claim_invalid"
    assert service.saw_no_more_than(1)


def test_claims_are_mapped_and_rules_hold(gateway, origin, authorization_server, tmp_path):
    server, service = authorization_server(), origin()
    config = guarded(
        service, server, tmp_path, claims={"roles": {"from": ["realm", "roles"]}, "tenant": "org"}
    )
    config["routes"]["closed"] = configs.route(
        "/tenants/{tenant}", authenticate="partners",
        authorize={"scopes": "read", "roles": "auditor", "tenant": "path.tenant"},
    )  # fmt: skip
    gate = gateway(config)
    good = {"realm": {"roles": ["auditor"]}, "org": "acme"}
    assert gate.get("/tenants/acme", server.bearer(**good)).status == 200
    assert gate.get("/tenants/other", server.bearer(**good)).reason == "tenant_mismatch"
    assert gate.get("/tenants/acme", server.bearer(**good, scope="write")).reason == "scope_missing"
    assert gate.get("/tenants/acme", server.bearer(org="acme")).reason == "role_missing"
    assert service.saw_no_more_than(1)


# how the gateway proves itself


def private(key):
    return key.as_pem(private=True)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_secrets(gateway, origin, authorization_server, tmp_path, method):
    server, service = authorization_server(proof=method), origin()
    gate = gateway(guarded(service, server, tmp_path, server.client(tmp_path, method=method)))
    assert gate.get("/closed", server.bearer()).status == 200
    assert not server.refused


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("EC", "ES256"), ("RSA", "RS256"), ("RSA", "PS256"), ("OKP", "EdDSA"), ("EC", None)],
)
def test_private_key_jwt(gateway, origin, authorization_server, tmp_path, kind, algorithm):
    made = {"EC": lambda: ECKey.generate_key("P-256"), "RSA": lambda: RSAKey.generate_key(2048)}
    key = made.get(kind, lambda: OKPKey.generate_key("Ed25519"))()
    server, service = authorization_server(proof="private_key_jwt", key=key), origin()
    file = configs.write_secret(tmp_path, "client.key", private(key))
    named = {"algorithm": algorithm} if algorithm else {}
    client = server.client(tmp_path, private_key={"file": file}, **named)
    gate = gateway(guarded(service, server, tmp_path, client, issuer=server.base))
    for _ in range(3):
        assert gate.get("/closed", server.bearer()).status == 200
    assert not server.refused, "every assertion is new"


def test_mutual_tls(gateway, origin, authorization_server, certificate, authority_file, tmp_path):
    ours = make("clients", authority=True)
    leaf = make("gate", by=ours, client=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ours.pem)
    server, service = authorization_server(proof="tls_client_auth", tls=context), origin()
    (tmp_path / "gate.pem").write_text(leaf.pem)
    key = configs.write_secret(tmp_path, "gate.key", leaf.key_pem.encode())
    client = server.client(tmp_path, certificate=str(tmp_path / "gate.pem"), key={"file": key})
    gate = gateway(guarded(service, server, tmp_path, client, ca=authority_file))
    assert gate.get("/closed", server.bearer()).status == 200
    assert not server.refused
    assert server.asked[0].authorization is None and server.asked[0].form["client_id"] == "gate"


def test_a_wrong_secret_refuses_and_is_told_to_the_operator(gateway, origin, authorization_server, tmp_path):
    server, service = authorization_server(), origin()
    wrong = configs.write_secret(tmp_path, "wrong.secret", b"another secret of the gate")
    gate = gateway(guarded(service, server, tmp_path, {"id": "gate", "secret": {"file": wrong}}))
    answer = gate.get("/closed", server.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert service.saw_nothing() and server.refused == ["basic"]
    events = gate.events(2.0)
    assert any("introspection_failed" in event and "401" in event for event in events), events
    assert "another secret" not in str(events)


# outages


@pytest.mark.parametrize(
    "mode",
    ["fail", "hangup", "redirect", "garbage", "html", "huge", "gzip", "stall", "[]", '{"active": "true"}', '{"active": 1}',
     '{"sub": "alice"}', '{"active": false, "active": true}'],
)  # fmt: skip
def test_answers_that_are_none_refuse(gateway, origin, authorization_server, tmp_path, mode):
    server, service = authorization_server(mode=mode), origin()
    gate = gateway(guarded(service, server, tmp_path, timeout="500ms"))
    answer = gate.get("/closed", server.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert answer["retry-after"].isdigit()
    assert gate.get("/open/a").status == 200
    assert service.saw_no_more_than(1)
    assert all(asked.path == "/introspect" for asked in server.asked)


def test_an_outage_opens_the_circuit_and_ends_by_itself(
    gateway, origin, authorization_server, tmp_path, workers
):
    server, service = authorization_server(mode="fail"), origin()
    gate = gateway(guarded(service, server, tmp_path), workers=workers)
    for _ in range(40):
        assert gate.get("/closed", server.bearer()).status == 503
    assert server.count() <= 8, "left alone after five failures, but for probes"
    assert gate.metric("yett_introspection_circuit_open", provider="partners") == 1
    assert service.saw_nothing()
    server.mode = "ok"
    eventually(lambda: gate.get("/closed", server.bearer()).status == 200, what="the recovery")
    assert gate.metric("yett_introspection_circuit_open", provider="partners") == 0


def test_what_is_remembered_serves_through_an_outage_and_no_longer(
    gateway, origin, authorization_server, tmp_path
):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, cache={"max_age": "2s"}))
    headers = server.bearer()
    assert gate.get("/closed", headers).status == 200
    server.mode = "fail"
    assert gate.get("/closed", headers).status == 200
    eventually(lambda: gate.get("/closed", headers).status == 503, what="the end of what is remembered")
    assert service.requests


# bounds


def test_a_burst_of_one_token_is_one_question(gateway, origin, authorization_server, tmp_path, workers):
    server, service = authorization_server(delay=0.3), origin()
    gate = gateway(guarded(service, server, tmp_path), workers=workers)
    headers, statuses = server.bearer(), []
    threads = [
        threading.Thread(target=lambda: statuses.append(gate.get("/closed", headers).status))
        for _ in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * 24
    assert server.count() == 1


def test_questions_at_once_and_in_the_queue_are_bounded(gateway, origin, authorization_server, tmp_path):
    server, service = authorization_server(mode="stall"), origin()
    gate = gateway(guarded(service, server, tmp_path, concurrency=2, queue=3, timeout="10s"))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(gate.get("/closed", server.bearer()).status))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(statuses) == 7, what="seven of twelve refused")
    assert statuses == [503] * 7
    server.mode = "ok"
    server.release()
    for thread in threads:
        thread.join(20)
    assert sorted(statuses) == [200] * 5 + [503] * 7
    assert server.most_at_once == 2
    assert gate.metric("yett_introspection_refused_total", provider="partners") == 7
    assert gate.metric("yett_introspection_circuit_open", provider="partners") == 0, (
        "a full queue is no failure"
    )


def test_connections_are_kept(gateway, origin, authorization_server, tmp_path):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path))
    for _ in range(10):
        assert gate.get("/closed", server.bearer()).status == 200
    assert server.count() == 10 and server.connections <= 3


def test_max_age_bounds_how_long_a_revoked_token_goes_on(
    gateway, origin, authorization_server, tmp_path, workers
):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, cache={"max_age": "1s"}), workers=workers)
    headers = server.bearer()
    assert gate.get("/closed", headers).status == 200
    server.revoke(headers["Authorization"])
    began = time.monotonic()
    eventually(lambda: gate.get("/closed", headers).reason == "token_inactive", what="the refusal")
    assert time.monotonic() - began < 5


def test_no_max_age_asks_every_time(gateway, origin, authorization_server, tmp_path, workers):
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path, cache={"max_age": "0s"}), workers=workers)
    headers = server.bearer()
    for count in range(1, 4):
        assert gate.get("/closed", headers).status == 200
        assert server.count() == count
    server.revoke(headers["Authorization"])
    assert gate.get("/closed", headers).reason == "token_inactive"
    assert service.saw_no_more_than(3)


def test_a_reload_keeps_what_is_known_unless_the_provider_changed(
    gateway, origin, authorization_server, tmp_path
):
    server, service = authorization_server(), origin()
    config = guarded(service, server, tmp_path)
    gate = gateway(config)
    headers = server.bearer()
    assert gate.get("/closed", headers).status == 200
    config["routes"]["new"] = configs.route("/new")
    gate.reload(config)
    assert gate.get("/closed", headers).status == 200
    assert server.count() == 1
    config["identity_providers"]["partners"]["audience"] = "another"
    gate.reload(config)
    assert gate.get("/closed", headers).reason == "token_audience_mismatch"


# beside signed tokens


def both(service, server, identity, directory):
    config = guarded(service, server, directory)
    config["identity_providers"]["id"] = identity.inline(directory)
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "partners"]}
    return config


def test_the_kind_of_token_chooses_the_provider(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(both(service, server, identity, tmp_path))
    assert gate.get("/closed", identity.bearer()).status == 200
    assert server.count() == 0, "a signed token of an accepted issuer is not asked about"
    assert gate.get("/closed", server.bearer()).status == 200
    # signed by somebody else, who is asked
    foreign = identity.token(iss="https://elsewhere.test")
    server.issue(foreign, sub="bob")
    assert gate.get("/closed", {"Authorization": f"Bearer {foreign}"}).status == 200
    assert service.saw_no_more_than(3)


@pytest.mark.parametrize("spoiled", [{"exp": 1}, {"aud": "other"}, {"exp": "never"}])
def test_a_signed_token_that_fails_is_not_passed_over(
    gateway, origin, issuer, authorization_server, tmp_path, spoiled
):
    """Its own provider refuses it; that the other one would say yes does not count."""
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(both(service, server, identity, tmp_path))
    token = identity.token(**spoiled)
    forged = identity.token().rpartition(".")[0] + ".AAAA"
    unsigned = identity.sign(identity.claims(), {"alg": "none"}, algorithm="ES256")
    critical = identity.sign(identity.claims(), {"crit": ["x"], "x": 1})
    for bad in (token, forged, unsigned, critical):
        server.issue(bad)
        assert gate.get("/closed", {"Authorization": f"Bearer {bad}"}).status == 401
    assert server.count() == 0
    assert service.saw_nothing()


@pytest.mark.parametrize(
    ("binding", "reason"),
    [
        ({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "proof_missing"),
        ({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}, "token_claim_invalid"),
        ({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0"}, "not_bound"),
        ({"unknown": "x"}, "token_claim_invalid"),
        ("jkt", "token_claim_invalid"),
    ],
)
def test_a_bound_token_is_no_bearer_token(gateway, origin, authorization_server, tmp_path, binding, reason):
    """What the issuer says it is bound to has to be proved, as for a signed one (RFC 7800, RFC 9449, RFC 8705)."""
    server, service = authorization_server(), origin()
    gate = gateway(guarded(service, server, tmp_path))
    assert gate.get("/closed", server.bearer(cnf=binding)).reason == reason
    assert service.saw_nothing()
