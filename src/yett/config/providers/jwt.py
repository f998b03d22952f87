"""Signed tokens (RFC 7519), in `Authorization: Bearer`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config.base import Location, Model, nearest, refuse
from yett.config.introspection_endpoint import IntrospectionEndpoint
from yett.config.types import Items, OneOrAny, Plaintext, PublicFile, SenderConstrained, Text
from yett.config.units import AnyDuration, Duration
from yett.config.url import Url, url_fault

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


def _issuer(value: Any) -> Any:
    fault = url_fault(value)
    if fault:
        raise refuse("url_invalid", f"the issuer is compared as it stands in `iss`: {fault}")
    return value


def _algorithms(value: Any) -> Any:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse("algorithm_unknown", "write one or more of " + ", ".join(ALGORITHMS))
    for index, name in enumerate(items):
        at: Location = () if isinstance(value, str) else (index,)
        if isinstance(name, str) and name.upper().startswith("HS"):
            raise refuse(
                "algorithm_refused",
                f"`{name}` uses one shared secret, which every party that checks could also forge with; use RS256, ES256 or EdDSA",
                at,
            )
        if isinstance(name, str) and name.lower() == "none":
            raise refuse(
                "algorithm_refused",
                "tokens without a signature are never accepted; use RS256, ES256 or EdDSA",
                at,
            )
        if name not in ALGORITHMS:
            raise refuse(
                "algorithm_unknown",
                f"`{name}` is not supported{nearest(str(name), ALGORITHMS) or '; write one or more of ' + ', '.join(ALGORITHMS)}",
                at,
            )
    return tuple(items)


def _claim_path(value: Any) -> Any:
    if isinstance(value, str) and value:
        return (value,)
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(part, str) and part for part in value)
        and len(value) <= 8
    ):
        return tuple(value)
    raise refuse(
        "claim_invalid", "write the name of a claim, or the names on the way to it: `[realm_access, roles]`"
    )


def _claim(value: Any) -> Any:
    return Claim.model_validate({"from": value}) if isinstance(value, str) else value


def _jwks(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        raise refuse("jwks_invalid", f"a bare string is a file; write `{{url: {value}}}`")
    if isinstance(value, dict | JwksUrl):
        return value
    return PublicFile.validate(value)


ClaimPath = Annotated[
    tuple[str, ...],
    BeforeValidator(_claim_path),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Claim(Model):
    """A claim that rules may read."""

    from_: ClaimPath
    """The claim's name, or the names on the way to it."""
    type: Literal["string", "int", "bool", "string_list"] = "string"
    """Its type; a token in which it has another type is refused."""

    model_config = {
        **Model.model_config,
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
    }


_CLAIM_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["from"],
            "additionalProperties": False,
            "properties": {
                "from": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                "type": {"enum": ["string", "int", "bool", "string_list"]},
            },
        },
    ]
}


class JwksUrl(Model):
    """A JWK set (RFC 7517) that is fetched."""

    url: Url
    """`https://…`; its host is the issuer's, or in `jwks_hosts`."""
    ca: PublicFile | None = None
    """PEM of the authority that signed the server's certificate; the system's roots otherwise."""
    refresh: Duration = "10m"
    """Age at which the set is fetched again."""
    stale: AnyDuration = "24h"
    """How long the set serves on after a refresh failed."""
    min_interval: Duration = "10s"
    """Shortest pause between two fetches, whatever tokens ask for."""


class Jwt(Model):
    """Signed tokens (RFC 7519), in `Authorization: Bearer`."""

    type: Literal["jwt"]
    issuer: Annotated[str, BeforeValidator(_issuer)]
    """The exact `iss`."""
    audience: OneOrAny
    """One of these has to be in `aud`."""
    jwks: Annotated[PublicFile | JwksUrl, BeforeValidator(_jwks)]
    """Where keys come from: a file, or `{url: …}`."""
    jwks_hosts: Items = ()
    """Further hosts that keys may be fetched from."""
    plaintext: Plaintext | None = None
    """Why an issuer or JWKS address over plain HTTP is fine here."""
    algorithms: Annotated[
        tuple[str, ...],
        BeforeValidator(_algorithms),
        WithJsonSchema(
            {"anyOf": [{"enum": list(ALGORITHMS)}, {"type": "array", "items": {"enum": list(ALGORITHMS)}}]}
        ),
    ] = ALGORITHMS
    """JWA names that are accepted; asymmetric only."""
    leeway: AnyDuration = "30s"
    """Clock difference that is allowed, at most 5m, in whole seconds."""
    claims: dict[Text, Annotated[Claim, BeforeValidator(_claim), WithJsonSchema(_CLAIM_SCHEMA)]] = Field(
        default_factory=dict
    )
    """Where `scopes`, `roles`, `tenant` and `client` stand, and further claims that rules may read."""
    introspection: IntrospectionEndpoint | None = None
    """Whom routes with `live_check` ask whether a token is still good (RFC 7662)."""

    sender_constrained: SenderConstrained | None = None
    """What its tokens have to be bound to: `dpop`, `mtls` or `any` of both; see also `sender_constrained` of routes."""

    @property
    def credential(self) -> str:
        """The header that carries it."""
        return "authorization"
