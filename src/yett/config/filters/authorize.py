"""What verified callers may do: rules that have to hold, rules that deny, and whose tenant it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from yett.config.authorization.attributes import Claims, Device, Times
from yett.config.authorization.tenant import TenantPlace
from yett.config.base import Location, Model, refuse
from yett.config.headers import owned
from yett.config.shadow import Tried
from yett.config.types import Items, Name, Networks, OrOne, Quantified, Text, one_or_list

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)
_CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "host"}
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*(/\*)?", re.ASCII)


def _scope(value: Quantified, at: tuple[str | int, ...] = ()) -> Quantified:
    for index, scope in enumerate(value.items):
        if not SCOPE.fullmatch(scope):
            raise refuse(
                "scope_invalid",
                f"`{scope}` is not a scope; it has blanks or quotes: several are `{{all_of: [a, b]}}`",
                (*at, value.quantifier, index),
            )
    return value


@dataclass(frozen=True)
class Scopes:
    """Scopes for every method, or for each."""

    every: Quantified | None = None
    methods: dict[str, Quantified] = field(default_factory=dict)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        every = Quantified.__get_pydantic_json_schema__(schema, handler)
        each = {"type": "object", "additionalProperties": every, "minProperties": 1}
        methods = {
            "type": "object",
            "additionalProperties": False,
            "required": ["methods"],
            "properties": {"methods": each},
        }
        return {"anyOf": [*every["anyOf"], methods]}

    @classmethod
    def validate(cls, value: Any) -> Scopes:
        if isinstance(value, Scopes):
            return value
        if not isinstance(value, dict) or set(value) != {"methods"}:
            return cls(every=_scope(Quantified.validate(value)))
        methods = value["methods"]
        if not isinstance(methods, dict) or not methods:
            raise refuse(
                "quantifier_missing",
                "write a scope for each method: `{GET: billing.read, PUT: billing.write}`",
                ("methods",),
            )
        found = {}
        for name, scopes in methods.items():
            if not isinstance(name, str) or not re.fullmatch(r"[A-Z]+", name, re.ASCII) or name == "HEAD":
                raise refuse(
                    "method_invalid",
                    f"`{name}` is not a method here; write one such as `GET`",
                    ("methods", name),
                )
            found[name] = _scope(Quantified.validate(scopes), ("methods", name))
        return cls(methods=found)


def _spiffe(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(value):
        if not _SPIFFE.fullmatch(name):
            raise refuse(
                "spiffe_invalid",
                f"`{name}` is not a SPIFFE id; write one such as `spiffe://shop.example/orders`, or `spiffe://shop.example/batch/*`",
                (index,),
            )
    return value


def _condition(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        raise refuse("condition_invalid", "write a condition as text, such as `\"principal.kind == 'user'\"`")
    return value


def _fields(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(value):
        if owned(name.lower(), False) or name.lower() in _CREDENTIALS:
            raise refuse(
                "header_owned",
                f"`{name}` belongs to the gateway or carries a credential; conditions read other fields, and `principal`",
                (index,),
            )
        if not re.fullmatch(r"[A-Za-z0-9-]{1,128}", name, re.ASCII):
            raise refuse(
                "header_name_invalid",
                f"`{name}` is not the name of a header; use letters, digits and `-`",
                (index,),
            )
    return tuple(name.lower() for name in value)


Condition = Annotated[str, BeforeValidator(_condition)]
Fields = Annotated[Items, AfterValidator(_fields)]


class Callers(Model):
    """Exact callers; one of them."""

    users: Items = ()
    """Values of `sub`."""
    clients: Items = ()
    """OAuth clients."""
    keys: Items = ()
    """Names of API keys."""
    spiffe: Annotated[Items, AfterValidator(_spiffe)] = ()
    """SPIFFE ids of workloads; `/*` at the end is all below."""

    @model_validator(mode="after")
    def _some(self) -> Callers:
        if not (self.users or self.clients or self.keys or self.spiffe):
            raise refuse(
                "authorize_empty", "`callers` names nobody; write `users`, `clients`, `keys` or `spiffe`"
            )
        return self


class Rule(Model):
    """Parts that all have to hold."""

    callers: Callers | None = None
    """Exact callers; one of them."""
    scopes: Scopes | None = None
    """Scopes that the credential has to carry; for each method as `{methods: {GET: read, PUT: write}}`."""
    roles: Quantified | None = None
    """Roles that the caller has to have; one that includes it counts."""
    permissions: Quantified | None = None
    """Permissions that the caller's roles have to bring; `roles:` of the configuration says which does."""
    claims: Claims = Field(default_factory=dict)
    """Declared claims and what they have to be."""
    clearance: Text | None = None
    """A declared claim that has to name the route's `classification`, or one above it."""
    addresses: Networks | None = None
    """Networks of the client; one of them."""
    times: Annotated[tuple[Times, ...], BeforeValidator(one_or_list)] | None = None
    """Times of the week; one of them."""
    device: Device | None = None
    """What is known of the device."""
    when: Condition | None = None
    """A condition in CEL that has to hold."""
    headers: Fields = ()
    """Header fields that `when` may read."""

    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        parts = (
            self.callers,
            self.scopes,
            self.roles,
            self.permissions,
            self.clearance,
            self.addresses,
            self.times,
            self.when,
        )
        return not self.claims and self.device is None and all(part is None for part in parts)


class Authorize(Rule, Tried):
    """One rule: all parts that are present have to hold."""

    tenant: TenantPlace | None = None
    """The same as `tenant` of the group or route."""

    @model_validator(mode="after")
    def _some(self) -> Authorize:
        if self.is_empty() and self.tenant is None:
            raise refuse(
                "authorize_empty",
                "`authorize` has no rule; name `scopes`, `roles`, `permissions`, `callers`, `claims` or `when`, or say `access: authenticated`",
            )
        if self.mode is not None and self.tenant is not None:
            raise refuse(
                "shadow_tenant",
                "a tenant is compared or not, and never only tried out; write `tenant` beside `authorize`",
                ("tenant",),
            )
        return self


def _rules(value: Any) -> Any:
    # nothing at all is found, and said, when the file is read
    return () if value is None else one_or_list(value)


Rules = Annotated[tuple[Authorize, ...], BeforeValidator(_rules), OrOne()]
"""One rule, or a list of them, all of which have to hold."""


def stated(rules: Rules, where: Location, source: str) -> Iterator[tuple[Authorize, Location, str]]:
    """The rules under `authorize` of a group or route: each with its place and its name, as logs and tools say it."""
    for index, rule in enumerate(rules):
        place = (*where, "authorize", *((index,) if len(rules) > 1 else ()))
        yield rule, place, source if index == 0 else f"{source}: authorize.{index + 1}"


class Deny(Rule, Tried):
    """A rule that refuses where all its parts hold, and where that cannot be decided."""

    @model_validator(mode="after")
    def _some(self) -> Deny:
        if self.is_empty():
            raise refuse(
                "authorize_empty",
                "the rule denies nothing; name `roles`, `callers`, `claims`, `times` or `when`",
            )
        return self


def _deny(value: Any) -> Any:
    return {"when": value} if isinstance(value, str) else value


class _OrText:
    """For editors: a text may stand in place of the mapping."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


Denials = dict[Name, Annotated[Deny, BeforeValidator(_deny), _OrText()]]
"""Rules that refuse, by name."""

Access = Literal["public", "authenticated"]
