"""What a machine that was recognized may do: shared by the provider types for machines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from yett.config.base import Model, refuse
from yett.config.types import Items, Text


def some(value: Any) -> Any:
    """At least one entry: a provider that knows nobody refuses everybody."""
    if value == {}:
        raise refuse("list_empty", "nobody is named here, so everyone would be refused; name at least one")
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, scope in enumerate(value):
        if any(letter.isspace() for letter in scope):
            named = ", ".join(scope.split())
            at = (index,) if len(value) > 1 else ()
            raise refuse(
                "scope_invalid", f"`{scope}` has a blank, and no scope has one; write `[{named}]`", at
            )
    return value


Scopes = Annotated[Items, AfterValidator(_scopes)]
"""Scopes that somebody carries (RFC 6749 section 3.3): services read them as words."""


class Machine(Model):
    """Who a recognized machine is, and what it carries."""

    client: Text | None = None
    """Its name in `callers: {clients: …}`, limits and logs."""
    kind: Literal["service", "device"] = "service"
    """What it is; never a user."""
    scopes: Scopes = ()
    """Scopes that it carries."""
    roles: Items = ()
    """Roles that it carries."""
    tenant: Text | None = None
    """The tenant that it belongs to."""
    partner: Text | None = None
    """The partner that it belongs to."""

    def granted(self) -> dict[str, Any]:
        """What the data plane reads; nothing where nothing is said."""
        return {
            **({"client": self.client} if self.client else {}),
            **({"kind": self.kind} if self.kind != "service" else {}),
            **({"scopes": list(self.scopes)} if self.scopes else {}),
            **({"roles": list(self.roles)} if self.roles else {}),
            **({"tenant": self.tenant} if self.tenant else {}),
            **({"partner": self.partner} if self.partner else {}),
        }
