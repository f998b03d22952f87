"""A token that was made for something else is no access token: ID tokens, refresh tokens, logout tokens, security events."""

from __future__ import annotations

import pytest

from tests.support import configs

ID_TOKENS = {
    "nonce": {"nonce": "n-0S6_WzA2Mj"},
    "at_hash": {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "c_hash": {"c_hash": "LDktKdoQak3Pk0cnXxCltA"},
    "s_hash": {"s_hash": "LDktKdoQak3Pk0cnXxCltA"},
    "keycloak": {"typ": "ID", "azp": "webshop"},
    "cognito": {"token_use": "id"},
    "logout": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "s"},
    "event": {"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}},
}


@pytest.mark.parametrize("name", list(ID_TOKENS))
def test_claims_of_other_tokens_are_refused(gateway, origin, issuer, tmp_path, name):
    """Also where such a token has the audience of this API, as it has where client and API are one."""
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    answer = gate.get("/closed", identity.bearer(**ID_TOKENS[name]))
    assert (answer.status, answer.reason) == (401, "token_claim_invalid")
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "secevent+jwt", "dpop+jwt", "id+jwt", "JWS", "", "at+jwt ", "jwt2"]
)
def test_headers_of_other_tokens_are_refused(gateway, origin, issuer, tmp_path, typ):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    token = identity.sign(identity.claims(), {"typ": typ})
    assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).reason == "token_header_refused"
    assert service.saw_nothing()


def test_with_token_type_only_what_says_so_passes(gateway, origin, issuer, tmp_path):
    """RFC 9068 section 4: then an ID token that looks like nothing in particular is refused as well."""
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["token_type"] = "at+jwt"
    gate = gateway(config)
    for typ in ("JWT", None):
        token = identity.sign(identity.claims(), {"typ": typ})
        assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).reason == "token_header_refused"
    assert service.saw_nothing()
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        token = identity.sign(identity.claims(), {"typ": typ})
        assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).status == 200
