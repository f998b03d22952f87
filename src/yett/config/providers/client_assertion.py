"""Assertions that registered clients sign about themselves (RFC 7523), in `Authorization: Bearer`, each for one request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.machine import Machine, some
from yett.config.providers.jwt import ALGORITHMS, SHARED, _algorithms
from yett.config.types import OneOrAny, PublicFile, Text
from yett.config.units import AnyDuration, Duration


def _asymmetric(value: Any) -> Any:
    names = _algorithms(value)
    for index, name in enumerate(names):
        if name in SHARED:
            raise refuse(
                "algorithm_refused",
                f"`{name}` uses one shared secret, which every party that checks could also sign with; use RS256, ES256 or EdDSA",
                () if isinstance(value, str) else (index,),
            )
    return names


def _between(least: int, most: int, said: str) -> AfterValidator:
    def check(value: str) -> str:
        found = units.milliseconds(value)
        if not least <= found <= most or found % 1000:
            raise refuse("out_of_range", f"`{value}` is out of range; write whole seconds, {said}")
        return value

    return AfterValidator(check)


class AssertionClient(Machine):
    """A client that signs about itself, and what it may do."""

    jwks: PublicFile
    """Its public keys: a file with a JWK set (RFC 7517)."""


class ClientAssertion(Model):
    """Assertions that registered clients sign about themselves (RFC 7523), in `Authorization: Bearer`, each for one request."""

    type: Literal["client_assertion"]
    audience: OneOrAny
    """The one `aud` of an assertion is one of these: a name of this gateway, such as `https://api.example.com`."""
    clients: Annotated[dict[Text, AssertionClient], BeforeValidator(some)]
    """Client ids, as assertions name them in `iss` and `sub`, and whose they are."""
    algorithms: Annotated[
        tuple[str, ...],
        BeforeValidator(_asymmetric),
        WithJsonSchema(
            {"anyOf": [{"enum": list(ALGORITHMS)}, {"type": "array", "items": {"enum": list(ALGORITHMS)}}]}
        ),
    ] = ALGORITHMS
    """JWA names that are accepted; asymmetric only."""
    lifetime: Annotated[Duration, _between(1_000, 600_000, "at most `10m`")] = "5m"
    """Longest time from `iat` to `exp`, at most 10m."""
    leeway: Annotated[AnyDuration, _between(0, 300_000, "at most `5m`")] = "30s"
    """Clock difference that is allowed, at most 5m."""

    @property
    def credential(self) -> str:
        """The header that carries it."""
        return "authorization"

    def compiled(self, name: str, sets: dict[str, str]) -> dict[str, Any]:
        """What the data plane reads; `sets` has the JWK set of each client."""
        return {
            "type": "client_assertion",
            "name": name,
            "audiences": list(self.audience),
            "algorithms": list(self.algorithms),
            "lifetime_s": units.milliseconds(self.lifetime) // 1000,
            "leeway_s": units.milliseconds(self.leeway) // 1000,
            "clients": [
                {"id": client, "jwks": sets[client], "machine": self.clients[client].granted()}
                for client in sorted(self.clients)
            ],
        }
