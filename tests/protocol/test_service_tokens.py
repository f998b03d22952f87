"""Tokens for services: made for the service, kept within bounds, and never forwarded without."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support import configs
from tests.support.authorization_server import ACCESS, EXCHANGE
from tests.support.origin import reply
from tests.support.waiting import eventually


def exchanging(service, server, identity, directory, **changes):
    token = {
        "type": "token_exchange", "endpoint": f"{server.base}/token", "plaintext": "test", "audience": "billing",
        "client": server.client(directory), **changes,
    }  # fmt: skip
    return {
        "identity_providers": {"id": identity.inline(directory)},
        "services": {"origin": configs.service(service, token=token)},
        "routes": {"closed": configs.route(authenticate="id", access="authenticated")},
    }


def known(server, identity, **claims):
    """A caller whose token the authorization server knows, too."""
    token = identity.token(**claims)
    server.issue(token, sub=claims.get("sub", "alice"))
    return {"Authorization": f"Bearer {token}"}


def test_the_service_sees_a_token_that_was_made_for_it(
    gateway, origin, issuer, authorization_server, tmp_path, workers
):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path, scope=["pay", "read"]), workers=workers)
    alice = known(server, identity)
    for _ in range(4):
        assert gate.get("/pay", alice).status == 200
    assert server.count("/token") == 1, "kept for the caller"
    form = server.asked[0].form
    assert form["grant_type"] == EXCHANGE and form["subject_token_type"] == ACCESS
    assert (form["audience"], form["scope"]) == ("billing", "pay read")
    values = {seen["authorization"] for seen in service.requests}
    assert len(values) == 1 and alice["Authorization"] not in values
    claims = server.tokens[values.pop().removeprefix("Bearer ")]
    assert (claims["sub"], claims["act"]["sub"], claims["aud"]) == ("alice", "gate", "billing")
    # each caller has its own
    bob = known(server, identity, sub="bob")
    assert gate.get("/pay", bob).status == 200
    assert server.tokens[service.requests[-1]["authorization"].removeprefix("Bearer ")]["sub"] == "bob"
    assert gate.metric("yett_service_token_issued_total", service="origin") == 2
    assert "opaque-" not in gate.log_text().decode()


def test_client_credentials_are_the_gateways_own_and_shared(
    gateway, origin, authorization_server, tmp_path, workers
):
    server, service = authorization_server(), origin()
    token = {
        "type": "client_credentials", "endpoint": f"{server.base}/token", "plaintext": "test", "resource": "https://b.test",
        "client": server.client(tmp_path),
    }  # fmt: skip
    config = configs.public(service)
    config["services"]["origin"]["token"] = token
    gate = gateway(config, workers=workers)
    for number in range(6):
        assert gate.get(f"/{number}", {"Authorization": "Bearer the-callers"}).status == 200
    assert server.count("/token") == 1
    assert server.asked[0].form == {"grant_type": "client_credentials", "resource": "https://b.test"}
    assert {seen["authorization"] for seen in service.requests} == {f"Bearer {next(iter(server.tokens))}"}


@pytest.mark.parametrize(
    ("mode", "reply", "reason"),
    [
        ("fail", {}, "service_token_unavailable"),
        ("hangup", {}, "service_token_unavailable"),
        ("redirect", {}, "service_token_unavailable"),
        ("html", {}, "service_token_unavailable"),
        ("huge", {}, "service_token_unavailable"),
        ("stall", {}, "service_token_unavailable"),
        ("ok", {"access_token": None}, "service_token_refused"),
        ("ok", {"access_token": "a b"}, "service_token_refused"),
        ("ok", {"access_token": "a\r\nx-admin: 1"}, "service_token_refused"),
        ("ok", {"token_type": "DPoP"}, "service_token_refused"),
        ("ok", {"issued_token_type": None}, "service_token_refused"),
        (
            "ok",
            {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            "service_token_refused",
        ),
        ("ok", {"expires_in": "soon"}, "service_token_refused"),
    ],
)
def test_nothing_is_forwarded_without_a_token(
    gateway, origin, issuer, authorization_server, tmp_path, mode, reply, reason
):
    server, identity, service = authorization_server(mode=mode, reply=reply), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path, timeout="500ms"))
    answer = gate.get("/pay", known(server, identity))
    assert (answer.status, answer.reason) == ({"service_token_refused": 502}.get(reason, 503), reason)
    assert service.saw_nothing()
    events = gate.events(2.0)
    assert any("service_token_failed" in event for event in events) and "a b" not in str(events)


def test_a_refusal_is_not_asked_for_again_at_once(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path))
    stranger = {"Authorization": f"Bearer {identity.token()}"}
    for _ in range(5):
        assert gate.get("/pay", stranger).reason == "service_token_refused"
    assert server.count("/token") == 1
    assert gate.get("/pay", known(server, identity, sub="bob")).status == 200, "others are not concerned"
    assert any("invalid_request" in event for event in gate.events(2.0))


def test_an_outage_opens_the_circuit_and_ends_by_itself(
    gateway, origin, issuer, authorization_server, tmp_path, workers
):
    server, identity, service = authorization_server(mode="fail"), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path), workers=workers)
    for number in range(30):
        assert gate.get("/pay", known(server, identity, sub=str(number))).status == 503
    assert server.count("/token") <= 8
    server.mode = "ok"
    alice = known(server, identity)
    eventually(lambda: gate.get("/pay", alice).status == 200, what="the recovery")
    # what is kept serves through the next one
    server.mode = "fail"
    assert gate.get("/pay", alice).status == 200


def test_a_token_is_used_until_shortly_before_its_end(
    gateway, origin, issuer, authorization_server, tmp_path
):
    server, identity, service = authorization_server(lifetime=3), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path, margin="2s"))
    alice = known(server, identity)
    assert gate.get("/pay", alice).status == 200 and gate.get("/pay", alice).status == 200
    assert server.count("/token") == 1
    began = time.monotonic()
    eventually(
        lambda: gate.get("/pay", alice).status == 200 and server.count("/token") == 2, what="the next token"
    )
    assert time.monotonic() - began < 3
    # one that is as good as over is used once
    server.lifetime = 1
    for count in (1, 2):
        bob = known(server, identity, sub=f"bob-{count}")
        before = server.count("/token")
        assert gate.get("/pay", bob).status == 200 and gate.get("/pay", bob).status == 200
        assert server.count("/token") == before + 2


def test_it_dies_with_the_callers_credential(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(lifetime=3600), issuer(), origin()
    config = exchanging(service, server, identity, tmp_path)
    config["identity_providers"]["id"]["leeway"] = "0s"
    gate = gateway(config)
    alice = known(server, identity, exp=int(time.time()) + 3)
    assert gate.get("/pay", alice).status == 200
    eventually(lambda: gate.get("/pay", alice).reason == "token_expired", what="the end of the credential")
    # a new credential is a new exchange; how often the old one was exchanged in its last moments is chance
    before = server.count("/token")
    assert gate.get("/pay", known(server, identity)).status == 200
    assert server.count("/token") == before + 1


def test_a_401_of_the_service_drops_its_token_once(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin(behaviour=reply(401))
    gate = gateway(exchanging(service, server, identity, tmp_path))
    alice = known(server, identity)
    for _ in range(5):
        assert gate.get("/pay", alice).status == 401
    assert server.count("/token") == 2, "one more, and no loop"
    first, second = dict.fromkeys(seen["authorization"] for seen in service.requests)
    assert first != second and service.requests[0]["authorization"] == first
    assert gate.metric("yett_service_token_dropped_total", service="origin") == 1


def test_a_burst_is_one_exchange(gateway, origin, issuer, authorization_server, tmp_path, workers):
    server, identity, service = authorization_server(delay=0.3), issuer(), origin()
    gate = gateway(exchanging(service, server, identity, tmp_path), workers=workers)
    alice, statuses = known(server, identity), []
    threads = [
        threading.Thread(target=lambda: statuses.append(gate.get("/pay", alice).status)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * 16 and server.count("/token") == 1


def test_a_share_of_a_split_gets_its_own(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, one, other = authorization_server(), issuer(), origin(), origin()
    config = exchanging(one, server, identity, tmp_path)
    config["services"]["other"] = configs.service(other)
    config["routes"]["closed"]["split"] = {"other": "50%"}
    gate = gateway(config)
    alice = known(server, identity)
    for _ in range(40):
        assert gate.get("/pay", alice).status == 200
    assert one.requests and other.requests
    assert all("authorization" not in seen for seen in other.requests)
    assert all(seen["authorization"] != alice["Authorization"] for seen in one.requests)


def test_a_caller_who_may_not_costs_no_exchange(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin()
    config = exchanging(service, server, identity, tmp_path)
    config["routes"]["closed"] = configs.route(authenticate="id", authorize={"scopes": "pay"})
    gate = gateway(config)
    assert gate.get("/pay", known(server, identity)).reason == "scope_missing"
    assert gate.get("/pay", known(server, identity, exp=1)).reason == "token_expired"
    assert server.count("/token") == 0 and service.saw_nothing()
