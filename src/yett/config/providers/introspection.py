"""Opaque tokens (RFC 7662), in `Authorization: Bearer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config import units
from yett.config.base import Location, Model
from yett.config.discovered import discovered
from yett.config.introspection_endpoint import IntrospectionEndpoint
from yett.config.providers.jwt import _CLAIM_SCHEMA, Claim, _claim, _issuer
from yett.config.types import Items, OneOrAny, Plaintext, Text
from yett.config.units import AnyDuration

if TYPE_CHECKING:
    from yett.config.resolve import Material


class IntrospectionCache(Model):
    """How long answers are remembered; never past the token's own end."""

    max_age: AnyDuration = "30s"
    """Of active tokens: so long a revoked one may go on. `0s` remembers nothing."""
    inactive_max_age: AnyDuration = "10s"
    """Of tokens that are not active."""


class Introspection(IntrospectionEndpoint):
    """Opaque tokens (RFC 7662), in `Authorization: Bearer`: their issuer is asked."""

    type: Literal["introspection"]
    issuer: Annotated[str, BeforeValidator(_issuer)] | None = None
    """The exact `iss` of answers that name one; without an `endpoint` the metadata below it says where that is."""
    hosts: Items = ()
    """Further hosts that the endpoint of the metadata may be on; without it only the issuer's own."""
    audience: OneOrAny | None = None
    """One of these has to be in `aud`."""
    clients: OneOrAny | None = None
    """The token's client has to be one of these; in place of `audience` where the issuer names none."""
    plaintext: Plaintext | None = None
    """Why an endpoint over plain HTTP is fine here."""
    leeway: AnyDuration = "30s"
    """Clock difference that is allowed, at most 5m, in whole seconds."""
    cache: IntrospectionCache = IntrospectionCache.unsaid()
    """How long answers are remembered."""
    claims: dict[Text, Annotated[Claim, BeforeValidator(_claim), WithJsonSchema(_CLAIM_SCHEMA)]] = Field(
        default_factory=dict
    )
    """Where `scopes`, `roles`, `tenant` and `client` stand, and further claims that rules may read."""

    @property
    def credential(self) -> str:
        """The header that carries it."""
        return "authorization"

    def compiled(self, name: str, material: Material) -> dict[str, Any]:
        """Its part of the IR."""
        known = {
            key: list(self.claims[key].from_) if key in self.claims else None
            for key in ("scopes", "roles", "tenant", "client")
        }
        at: Location = ("identity_providers", name)
        ca = material.texts.get((*at, "ca"))
        found = discovered(self.issuer or "", self.plaintext is not None, ca, self.hosts)
        return {
            "type": "introspection",
            "name": name,
            "issuer": self.issuer,
            "introspection": self.endpoint_compiled(at, material, found),
            "audiences": list(self.audience or ()),
            "clients": list(self.clients or ()),
            "leeway_s": units.milliseconds(self.leeway) // 1000,
            "max_age_ms": units.milliseconds(self.cache.max_age),
            "inactive_max_age_ms": units.milliseconds(self.cache.inactive_max_age),
            "claims": {
                **known,
                "scopes": known["scopes"] or ["scope"],
                "roles": known["roles"] or ["roles"],
                "declared": {
                    key: {"from": list(claim.from_), "type": claim.type}
                    for key, claim in self.claims.items()
                    if key not in known
                },
            },
        }
