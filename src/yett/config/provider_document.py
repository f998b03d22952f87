"""What the document says of an identity provider."""

from __future__ import annotations

from typing import Any

from yett.config import jwt_document
from yett.config.base import Location
from yett.config.providers import Provider
from yett.config.providers.api_key import ApiKey
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.mtls import Mtls
from yett.config.providers.oidc import Oidc
from yett.config.providers.signed_request import SignedRequest
from yett.config.resolve import Material, secret_name


def provider_document(name: str, provider: Provider, material: Material) -> dict[str, Any]:
    """The part of one identity provider."""
    if isinstance(provider, Jwt):
        return jwt_document.compiled(name, provider, material)
    if isinstance(provider, Mtls):
        return provider.compiled(name)
    if isinstance(provider, SignedRequest):
        return _signed_request(name, provider, material)
    if isinstance(provider, ClientAssertion):
        at = ("identity_providers", name, "clients")
        return provider.compiled(name, {one: material.texts[(*at, one, "jwks")] for one in provider.clients})
    if isinstance(provider, Introspection | Oidc):
        return provider.compiled(name, material)
    return _api_key(name, provider, material)


def _signed_request(name: str, provider: SignedRequest, material: Material) -> dict[str, Any]:
    keys: dict[str, dict[str, Any]] = {}
    for key_id, key in provider.keys.items():
        at: Location = ("identity_providers", name, "keys", key_id)
        if key.shared_secret:
            keys[key_id] = {"secret": secret_name((*at, "shared_secret"))}
        else:
            keys[key_id] = {"public_key": material.texts[(*at, "public_key")]}
    return provider.compiled(name, keys)


def _api_key(name: str, provider: ApiKey, material: Material) -> dict[str, Any]:
    at: Location = ("identity_providers", name)
    file = material.keys_files[(*at, "keys")]
    return {
        "type": "api_key",
        "name": name,
        "header": provider.header,
        "salt": file.salt,
        "pepper": secret_name((*at, "pepper")) if provider.pepper else None,
        "keys": [one for label, key in sorted(file.keys.items()) for one in key.compiled(label)],
    }
