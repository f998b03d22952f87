"""Presets: tokens and metadata in the shapes that vendors document, through the front door; whom the gateway sees in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from yett.config import compile_file
from yett.errors import ConfigurationError
from yett.presets import PRESETS

ROOT = Path(__file__).parents[2]
TENANT = "8a4a1e2c-3b5d-4c6e-9f70-112233445566"
OTHER = "11111111-2222-4333-8444-555555555555"
STRANGER = "99999999-2222-4333-8444-555555555555"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"
ISSUERS = {
    "auth0": "https://shop.eu.auth0.com/",
    "okta": "https://shop.okta.com/oauth2/default",
    "cognito": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a1B2c3D4e",
    "keycloak": "https://id.example.com/realms/shop",
    "entra": ENTRA,
    "oidc": "https://id.example.com",
}
PROVIDERS: dict[str, dict[str, Any]] = {
    "auth0": {"audience": "https://api.shop.example", "namespace": "https://shop.example/"},
    "okta": {"audience": "api://default"},
    "cognito": {"clients": "7mobile4client"},
    "keycloak": {"audience": "shop-api"},
    "entra": {"audience": "5f1d2c3b-0000-4111-8222-333344445555"},
    "oidc": {"audience": "shop-api"},
}
TOKENS: dict[str, dict[str, Any]] = {
    "auth0": {
        "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://api.shop.example", "https://shop.eu.auth0.com/userinfo"],
        "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile orders.read",
        "org_id": "org_9ybsU1dN2dKfDkBi",
        "permissions": ["orders.read"],
        "https://shop.example/roles": ["clerk"],
    },
    "okta": {
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "aud": "api://default",
        "cid": "0oabskvc6442nkvQO0h7",
        "uid": "00u5t60iloOHN9pBi0h7",
        "scp": ["openid", "orders.read"],
        "sub": "ann@shop.example",
        "groups": ["clerk"],
    },
    "cognito": {
        "sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "aud": None,
        "client_id": "7mobile4client",
        "cognito:groups": ["clerk"],
        "version": 2,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin shop/orders.read",
        "username": "ann",
        "event_id": "dddddddd-dddd-4ddd-8ddd-dddddddddddd",
        "origin_jti": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    },
    "keycloak": {
        "jti": "onrtac:6d5c4b3a-1111-4222-8333-444455556666",
        "aud": ["shop-api", "account"],
        "sub": "f2b1c0de-1111-4222-8333-444455556666",
        "typ": "Bearer",
        "azp": "webshop",
        "sid": "b4d3c2a1-1111-4222-8333-444455556666",
        "acr": "1",
        "allowed-origins": ["https://shop.example"],
        "realm_access": {"roles": ["offline_access", "clerk"]},
        "resource_access": {"shop-api": {"roles": ["auditor"]}, "account": {"roles": ["manage-account"]}},
        "scope": "openid profile orders.read",
        "preferred_username": "ann",
    },
    "entra": {
        "aud": "5f1d2c3b-0000-4111-8222-333344445555",
        "azp": "0a1b2c3d-0000-4111-8222-333344445555",
        "azpacr": "1",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "scp": "orders.read User.Read",
        "roles": ["clerk"],
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": TENANT,
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
        "ver": "2.0",
    },
    "oidc": {
        "aud": "shop-api", "sub": "ann", "client_id": "webshop", "scope": "orders.read", "roles": ["clerk"],
    },
}  # fmt: skip


def provider(name: str, identity: Any, directory: Path | None = None, **changes: Any) -> dict[str, Any]:
    config = {"type": "jwt", "preset": name, "issuer": ISSUERS[name], **PROVIDERS[name], **changes}
    if directory is not None:
        config["jwks"] = identity.jwks_file(directory)
    return config


def started(gateway: Any, service: Any, config: dict[str, Any], authorize: Any) -> Gateway:
    gate: Gateway = gateway(
        {
            "identity_providers": {"id": config},
            "services": {"origin": configs.service(service)},
            "routes": {
                "orders": configs.route(
                    "/orders",
                    authenticate="id",
                    **({"authorize": authorize} if authorize else {"access": "authenticated"}),
                )
            },
        }
    )
    return gate


def headers(identity: Any, name: str, header: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    claims = identity.claims(**{"iss": ISSUERS[name], "sub": None, **TOKENS[name], **changes})
    return {"Authorization": f"Bearer {identity.sign(claims, header)}"}


@pytest.mark.parametrize("name", list(PRESETS))
def test_scopes_roles_client_and_person_are_found(gateway, origin, issuer, tmp_path, name):
    identity, service = issuer("RSA"), origin()
    scope = "shop/orders.read" if name == "cognito" else "orders.read"
    gate = started(gateway, service, provider(name, identity, tmp_path), {"scopes": scope, "roles": "clerk"})
    assert gate.get("/orders", headers(identity, name)).status == 200
    line = gate.log_line(status=200)
    token = TOKENS[name]
    client = token.get("azp") or token.get("cid") or token.get("client_id")
    assert (line["subject"], line["client_id"], line["kind"]) == (token["sub"], client, "user")


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("change", [{"aud": "somebody-else"}, {"exp": 1}, {"nonce": "n"}, {"at_hash": "h"}])
def test_what_is_for_others_expired_or_an_id_token_is_refused(
    gateway, origin, issuer, tmp_path, name, change
):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider(name, identity, tmp_path), None)
    assert gate.get("/orders", headers(identity, name, **change)).status == 401
    assert service.saw_nothing()


SERVICES: dict[str, dict[str, Any]] = {
    "auth0": {"sub": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja@clients", "gty": "client-credentials"},
    "okta": {"sub": "0oabskvc6442nkvQO0h7", "uid": None},
    "cognito": {"sub": "7mobile4client", "username": None, "cognito:groups": None},
    "keycloak": {"client_id": "webshop", "preferred_username": "service-account-webshop"},
    "entra": {"scp": None, "idtyp": "app", "sub": "690222be-ff1a-4d56-abd1-7e4f7d38e474"},
    "oidc": {"sub": "webshop"},
}


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_client_that_calls_for_itself_is_a_service(gateway, origin, issuer, tmp_path, name):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider(name, identity, tmp_path), None)
    assert gate.get("/orders", headers(identity, name, **SERVICES[name])).status == 200
    assert gate.log_line(status=200)["kind"] == "service"


# Auth0


def test_auth0_tokens_of_rfc_9068(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider("auth0", identity, tmp_path, token_type="at+jwt"), None)
    profile = {"azp": None, "client_id": "K1AU", "sub": "K1AU@clients"}
    answer = gate.get("/orders", headers(identity, "auth0", {"typ": "at+jwt"}, **profile))
    assert answer.status == 200
    assert gate.log_line(status=200)["kind"] == "service"
    plain = gate.get("/orders", headers(identity, "auth0", **profile))
    assert plain.reason == "token_header_refused"
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize("token", ["Xy3k0pAqUe", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aaaa.bbbb.cccc"])
def test_auth0_opaque_tokens_are_explained(gateway, origin, issuer, tmp_path, token):
    """Without an audience Auth0 gives a token for its own /userinfo, which nobody else can read."""
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider("auth0", identity, tmp_path), None)
    answer = gate.get("/orders", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert "audience" in json.loads(answer.body)["detail"]
    assert service.saw_nothing()


# Cognito


def test_cognito_takes_tokens_of_its_clients_only(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider("cognito", identity, tmp_path), None)
    other = gate.get("/orders", headers(identity, "cognito", client_id="another"))
    assert other.reason == "token_client_not_accepted"
    assert gate.get("/orders", headers(identity, "cognito", client_id=None)).reason == "token_claim_invalid"
    for use in ("id", "refresh", None):
        assert (
            gate.get("/orders", headers(identity, "cognito", token_use=use)).reason == "token_claim_invalid"
        )
    assert service.saw_nothing()


# Keycloak


def test_keycloak_roles_of_the_realm_and_of_the_audience(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    rule = {"roles": {"all_of": ["clerk", "auditor"]}}
    gate = started(gateway, service, provider("keycloak", identity, tmp_path), rule)
    assert gate.get("/orders", headers(identity, "keycloak")).status == 200
    foreign = {"realm_access": {"roles": ["clerk"]}, "resource_access": {"other": {"roles": ["auditor"]}}}
    assert gate.get("/orders", headers(identity, "keycloak", **foreign)).reason == "role_missing"
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", "Logout", None])
def test_keycloak_other_tokens_are_no_access_tokens(gateway, origin, issuer, tmp_path, kind):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider("keycloak", identity, tmp_path), None)
    assert gate.get("/orders", headers(identity, "keycloak", typ=kind)).reason == "token_claim_invalid"
    assert service.saw_nothing()


# Entra


def entra(identity: Any, issuer: str, **changes: Any) -> dict[str, str]:
    return headers(identity, "entra", iss=issuer, **changes)


def test_entra_version_1(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    v1 = f"https://sts.windows.net/{TENANT}/"
    gate = started(
        gateway, service, provider("entra", identity, tmp_path, issuer=v1, audience="api://shop"), None
    )
    shape = {"azp": None, "appid": "0a1b2c3d-0000-4111-8222-333344445555", "ver": "1.0", "aud": "api://shop"}
    assert gate.get("/orders", entra(identity, v1, **shape)).status == 200
    assert gate.log_line(status=200)["client_id"] == shape["appid"]
    assert gate.get("/orders", entra(identity, ENTRA, **shape)).reason == "token_issuer_unknown"


def test_entra_several_tenants_are_listed_and_no_other_is_accepted(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    template = "https://login.microsoftonline.com/{tenant}/v2.0"
    config = provider("entra", identity, tmp_path, issuer=template, tenants=[TENANT, OTHER])
    with pytest.raises(ConfigurationError, match="belong to tenants"):
        started(gateway, service, config, {"scopes": "orders.read"})
    gate = started(gateway, service, config, {"scopes": "orders.read", "tenant": {"none": "test"}})
    for tenant in (TENANT, OTHER):
        own = f"https://login.microsoftonline.com/{tenant}/v2.0"
        assert gate.get("/orders", entra(identity, own, tid=tenant)).status == 200
    assert {line["tenant"] for line in gate.wait_log(2)} == {TENANT, OTHER}
    foreign = f"https://login.microsoftonline.com/{STRANGER}/v2.0"
    assert gate.get("/orders", entra(identity, foreign, tid=STRANGER)).reason == "token_issuer_unknown"
    assert gate.get("/orders", entra(identity, template, tid=TENANT)).reason == "token_issuer_unknown"
    mixed = gate.get("/orders", entra(identity, ENTRA, tid=OTHER))
    assert mixed.reason == "token_claim_invalid"
    assert gate.get("/orders", entra(identity, ENTRA, tid=None)).reason == "token_claim_invalid"
    assert service.saw_no_more_than(2)


def test_entra_keys_sign_for_the_issuer_that_they_name(gateway, origin, issuer, tmp_path):
    """A key of another cloud's or version's issuer in the same set signs no token of this one."""
    identity, service = issuer("RSA"), origin()

    def keys(template: str) -> str:
        document = json.loads(identity.jwks())
        document["keys"][0]["issuer"] = template
        path = tmp_path / "keys.json"
        path.write_text(json.dumps(document))
        return str(path)

    good = keys("https://login.microsoftonline.com/{tenantid}/v2.0")
    gate = started(gateway, service, provider("entra", identity, jwks=good), None)
    assert gate.get("/orders", entra(identity, ENTRA)).status == 200
    for bad in (
        f"https://login.microsoftonline.com/{OTHER}/v2.0",
        "https://sts.windows.net/{tenantid}/",
        "",
    ):
        gate = started(gateway, service, provider("entra", identity, jwks=keys(bad)), None)
        assert gate.get("/orders", entra(identity, ENTRA)).reason == "token_key_unknown", bad
    assert service.saw_no_more_than(1)


def test_entra_kinds(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA"), origin()
    gate = started(gateway, service, provider("entra", identity, tmp_path), None)
    changes = ({"idtyp": "user"}, {"idtyp": "app", "scp": None}, {"scp": None}, {"idtyp": "device"})
    for change in changes:
        assert gate.get("/orders", entra(identity, ENTRA, **change)).status == 200
    assert [line["kind"] for line in gate.wait_log(4)] == ["user", "service", "service", "device"]
    assert gate.get("/orders", entra(identity, ENTRA, idtyp="robot")).reason == "token_claim_invalid"


# metadata, as each vendor serves it

METADATA: dict[str, dict[str, Any]] = {
    "auth0": {
        "issuer": "https://shop.eu.auth0.com/",
        "jwks_uri": "https://shop.eu.auth0.com/.well-known/jwks.json",
    },
    "okta": {
        "issuer": "https://shop.okta.com/oauth2/default",
        "jwks_uri": "https://shop.okta.com/oauth2/default/v1/keys",
        "introspection_endpoint": "https://shop.okta.com/oauth2/default/v1/introspect",
    },
    "cognito": {
        "issuer": ISSUERS["cognito"],
        "jwks_uri": f"{ISSUERS['cognito']}/.well-known/jwks.json",
        "token_endpoint": "https://shop.auth.eu-central-1.amazoncognito.com/oauth2/token",
    },
    "keycloak": {
        "issuer": "https://id.example.com/realms/shop",
        "jwks_uri": "https://id.example.com/realms/shop/protocol/openid-connect/certs",
        "mtls_endpoint_aliases": {
            "token_endpoint": "https://id.example.com/realms/shop/protocol/openid-connect/token"
        },
    },
    "entra": {
        "issuer": ENTRA,
        "jwks_uri": f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "tenant_region_scope": "EU",
    },
    "oidc": {"issuer": "https://id.example.com", "jwks_uri": "https://id.example.com/keys"},
}


def discovery_of(tmp_path: Path, config: dict[str, Any]) -> dict[str, Any]:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        json.dumps(
            {
                "version": 1,
                "listeners": {"main": {"address": "127.0.0.1:8080", "plaintext": "test"}},
                "identity_providers": {"id": config},
                "services": {"origin": {"endpoints": "https://origin.internal"}},
                "routes": {
                    "a": {
                        "match": {"hosts": "any", "path": "/", "methods": "GET"},
                        "authenticate": "id",
                        "authorize": {"scopes": "x", "tenant": {"none": "test"}},
                        "service": "origin",
                    }
                },
            }
        )
    )
    document: dict[str, Any] = json.loads(compile_file(file).ir)["providers"][0]["jwks"]
    return document["discovered"]["discovery"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", list(PRESETS))
def test_metadata_as_the_vendor_serves_it(gateway, origin, issuer, tmp_path, name):
    """The vendor's document at a place of ours; only the keys are moved there, too."""
    identity, service = issuer("RSA"), origin()
    identity.documents["/metadata"] = {**METADATA[name], "jwks_uri": identity.jwks_url}
    config = provider(
        name, identity, discovery={"url": f"{identity.base}/metadata"}, jwks_hosts="127.0.0.1", plaintext="t"
    )
    gate = started(gateway, service, config, None)
    assert gate.get("/orders", headers(identity, name)).status == 200
    assert set(identity.paths) == {"/metadata", "/jwks.json"}


