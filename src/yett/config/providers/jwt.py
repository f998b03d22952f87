"""Signed tokens (RFC 7519), in `Authorization: Bearer`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config.base import Location, Model, nearest, refuse
from yett.config.introspection_endpoint import IntrospectionEndpoint
from yett.config.types import Items, OneOrAny, Plaintext, PublicFile, Secret, SenderConstrained, Text
from yett.config.units import AnyDuration, Duration
from yett.config.url import Url, url_fault

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those that public keys verify."""
SHARED = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Those with a shared secret, and the bytes that it has at least (RFC 7518 section 3.2)."""
KINDS = ("user", "service", "device")


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
        if isinstance(name, str) and name.lower() == "none":
            raise refuse(
                "algorithm_refused",
                "tokens without a signature are never accepted; use RS256, ES256 or EdDSA",
                at,
            )
        if name not in ALGORITHMS and name not in SHARED:
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
    values: dict[Text, Literal["user", "service", "device"]] | None = None
    """Of `kind` alone: what each of its values means; a token with another value is refused."""

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
                "values": {"type": "object", "additionalProperties": {"enum": list(KINDS)}},
            },
        },
    ]
}


class JwksUrl(Model):
    """A JWK set (RFC 7517) that is fetched."""

    url: Url | None = None
    """`https://…`; its host is the issuer's, or in `jwks_hosts`. Without it the issuer's metadata says where the set is."""
    ca: PublicFile | None = None
    """PEM of the authority that signed the server's certificate; the system's roots otherwise."""
    refresh: Duration = "10m"
    """Age at which the set is fetched again, or earlier where the provider says so."""
    stale: AnyDuration = "24h"
    """How long the set serves on after a refresh failed."""
    min_interval: Duration = "10s"
    """Shortest pause between two fetches, whatever tokens ask for."""


class Discovery(Model):
    """The issuer's metadata (OpenID Connect Discovery 1.0, RFC 8414)."""

    url: Url | None = None
    """Where it is, if not at its place below the issuer; it still has to name the exact issuer."""
    ca: PublicFile | None = None
    """PEM of the authority that signed the server's certificate; the system's roots otherwise."""
    refresh: Duration = "1h"
    """Age at which it is fetched again, or earlier where the provider says so."""
    stale: AnyDuration = "24h"
    """How long it serves on after a refresh failed."""
    min_interval: Duration = "10s"
    """Shortest pause between two fetches."""


class Jwt(Model):
    """Signed tokens (RFC 7519), in `Authorization: Bearer`."""

    type: Literal["jwt"]
    preset: Literal["auth0", "okta", "cognito", "keycloak", "entra", "oidc"] | None = None
    """Whose tokens these are; fills in what is particular about them."""
    issuer: Annotated[str, BeforeValidator(_issuer)]
    """The exact `iss`."""
    audience: OneOrAny | None = None
    """One of these has to be in `aud`."""
    clients: OneOrAny | None = None
    """The OAuth clients whose tokens are accepted; any, where it is not given."""
    jwks: Annotated[PublicFile | JwksUrl, BeforeValidator(_jwks)] | None = None
    """Where keys come from: a file, or `{url: …}`; without it the issuer's metadata says where."""
    jwks_hosts: Items = ()
    """Further hosts that keys may be fetched from, and that endpoints of the metadata may have."""
    discovery: Discovery | None = None
    """How the issuer's metadata is fetched."""
    shared_secret: Secret | None = None
    """A secret of at least 32 bytes in place of public keys (HS256, HS384, HS512)."""
    plaintext: Plaintext | None = None
    """Why an issuer or JWKS address over plain HTTP is fine here."""
    algorithms: Annotated[
        tuple[str, ...],
        BeforeValidator(_algorithms),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": [*ALGORITHMS, *SHARED]},
                    {"type": "array", "items": {"enum": [*ALGORITHMS, *SHARED]}},
                ]
            }
        ),
    ] | None = None  # fmt: skip
    """JWA names that are accepted; all asymmetric ones, or HS256 with a `shared_secret`."""
    token_type: Literal["at+jwt", "any-access"] = "any-access"  # noqa: S105
    """`at+jwt`: only tokens whose header says so (RFC 9068); `any-access`: also `JWT` and none. An ID token never."""
    leeway: AnyDuration = "30s"
    """Clock difference that is allowed, at most 5m, in whole seconds."""
    max_age: Duration | None = None
    """How long after `iat` a token is accepted at most, in whole seconds."""
    namespace: Text | None = None
    """Of Auth0 alone: what custom claims begin with; `roles` is read there."""
    tenants: Items = ()
    """Of Entra alone: the tenants that `{tenant}` in the issuer stands for."""
    claims: dict[Text, Annotated[Claim, BeforeValidator(_claim), WithJsonSchema(_CLAIM_SCHEMA)]] = Field(
        default_factory=dict
    )
    """Where `scopes`, `roles`, `tenant`, `client`, `partner`, `assurance` and `kind` stand, and further claims that rules may read."""
    introspection: IntrospectionEndpoint | None = None
    """Whom routes with `live_check` ask whether a token is still good (RFC 7662)."""

    sender_constrained: SenderConstrained | None = None
    """What its tokens have to be bound to: `dpop`, `mtls` or `any` of both; see also `sender_constrained` of routes."""

    @property
    def at_jwt_only(self) -> bool:
        """Whether the header has to say `at+jwt`."""
        return self.token_type == "at+jwt"  # noqa: S105

    @property
    def credential(self) -> str:
        """The header that carries it."""
        return "authorization"
