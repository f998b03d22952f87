"""People in browsers: login at an OpenID provider (code flow with PKCE), and a session in a sealed cookie or in the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config import template, units
from yett.config.base import Location, Model, refuse
from yett.config.discovered import FRESH, discovered
from yett.config.oauth_client import OauthClient
from yett.config.providers.jwt import (
    _CLAIM_SCHEMA,
    ALGORITHMS,
    Claim,
    _algorithms,
    _claim,
    _issuer,
)
from yett.config.types import Items, Plaintext, PublicFile, Secret, Text, one_or_list
from yett.config.url import Url

if TYPE_CHECKING:
    from yett.config.resolve import Material

RESERVED = ("scopes", "roles", "tenant", "client", "partner")

_ACTIONS = ("login", "callback", "logout", "backchannel-logout", "frontchannel-logout")
_OWN_PARAMETERS = {
    "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "acr_values", "max_age", "request", "request_uri", "client_secret",
}  # fmt: skip
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)


def _scopes(value: Any) -> Any:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse("scope_invalid", "write one scope, or a list such as `[openid, profile]`")
    for index, item in enumerate(items):
        if not isinstance(item, str) or not _SCOPE.fullmatch(item):
            at = () if isinstance(value, str) else (index,)
            raise refuse("scope_invalid", f"`{item}` is not a scope; each is one word, without blanks", at)
    if "openid" not in items:
        raise refuse("scope_invalid", "without the scope `openid` there is no ID token; add it")
    return tuple(dict.fromkeys(items))


def _path(value: Any) -> Any:
    found = template.read(value) if isinstance(value, str) else "write a path such as `/.yett/staff`"
    if isinstance(found, str):
        raise refuse("path_invalid", found)
    if found.variables or value == "/" or value.endswith("/"):
        raise refuse("path_invalid", f"`{value}` is not fixed; write a path such as `/.yett/staff`")
    return value


def _after(value: Any) -> Any:
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"/(?:[A-Za-z0-9._~/-]*)", value, re.ASCII)
        or "//" in value
    ):
        raise refuse("path_invalid", f"`{value}` is not a path of the same host; write one such as `/`")
    return value


def _parameters(value: Any) -> Any:
    for name in value if isinstance(value, dict) else ():
        if name in _OWN_PARAMETERS:
            raise refuse("parameter_owned", f"`{name}` is set by the gateway itself; remove it here", (name,))
    return value


class OidcEndpoints(Model):
    """Addresses of a provider, where it publishes no metadata."""

    authorization: Url
    """Where browsers are sent to log in."""
    token: Url
    """Where the gateway gets tokens for a code."""
    jwks: Url
    """Its key set."""
    end_session: Url | None = None
    """Where browsers are sent to log out; without it only the gateway's session ends."""
    names_issuer: bool = True
    """Whether its answers name the issuer (`iss`, RFC 9207); then one without is refused."""


class Session(Model):
    """How long a login counts, and what it is sealed with."""

    keys: Annotated[tuple[Secret, ...], BeforeValidator(one_or_list)]
    """Secrets of 32 random bytes in base64 or hexadecimal: the first encrypts, all decrypt. Equal on all instances."""
    store: Literal["cookie", "server"] = "cookie"
    """`cookie`: the browser keeps the session, sealed. `server`: it keeps a random handle, and `state` holds the session, sealed."""
    idle: units.Duration = "30m"
    """Longest time between two requests."""
    absolute: units.Duration = "12h"
    """Longest time after the login, whatever happens."""


