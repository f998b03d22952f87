"""Repeated or comma-joined headers do not slip past a rule (CVE-2026-31838, CVE-2026-26308)."""

from __future__ import annotations

import pytest

from tests.support import configs


def test_two_authorizations_are_ambiguous(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    good, bad = identity.token(), identity.token(exp=1)
    for pair in ((good, good), (good, bad), (bad, good)):
        answer = gate.get("/closed", [("Authorization", f"Bearer {token}") for token in pair])
        assert answer.status in (400, 401)
        assert answer.reason in ("credential_ambiguous", "header_invalid")
    answer = gate.get("/closed", {"Authorization": f"Bearer {good}, Bearer {good}"})
    assert answer.status == 401
    assert service.saw_nothing()


def test_two_authorizations_do_not_reach_a_service_that_reads_them_itself(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["services"]["origin"]["forward_credential"] = True
    gate = gateway(config)
    assert gate.get("/open", [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]).reason == (
        "credential_ambiguous"
    )
    assert service.saw_nothing()
    assert gate.get("/open", {"Authorization": "Bearer a"}).status == 200


def test_one_bad_credential_refuses_beside_a_good_one(gateway, origin, issuer, tmp_path):
    from tests.support.api_keys import KeyFile

    identity, service, keys = issuer(), origin(), KeyFile(tmp_path)
    key = keys.add("partner")
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["partners"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "partners"]}
    gate = gateway(config)
    spoilt = key[:-1] + ("A" if key[-1] != "A" else "B")
    for headers in (
        {**identity.bearer(exp=1), "X-Api-Key": key},
        {**identity.bearer(), "X-Api-Key": spoilt},
        {**identity.bearer(), "X-Api-Key": key},
    ):
        assert gate.get("/closed", headers).status == 401
    assert service.saw_nothing()
    assert gate.get("/closed", identity.bearer()).status == 200
    assert gate.get("/closed", {"X-Api-Key": key}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Beta", "yes"), ("X-Beta", "no")],
        [("X-Beta", "no"), ("X-Beta", "yes")],
        [("X-Beta", "yes, no")],
        [("X-Beta", "no,yes")],
        [("X-Beta", "yes"), ("X-Beta", "yes")],
        [("X-Beta", "YES")],
        [("X-Beta", "")],
    ],
)
def test_a_header_match_wants_exactly_one_value(gateway, origin, headers):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["headers"] = {"X-Beta": "yes"}
    gate = gateway(config)
    assert gate.get("/a", headers).status in (400, 404)
    assert service.saw_nothing()
    assert gate.get("/a", {"x-beta": "yes"}).status == 200


@pytest.mark.parametrize(
    "query", ["v=1&v=2", "v=2&v=1", "v=1&v=1", "v=1;v=2", "V=1", "v=%31%00", "v=1%26v=2", "", "x=1", "v[]=1"]
)
def test_a_query_match_wants_exactly_one_value(gateway, origin, query):
    service = origin()
    config = configs.public(service)
    config["routes"]["open"]["match"]["query"] = {"v": "1"}
    gate = gateway(config)
    assert gate.get(f"/a?{query}").status in (400, 404)
    assert service.saw_nothing()
    for same in ("v=1", "x=2&v=1", "%76=%31"):
        assert gate.get(f"/a?{same}").status == 200
        assert service.last.target == f"/a?{same}"


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Content-Type", "Expect"]
)
def test_fields_that_may_stand_once_are_not_repeated_onward(gateway, origin, name):
    service = origin()
    gate = gateway(configs.public(service))
    value = {"Content-Length": "5", "Transfer-Encoding": "chunked", "Expect": "100-continue"}.get(name, "a")
    answer = gate.post("/a", b"hello", [(name, value), (name, value)])
    if answer.status == 200:
        assert len(service.only.all(name)) <= 1, service.only.headers
    else:
        assert answer.status in (400, 401, 417)
        assert service.saw_nothing()


@pytest.mark.parametrize("parameter", ["access_token", "ACCESS_TOKEN", "access%5ftoken"])
def test_a_token_in_the_url_is_refused(gateway, origin, issuer, tmp_path, parameter):
    """RFC 9700 4.3.2: it would stand in logs and Referer fields."""
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    token = identity.token()
    answer = gate.get(f"/closed?{parameter}={token}")
    assert answer.status in (400, 401)
    assert answer.reason in ("credential_in_url", "credential_missing")
    assert token not in gate.log_text().decode()
    assert service.saw_nothing()


def test_cookies_and_lists_pass_as_they_came(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    assert (
        gate.get(
            "/a", [("Cookie", "a=1"), ("Accept", "a"), ("Accept", "b"), ("X-Many", "1"), ("X-Many", "2")]
        ).status
        == 200
    )
    assert service.only.all("x-many") == ["1", "2"]
    assert service.only.all("accept") == ["a", "b"]
