"""A live check: a token that is revoked at its issuer is refused there on the next request, and served elsewhere."""

from __future__ import annotations

import threading

import pytest

from tests.support import configs
from tests.support.waiting import eventually


def checked(service, server, identity, directory, **live):
    """`/live` asks, `/closed` does not."""
    endpoint = {"endpoint": f"{server.base}/introspect", "client": server.client(directory)}
    return {
        "identity_providers": {
            "id": {**identity.inline(directory), "introspection": endpoint, "plaintext": "test"}
        },
        "services": {"origin": configs.service(service)},
        "routes": {
            "live": configs.route(
                "/live", authenticate="id", access="authenticated", live_check={"max_age": "0s", **live}
            ),
            "closed": configs.route("/closed", authenticate="id", access="authenticated"),
        },
    }


def signed(server, identity, **claims):
    """A signed token that its issuer knows, too."""
    token = identity.token(**claims)
    server.issue(token, iss=identity.issuer, jti="token-1")
    return token, {"Authorization": f"Bearer {token}"}


def test_revoked_at_the_issuer_it_is_refused_there_and_served_elsewhere(
    gateway, origin, issuer, authorization_server, tmp_path, workers
):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path), workers=workers)
    token, headers = signed(server, identity)
    assert gate.get("/closed", headers).status == 200
    assert server.count() == 0
    for count in range(1, 4):
        assert gate.get("/live", headers).status == 200
        assert server.count() == count, "every request is a question"
    server.revoke(token)
    answer = gate.get("/live", headers)
    assert (answer.status, answer.reason) == (401, "token_inactive")
    assert service.saw_no_more_than(4)
    assert gate.get("/closed", headers).status == 200
    assert gate.get("/live", headers).reason == "token_inactive"


def test_what_fails_by_itself_is_not_asked_about(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path))
    _, expired = signed(server, identity, exp=1)
    assert gate.get("/live", expired).reason == "token_expired"
    assert gate.get("/live").reason == "credential_missing"
    assert server.count() == 0 and service.saw_nothing()


@pytest.mark.parametrize("mode", ["fail", "hangup", "html", "garbage", '{"active": "true"}', "{}"])
def test_an_outage_refuses_and_says_so(gateway, origin, issuer, authorization_server, tmp_path, mode):
    server, identity, service = authorization_server(mode=mode), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path))
    _, headers = signed(server, identity)
    answer = gate.get("/live", headers)
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert service.saw_nothing()
    assert gate.get("/closed", headers).status == 200
    server.mode = "ok"
    eventually(lambda: gate.get("/live", headers).status == 200, what="the recovery")


@pytest.mark.parametrize("other", [{"sub": "mallory"}, {"iss": "https://other.test"}, {"jti": "token-2"}])
def test_an_answer_about_another_token_confirms_nothing(
    gateway, origin, issuer, authorization_server, tmp_path, other
):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path))
    token, headers = signed(server, identity)
    server.tokens[token] |= other
    assert gate.get("/live", headers).reason == "token_claim_invalid"
    assert service.saw_nothing()


def test_max_age_bounds_the_questions(gateway, origin, issuer, authorization_server, tmp_path, workers):
    server, identity, service = authorization_server(), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path, max_age="2s"), workers=workers)
    token, headers = signed(server, identity)
    for _ in range(5):
        assert gate.get("/live", headers).status == 200
    assert server.count() == 1
    server.revoke(token)
    eventually(lambda: gate.get("/live", headers).status == 401, what="the end of the issuer's word")
    assert gate.get("/closed", headers).status == 200


def test_a_question_that_began_earlier_confirms_nothing(
    gateway, origin, issuer, authorization_server, tmp_path
):
    """It may have been answered before the token was revoked."""
    server, identity, service = authorization_server(mode="stall"), issuer(), origin()
    gate = gateway(checked(service, server, identity, tmp_path))
    token, headers = signed(server, identity)
    statuses: list[int] = []
    first = threading.Thread(target=lambda: statuses.append(gate.get("/live", headers).status))
    first.start()
    eventually(lambda: server.count() == 1, what="the first question")
    second = threading.Thread(target=lambda: statuses.append(gate.get("/live", headers).status))
    second.start()
    eventually(lambda: server.count() == 2, what="a question of its own")
    server.mode = "ok"
    server.release()
    first.join(20)
    second.join(20)
    assert statuses == [200, 200] and service.saw_no_more_than(2)


def test_another_provider_is_named(gateway, origin, issuer, authorization_server, tmp_path):
    server, identity, service = authorization_server(), issuer(), origin()
    config = checked(service, server, identity, tmp_path, provider="opaque")
    del config["identity_providers"]["id"]["introspection"], config["identity_providers"]["id"]["plaintext"]
    if identity.tls is None:
        config["identity_providers"]["id"]["plaintext"] = "test"
    config["identity_providers"]["opaque"] = server.provider(tmp_path)
    config["routes"]["live"]["authenticate"] = {"any_of": ["id", "opaque"]}
    gate = gateway(config)
    token, headers = signed(server, identity)
    assert gate.get("/live", headers).status == 200
    server.revoke(token)
    assert gate.get("/live", headers).reason == "token_inactive"
    # an opaque one, although its provider remembers for 30 seconds
    opaque = server.issue()
    assert gate.get("/live", {"Authorization": f"Bearer {opaque}"}).status == 200
    server.revoke(opaque)
    assert gate.get("/live", {"Authorization": f"Bearer {opaque}"}).reason == "token_inactive"


def test_a_group_asks_for_its_routes_and_a_route_only_more_often(
    gateway, origin, issuer, authorization_server, tmp_path
):
    server, identity, service = authorization_server(), issuer(), origin()
    config = checked(service, server, identity, tmp_path)
    config["groups"] = {
        "money": {"authenticate": "id", "access": "authenticated", "live_check": {"max_age": "300s"}}
    }
    config["routes"] = {
        "lax": configs.route("/lax", group="money", live_check={"max_age": "600s"}),
        "strict": configs.route("/strict", group="money", live_check={"max_age": "0s"}),
    }
    gate = gateway(config)
    token, headers = signed(server, identity)
    assert gate.get("/lax", headers).status == 200 and gate.get("/lax", headers).status == 200
    assert server.count() == 1
    assert gate.get("/strict", headers).status == 200
    assert server.count() == 2
    server.revoke(token)
    assert gate.get("/strict", headers).reason == "token_inactive"
    # what the issuer said last counts for all
    assert gate.get("/lax", headers).reason == "token_inactive"