class Oidc(Model):
    """People in browsers: login at an OpenID provider (code flow with PKCE), and a session in a sealed cookie or in the store."""

    type: Literal["oidc"]
    issuer: Annotated[str, BeforeValidator(_issuer)]
    """The exact `iss`; the metadata below it says the addresses."""
    client: OauthClient
    """Who the gateway is there, and how it proves that."""
    session: Session
    """How long a login counts, and what it is sealed with."""
    scopes: Annotated[
        tuple[str, ...],
        BeforeValidator(_scopes),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = ("openid",)
    """What is asked for; `openid` is one of them, `offline_access` asks for a refresh token."""
    endpoints: OidcEndpoints | None = None
    """Addresses, where there is no metadata."""
    hosts: Items = ()
    """Further hosts that the provider's addresses may be on; without it only the issuer's own."""
    ca: PublicFile | None = None
    """PEM of the authority of the provider's certificate; the system's roots otherwise."""
    plaintext: Plaintext | None = None
    """Why an address over plain HTTP is fine here."""
    algorithms: Annotated[
        tuple[str, ...],
        BeforeValidator(_algorithms),
        WithJsonSchema(
            {"anyOf": [{"enum": list(ALGORITHMS)}, {"type": "array", "items": {"enum": list(ALGORITHMS)}}]}
        ),
    ] = ALGORITHMS
    """JWA names that ID tokens may be signed with; asymmetric only."""
    leeway: units.AnyDuration = "30s"
    """Clock difference that is allowed, at most 5m, in whole seconds."""
    claims: dict[Text, Annotated[Claim, BeforeValidator(_claim), WithJsonSchema(_CLAIM_SCHEMA)]] = Field(
        default_factory=dict
    )
    """Where `scopes`, `roles`, `tenant` and `client` stand in the ID token, and further claims that rules may read."""
    parameters: Annotated[dict[Text, Text], BeforeValidator(_parameters)] = Field(default_factory=dict)
    """Further parameters for the login page, such as `{prompt: select_account}`."""
    path: Annotated[str, BeforeValidator(_path)] | None = None
    """Under which the gateway itself answers: `login`, `callback`, `logout` … (`/.yett/<name>`)."""
    after_logout: Annotated[str, BeforeValidator(_after)] = "/"
    """Path that a logout ends at; registered with the provider for each host."""

    @property
    def credential(self) -> str:
        """The cookies of each are its own."""
        return f"cookie of {self.issuer} {self.client.id} {self.path}"

    def base(self, name: str) -> str:
        """The path under which the gateway itself answers."""
        return self.path or f"/.yett/{name}"

    def compiled(self, name: str, material: Material) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        from yett.config.resolve import secret_name

        at: Location = ("identity_providers", name)
        ca = material.texts.get((*at, "ca"))
        plain = self.plaintext is not None
        path = {key: list(claim.from_) for key, claim in self.claims.items()}
        declared = {
            key: {"from": list(claim.from_), "type": claim.type}
            for key, claim in self.claims.items()
            if key not in RESERVED
        }
        document: dict[str, Any] = {
            "type": "oidc", "name": name, "issuer": self.issuer, "scope": " ".join(self.scopes),
            "client": self.client.compiled((*at, "client"), material),
            "algorithms": list(self.algorithms), "leeway_s": units.milliseconds(self.leeway) // 1000,
            "claims": {
                "scopes": path.get("scopes", ["scope"]), "roles": path.get("roles", ["roles"]), "tenant": path.get("tenant"),
                "client": path.get("client"), "declared": declared,
                **{key: path[key] for key in ("partner", "assurance") if key in path},
            },
            "session": {
                "keys": [secret_name((*at, "session", "keys", index)) for index in range(len(self.session.keys))],
                "idle_s": units.milliseconds(self.session.idle) // 1000,
                "absolute_s": units.milliseconds(self.session.absolute) // 1000,
                **({"store": "server"} if self.session.store == "server" else {}),
            },
            "base": self.base(name), "after_logout": self.after_logout, "plaintext": plain,
        }  # fmt: skip
        if ca is not None:
            document["ca"] = ca
        if self.parameters:
            document["parameters"] = dict(self.parameters)
        fresh = {**FRESH, "refresh_ms": 600_000}
        if self.endpoints is None:
            found = discovered(self.issuer, plain, ca, self.hosts)
            document["discovery"] = found
            document["jwks"] = {"discovered": {"discovery": found, **fresh}}
        else:
            given = self.endpoints
            document["endpoints"] = {
                "authorization": given.authorization, "token": given.token, "names_issuer": given.names_issuer,
                **({"end_session": given.end_session} if given.end_session else {}),
            }  # fmt: skip
            document["jwks"] = {"url": {
                "url": given.jwks, "plaintext": plain, "ca": ca, **fresh,
            }}  # fmt: skip
        return document

    def urls(self) -> list[tuple[tuple[str, ...], str]]:
        """Its addresses, with their places in it."""
        found: list[tuple[tuple[str, ...], str]] = [(("issuer",), self.issuer)]
        if self.endpoints is not None:
            for key in ("authorization", "token", "jwks", "end_session"):
                url = getattr(self.endpoints, key)
                if url is not None:
                    found.append((("endpoints", key), url))
        return found