@pytest.mark.parametrize("name", list(PRESETS))
def test_metadata_is_looked_for_at_the_issuer(tmp_path, name):
    found = discovery_of(tmp_path, provider(name, None))
    assert found["issuer"] == METADATA[name]["issuer"]
    assert "url" not in found and not found["plaintext"]


def test_metadata_of_entra(tmp_path):
    v1 = discovery_of(tmp_path, provider("entra", None, issuer=f"https://sts.windows.net/{TENANT}/"))
    assert v1["url"] == f"https://login.microsoftonline.com/{TENANT}/.well-known/openid-configuration"
    assert v1["issuer"] == f"https://sts.windows.net/{TENANT}/"
    template = "https://login.microsoftonline.com/{tenant}/v2.0"
    several = discovery_of(tmp_path, provider("entra", None, issuer=template, tenants=[TENANT]))
    assert several["url"] == "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
    assert several["issuer"] == "https://login.microsoftonline.com/{tenantid}/v2.0"


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("auth0", {"issuer": "https://shop.eu.auth0.com"}, "slash"),
        ("okta", {"issuer": "https://shop.okta.com"}, "custom"),
        ("cognito", {"clients": None, "audience": "x"}, "`clients` is missing"),
        ("cognito", {"issuer": "https://cognito-idp.eu-central-1.amazonaws.com/us-east-1_abc"}, "no issuer"),
        ("keycloak", {"issuer": "https://id.example.com/"}, "no issuer"),
        ("keycloak", {"audience": None, "clients": "webshop"}, "`audience` is missing"),
        ("entra", {"issuer": "https://login.microsoftonline.com/common/v2.0"}, "no tenant"),
        ("entra", {"issuer": "https://login.microsoftonline.com/{tenant}/v2.0"}, "several tenants"),
        ("entra", {"tenants": [TENANT]}, "one tenant"),
        ("entra", {"token_type": "at+jwt"}, "never say"),
        ("okta", {"tenants": [TENANT]}, "preset: entra"),
        ("oidc", {"namespace": "https://shop.example/"}, "preset: auth0"),
        ("oidc", {"issuer": "https://login.microsoftonline.com/{tenant}/v2.0"}, "preset: entra"),
    ],
)
def test_what_cannot_work_does_not_load(tmp_path, name, changes, word):
    config = {key: value for key, value in provider(name, None, **changes).items() if value is not None}
    with pytest.raises(ConfigurationError) as caught:
        discovery_of(tmp_path, config)
    assert word in str(caught.value)


@pytest.mark.parametrize("name", list(PRESETS))
def test_each_has_its_page_and_example(name):
    page = (ROOT / "docs" / "providers" / "presets" / f"{name}.md").read_text()
    assert f"preset: {name}" in page
    assert f"preset: {name}" in (ROOT / "examples" / f"preset_{name}.yaml").read_text()
    assert name in (ROOT / "docs" / "providers" / "jwt.md").read_text()
