"""Metadata of an issuer: found below it, believed only as far as issuer and hosts go, refreshed, and recovered from."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.waiting import eventually

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


def discovered(service, identity, fetch=None, **changes):
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = identity.discovered(fetch, **changes)
    return config


def test_keys_are_found_through_the_issuer_alone(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    gate = gateway(discovered(service, identity), workers=workers)
    for _ in range(5):
        assert gate.get("/closed", identity.bearer()).status == 200
    assert identity.paths == [OPENID, "/jwks.json"]


def test_over_https_with_its_own_authority(gateway, origin, issuer, server_tls, authority_file):
    identity, service = issuer(tls=server_tls), origin()
    gate = gateway(discovered(service, identity, {"ca": authority_file}))
    assert gate.get("/closed", identity.bearer()).status == 200
    stranger = gateway(discovered(service, identity))
    assert stranger.get("/closed", identity.bearer()).reason == "identity_provider_unavailable"
    assert service.saw_no_more_than(1)


def test_metadata_of_oauth_where_there_is_none_of_openid(gateway, origin, issuer):
    """RFC 8414 section 3: the path of the issuer follows the well-known part."""
    identity, service = issuer(), origin()
    identity.issuer = f"{identity.base}/tenants/shop"
    identity.documents[f"/tenants/shop{OPENID}"] = 404
    identity.documents[f"{OAUTH}/tenants/shop"] = {"issuer": identity.issuer, "jwks_uri": identity.jwks_url}
    gate = gateway(discovered(service, identity))
    assert gate.get("/closed", identity.bearer()).status == 200
    assert identity.paths == [f"/tenants/shop{OPENID}", f"{OAUTH}/tenants/shop", "/jwks.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"issuer": 7},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "https://evil.example/jwks"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://user:password@127.0.0.1/jwks"},
        {"jwks_uri": "/jwks.json"},
    ],
)
def test_a_document_that_may_not_be_believed(gateway, origin, issuer, changes):
    """RFC 8414 section 3.3: `issuer` is the one that was asked; keys never come from a host that nobody named."""
    identity, service = issuer(), origin()
    config = discovered(service, identity)
    identity.metadata(**changes)
    gate = gateway(config)
    answer = gate.get("/closed", identity.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert set(identity.paths) == {OPENID}
    assert service.saw_nothing()
    assert gate.get("/open/a").status == 200


def test_an_issuer_with_a_slash_is_another_issuer(gateway, origin, issuer):
    identity, service = issuer(), origin()
    config = discovered(service, identity)
    identity.metadata(issuer=f"{identity.issuer}/")
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).reason == "identity_provider_unavailable"


def test_endpoints_elsewhere_do_not_matter_to_keys(gateway, origin, issuer):
    """Amazon Cognito's token endpoint, for one, is on another host than its issuer."""
    identity, service = issuer(), origin()
    config = discovered(service, identity)
    identity.metadata(
        token_endpoint="https://login.example/token", authorization_endpoint="https://login.example/a"
    )
    assert gateway(config).get("/closed", identity.bearer()).status == 200


def test_keys_on_a_listed_host(gateway, origin, issuer, server_tls, authority_file):
    identity, service = issuer(tls=server_tls), origin()
    config = discovered(service, identity, {"ca": authority_file})
    identity.metadata(jwks_uri=f"https://127.0.0.1:{identity.port}/jwks.json")
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).reason == "identity_provider_unavailable"
    config["identity_providers"]["id"]["jwks_hosts"] = "127.0.0.1"
    assert gateway(config).get("/closed", identity.bearer()).status == 200


def test_a_provider_that_is_down_at_the_start_comes_back_by_itself(gateway, origin, issuer, workers):
    identity, service = issuer(), origin()
    config = discovered(service, identity, {"min_interval": "1s"}, discovery={"min_interval": "1s"})
    identity.mode = "fail"
    gate = gateway(config, workers=workers)
    answer = gate.get("/closed", identity.bearer())
    assert (answer.status, answer.reason) == (503, "identity_provider_unavailable")
    assert "retry-after" in answer
    assert gate.get("/open/a").status == 200
    identity.mode = "ok"
    eventually(lambda: gate.get("/closed", identity.bearer()).status == 200, 20, "the provider to come back")


def test_a_set_that_moves_is_found_again(gateway, origin, issuer):
    identity, service = issuer(), origin()
    config = discovered(
        service, identity, {"refresh": "1s", "min_interval": "1s"}, discovery={"min_interval": "1s"}
    )
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).status == 200
    identity.documents["/jwks.json"] = 404
    identity.metadata(jwks_uri=f"{identity.base}/moved.json")
    identity.rotate(keep_old=True)
    eventually(lambda: gate.get("/closed", identity.bearer()).status == 200, 20, "the set in its new place")


def test_metadata_elsewhere_still_names_the_issuer(gateway, origin, issuer):
    identity, service = issuer(), origin()
    identity.issuer = "https://id.example"
    identity.documents["/copy.json"] = {"issuer": "https://id.example", "jwks_uri": identity.jwks_url}
    config = configs.protected(service, identity)
    provider = identity.provider(
        jwks=None, discovery={"url": f"{identity.base}/copy.json"}, jwks_hosts="127.0.0.1"
    )
    config["identity_providers"]["id"] = provider
    assert gateway(config).get("/closed", identity.bearer()).status == 200
    identity.documents["/copy.json"] = {"issuer": "https://other.example", "jwks_uri": identity.jwks_url}
    assert gateway(config).get("/closed", identity.bearer()).reason == "identity_provider_unavailable"


# how often a set is fetched


def test_a_set_that_did_not_change_is_not_sent_again(gateway, origin, issuer):
    """RFC 9110 section 13.1.2: If-None-Match; and its verdicts live on."""
    identity, service = issuer(), origin()
    identity.etag = '"one"'
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = identity.provider({"refresh": "1s", "min_interval": "1s"})
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).status == 200
    eventually(lambda: identity.unchanged >= 2, 20, "two answers without a body")
    assert gate.get("/closed", identity.bearer()).status == 200
    identity.etag = '"two"'
    identity.rotate()
    eventually(lambda: gate.get("/closed", identity.bearer()).status == 200, 20, "the new set")


def test_a_304_that_nobody_asked_for_is_a_failure(gateway, origin, issuer):
    identity, service = issuer(), origin()
    identity.documents["/jwks.json"] = 304
    gate = gateway(configs.protected(service, identity))
    assert gate.get("/closed", identity.bearer()).reason == "identity_provider_unavailable"


def test_fetches_are_counted(gateway, origin, issuer):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity))
    assert gate.get("/closed", identity.bearer()).status == 200
    assert gate.metrics()["yett_jwks_fetches_total"] == 1
