"""A provider of signed tokens becomes its part of the document: its preset's particulars under what is said itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from yett.config import units
from yett.config.base import Location
from yett.config.providers.jwt import ALGORITHMS, KINDS, Discovery, JwksUrl, Jwt
from yett.config.resolve import Material, secret_name
from yett.presets import PRESETS
from yett.presets.preset import Preset

RESERVED = ("scopes", "roles", "tenant", "client", "partner", "kind")
"""Names in `claims` that are parts of the principal alone; `assurance` is one, and a claim that rules read."""
_PLAIN = Preset(name="none", example="https://id.example.com")


def preset_of(provider: Jwt) -> Preset:
    """What is particular; nothing without a preset."""
    return PRESETS[provider.preset] if provider.preset else _PLAIN


def issuers(provider: Jwt) -> dict[str, str]:
    """Every `iss` of its tokens, and the tenant that each stands for (none where it is one)."""
    if not provider.tenants:
        return {provider.issuer: ""}
    return {provider.issuer.replace("{tenant}", tenant): tenant for tenant in provider.tenants}


def algorithms(provider: Jwt) -> tuple[str, ...]:
    """Accepted ones."""
    return provider.algorithms or (("HS256",) if provider.shared_secret else ALGORITHMS)


def compiled(name: str, provider: Jwt, material: Material) -> dict[str, Any]:
    """Its part of the document, as `ir/providers.rs` reads it. What is not used is left out."""
    at: Location = ("identity_providers", name)
    preset = preset_of(provider)
    document: dict[str, Any] = {
        "type": "jwt",
        "name": name,
        "issuer": provider.issuer,
        "audiences": list(provider.audience or ()),
        "jwks": _jwks(provider, preset, at, material),
        "algorithms": list(algorithms(provider)),
        "leeway_s": units.milliseconds(provider.leeway) // 1000,
        "claims": _claims(provider, preset),
    }
    if provider.clients:
        document["clients"] = list(provider.clients)
    if provider.at_jwt_only:
        document["token_type"] = provider.token_type
    if provider.max_age:
        document["max_age_s"] = units.milliseconds(provider.max_age) // 1000
    if preset.required:
        document["required"] = {name: list(values) for name, values in preset.required.items()}
    if provider.tenants:
        document["tenants"] = issuers(provider)
    if preset.key_issuer:
        document["key_issuer"] = True
    if preset.opaque:
        document["opaque"] = preset.opaque
    if provider.sender_constrained:
        document["sender_constrained"] = provider.sender_constrained
    if provider.introspection:
        found = discovery(provider, preset, at, material)
        ca = material.texts.get((*at, "introspection", "ca"))
        said = {**found, **({"ca": ca} if ca else {})}
        document["introspection"] = provider.introspection.endpoint_compiled(
            (*at, "introspection"), material, said
        )
    return document


def _jwks(provider: Jwt, preset: Preset, at: Location, material: Material) -> dict[str, Any]:
    if provider.shared_secret:
        return {"shared_secret": secret_name((*at, "shared_secret"))}
    keys = provider.jwks if isinstance(provider.jwks, JwksUrl) else JwksUrl()
    if provider.jwks is not None and not isinstance(provider.jwks, JwksUrl):
        return {"inline": material.texts[(*at, "jwks")]}
    times = {
        "refresh_ms": units.milliseconds(keys.refresh), "stale_ms": units.milliseconds(keys.stale),
        "min_interval_ms": units.milliseconds(keys.min_interval),
    }  # fmt: skip
    ca = material.texts.get((*at, "jwks", "ca"))
    if keys.url is not None:
        return {"url": {"url": keys.url, "plaintext": keys.url.startswith("http://"), "ca": ca, **times}}
    return {"discovered": {"discovery": discovery(provider, preset, at, material), **times}}


def discovery(provider: Jwt, preset: Preset, at: Location, material: Material) -> dict[str, Any]:
    """How the issuer's metadata is fetched (`ir::Discovery`)."""
    said = provider.discovery or Discovery()
    url, issuer = preset.metadata(provider.issuer) if preset.metadata else (None, provider.issuer)
    url = said.url or url
    ca = material.texts.get((*at, "discovery", "ca")) or material.texts.get((*at, "jwks", "ca"))
    own = [urlsplit(provider.issuer).hostname or ""] if url else []
    return {
        "issuer": issuer,
        "plaintext": provider.plaintext is not None,
        **({"url": url} if url else {}),
        **({"ca": ca} if ca else {}),
        **({"hosts": [*own, *provider.jwks_hosts]} if own or provider.jwks_hosts else {}),
        "refresh_ms": units.milliseconds(said.refresh),
        "stale_ms": units.milliseconds(said.stale),
        "min_interval_ms": units.milliseconds(said.min_interval),
    }


def _claims(provider: Jwt, preset: Preset) -> dict[str, Any]:
    said = provider.claims
    path = {key: list(said[key].from_) for key in (*RESERVED, "assurance") if key in said}
    roles = [path["roles"]] if "roles" in path else _roles(provider, preset)
    client = path.get("client") or (preset.client_of(provider.issuer) if preset.client_of else preset.client)
    tenant = path.get("tenant") or preset.tenant
    document: dict[str, Any] = {
        "scopes": path.get("scopes") or list(preset.scopes),
        "roles": roles[0],
        "tenant": list(tenant) if tenant else None,
        "client": list(client) if client else None,
        "declared": {
            key: {"from": list(claim.from_), "type": claim.type}
            for key, claim in said.items()
            if key not in RESERVED
        },
    }
    if len(roles) > 1:
        document["more_roles"] = roles[1:]
    for key in ("partner", "assurance"):
        if key in path:
            document[key] = path[key]
    if "kind" in path:
        document["kind"] = {
            "from": path["kind"],
            "values": said["kind"].values or {kind: kind for kind in KINDS},
        }
    elif preset.kind:
        document["kind"] = preset.kind
    if preset.client_suffix:
        document["client_suffix"] = preset.client_suffix
    return document


def _roles(provider: Jwt, preset: Preset) -> list[list[str]]:
    if provider.namespace:
        return [[f"{provider.namespace}roles"]]
    return [
        [audience if part == "{audience}" else part for part in path]
        for path in preset.roles
        for audience in ((provider.audience or ()) if "{audience}" in path else ("",))
    ]
