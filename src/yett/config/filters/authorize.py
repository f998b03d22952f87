"""What verified callers may do: callers, scopes, roles, tenant."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from yett.config.base import Model, refuse
from yett.config.types import Items, Quantified

_TENANT = re.compile(r"path\.[a-z][a-z0-9_]*", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)


def _tenant(value: Any) -> Any:
    if not isinstance(value, str) or not _TENANT.fullmatch(value):
        raise refuse(
            "tenant_invalid",
            f"`{value}` is not a part of the request; write `path.` and a variable of the path, such as `path.tenant`",
        )
    return value


def _scopes(value: Quantified) -> Quantified:
    for index, scope in enumerate(value.items):
        if not _SCOPE.fullmatch(scope):
            raise refuse(
                "scope_invalid",
                f"`{scope}` is not a scope; it has blanks or quotes: several are `{{all_of: [a, b]}}`",
                (value.quantifier, index),
            )
    return value


class Callers(Model):
    """Exact callers; one of them."""

    users: Items = ()
    """Values of `sub`."""
    clients: Items = ()
    """OAuth clients."""
    keys: Items = ()
    """Names of API keys."""

    @model_validator(mode="after")
    def _some(self) -> Callers:
        if not (self.users or self.clients or self.keys):
            raise refuse("authorize_empty", "`callers` names nobody; write `users`, `clients` or `keys`")
        return self


class Authorize(Model):
    """One rule: all parts that are present have to hold."""

    callers: Callers | None = None
    """Exact callers; one of them."""
    scopes: Annotated[Quantified, AfterValidator(_scopes)] | None = None
    """Scopes that the credential has to carry."""
    roles: Quantified | None = None
    """Roles that the caller has to have."""
    tenant: (
        Annotated[
            str, BeforeValidator(_tenant), WithJsonSchema({"type": "string", "pattern": r"^path\.[a-z]"})
        ]
        | None
    ) = None
    """The caller's tenant has to equal this part of the request: `path.NAME`."""

    @model_validator(mode="after")
    def _some(self) -> Authorize:
        if self.callers is None and self.scopes is None and self.roles is None and self.tenant is None:
            raise refuse(
                "authorize_empty",
                "`authorize` has no rule; name `scopes`, `roles`, `callers` or `tenant`, or say `access: authenticated`",
            )
        return self

    def rule(self, source: str) -> dict[str, Any]:
        """The rule in the intermediate representation."""
        callers = self.callers and {
            "users": [*self.callers.users],
            "clients": [*self.callers.clients],
            "keys": [*self.callers.keys],
        }
        return {
            "source": source,
            "callers": callers,
            "scopes": _quantifier(self.scopes),
            "roles": _quantifier(self.roles),
            "tenant": {"path": self.tenant.removeprefix("path.")} if self.tenant else None,
        }


def _quantifier(value: Quantified | None) -> dict[str, list[str]] | None:
    return {value.quantifier: list(value.items)} if value else None


Access = Literal["public", "authenticated"]
