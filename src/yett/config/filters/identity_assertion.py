"""A short-lived signed assertion of who calls, for the service, minted for each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from yett.config.base import Location, Model, listed, nearest, refuse
from yett.config.headers import FieldName
from yett.config.types import Items, Text
from yett.config.units import Duration, milliseconds

SOURCES = ("subject", "client", "kind", "provider", "tenant", "scopes", "roles")
EXTRA = ("roles",)
"""What `claims` may list beside declared claims."""


def _lifetime(value: Any) -> Any:
    if isinstance(value, str) and (not 1000 <= milliseconds(value) <= 30_000 or milliseconds(value) % 1000):
        raise refuse("out_of_range", f"`{value}` is out of range; write whole seconds, `1s` to `30s`")
    return value


def _reuse(value: Any) -> Any:
    if isinstance(value, str) and not 1000 <= milliseconds(value) <= 10_000:
        raise refuse("out_of_range", f"`{value}` is out of range; write `1s` to `10s`")
    return value


def _source(value: Any) -> Any:
    if not isinstance(value, str) or (value not in SOURCES and not value.removeprefix("claims.")):
        raise refuse("value_unknown", _unknown(value))
    if value not in SOURCES and not value.startswith("claims."):
        raise refuse("value_unknown", _unknown(value))
    return value


def _unknown(value: Any) -> str:
    hint = nearest(str(value), SOURCES) or f"; write {listed(SOURCES)}, or `claims.` and a declared claim"
    return f"`{value}` is nothing that is known of a caller{hint}"


Source = Annotated[str, BeforeValidator(_source)]
"""`subject`, `client`, `kind`, `provider`, `tenant`, `scopes`, `roles`, or `claims.` and a declared claim."""


class IdentityAssertion(Model):
    """What the service is told of the caller, in the header `yett-identity`."""

    audience: Text | None = None
    """The `aud` of assertions; the name of the service otherwise."""
    lifetime: Annotated[Duration, BeforeValidator(_lifetime)] = "30s"
    """How long an assertion is valid; at most 30s."""
    claims: Items = ()
    """Declared claims of the identity providers that it carries beside the usual ones, and `roles`."""
    headers: dict[FieldName, Source] = Field(default_factory=dict)
    """Headers that say the same without a signature, for services that read nothing else."""
    anonymous: bool = False
    """Whether public routes lead here; their assertions say `kind: anonymous`."""
    body: Literal["digest"] | None = None
    """`digest`: it also carries the SHA-256 of the body, which is then read whole before anything is sent."""
    reuse: Annotated[Duration, BeforeValidator(_reuse)] | None = None
    """How long an assertion may serve again for the same caller, service and request; without an id then."""

    def compiled(self, name: str) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "audience": self.audience or name,
            "lifetime_s": milliseconds(self.lifetime) // 1000,
            **({"claims": [one for one in self.claims if one not in EXTRA]} if self.claims else {}),
            **({"roles": True} if "roles" in self.claims else {}),
            **({"headers": self.headers} if self.headers else {}),
            **({"anonymous": True} if self.anonymous else {}),
            **({"body_digest": True} if self.body else {}),
            **({"reuse_ms": milliseconds(self.reuse)} if self.reuse else {}),
        }

    def named_claims(self) -> Iterator[tuple[Location, str]]:
        """Each declared claim that is asked for, and where."""
        for index, name in enumerate(self.claims):
            if name not in EXTRA:
                yield ("claims", index), name
        for header, source in self.headers.items():
            if source not in SOURCES:
                yield ("headers", header), source.removeprefix("claims.")
