"""What a request has to be: the type, size and shape of its body; anything else never reaches a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from yett.config.base import Model, listed, refuse
from yett.config.headers import owned, plain_names
from yett.config.media_types import type_fault
from yett.config.types import ONE_OR_SEVERAL, Items, PublicFile, Text, any_of
from yett.config.units import Size, size_bytes
from yett.config.validation.graphql import NAMES, GraphQL

if TYPE_CHECKING:
    from yett.config.validation.openapi import Operation


def _type(name: str) -> None:
    fault = type_fault(name)
    if fault:
        raise refuse("content_type_invalid", fault)


ContentTypes = Annotated[tuple[str, ...], any_of(_type), WithJsonSchema(ONE_OR_SEVERAL)]
"""One content type, or `{any_of: [a, b]}`; `image/*` is every image."""


def _names(value: tuple[str, ...]) -> tuple[str, ...]:
    taken = "belongs to the gateway, which sets or drops it itself; take it out"
    return plain_names(value, lambda name: taken if owned(name, False) else None)


def _string(value: str) -> str:
    if size_bytes(value) == 0:
        raise refuse("out_of_range", f"`{value}` lets no string through; write at least `1B`")
    return value


class JsonLimits(Model):
    """Bounds of JSON bodies; beyond one of them 400 `json_too_complex`."""

    depth: Annotated[int, Field(ge=1, le=64)] = 32
    """Arrays and objects inside of each other; at most 64."""
    keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Names of all objects."""
    items: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Items of all arrays."""
    string: Annotated[Size, AfterValidator(_string)] = "64KiB"
    """A string or name, as written."""
    number: Annotated[int, Field(ge=1, le=400)] = 40
    """Characters of a number."""

    def compiled(self) -> dict[str, int]:
        """Its part of the intermediate representation."""
        return {
            "depth": self.depth,
            "keys": self.keys,
            "items": self.items,
            "string": size_bytes(self.string),
            "number": self.number,
        }


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class FormLimits(Model):
    """Bounds of forms; beyond one of them 400 `form_too_complex`."""

    fields: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Fields and files."""
    field: Annotated[Size, AfterValidator(_string)] = "64KiB"
    """A field."""
    file: Annotated[Size, AfterValidator(_string)] | None = None
    """A file; otherwise the body's limit counts."""

    def compiled(self) -> dict[str, int]:
        """Its part of the intermediate representation."""
        file = size_bytes(self.file) if self.file else 2**63 - 1
        return {"fields": self.fields, "field": size_bytes(self.field), "file": file}


Unknown = Literal["refuse", "allow"]


class RequestValidation(Model):
    """What a request has to be; or `{none: "reason"}`."""

    none: Text | None = None
    """Why nothing is asked of requests; it stands alone."""
    openapi: PublicFile | None = None
    """An OpenAPI description (3.0 or 3.1): what its `operation` says of parameters and bodies is what counts."""
    operation: Text | None = None
    """The `operationId` in it, or method and path, such as `GET /orders`."""
    unknown_properties: Unknown = "allow"
    """Whether properties that a schema of the description does not name are refused."""
    unknown_parameters: Unknown = "allow"
    """Whether parameters of the query that neither the description nor `query` names are refused."""
    query: Items = ()
    """Names that the query may have; others are refused."""
    headers: Annotated[Items, AfterValidator(_names)] = ()
    """Fields that reach the service beside the common ones; others are dropped."""
    body: Literal["required", "optional", "refused"] | None = None
    """Whether there has to be a body (not asked of GET and HEAD); `required` with a schema, `optional` otherwise."""
    content_types: ContentTypes = ("application/json",)
    """What bodies may be."""
    json_schema: PublicFile | None = None
    """JSON Schema (2020-12) of JSON bodies: a file, JSON or YAML; `$ref` stays inside of it."""
    formats: bool = True
    """Whether `format` of the schema is checked; otherwise it is a remark."""
    json_limits: JsonLimits = JsonLimits.unsaid()
    """Bounds of JSON bodies."""
    form_limits: FormLimits = FormLimits.unsaid()
    """Bounds of forms."""
    graphql: GraphQL | None = None
    """Requests are GraphQL, with GET and POST, and ask for this at most."""

    @model_validator(mode="after")
    def _alone(self) -> RequestValidation:
        others = sorted(self.model_fields_set - {"none"})
        if self.none is not None and others:
            message = (
                f"`none` says that nothing is asked of requests, and there is {listed(others)}; keep one"
            )
            raise refuse("validation_none", message, ("none",))
        return self

    def compiled(self, schema: Any) -> dict[str, Any]:
        """Its part of the intermediate representation, with the schema that its file holds."""
        strict = self.json_schema is not None or self.graphql is not None
        presence = self.body or ("required" if strict else "optional")
        held = {"schema": schema} if self.json_schema is not None else {}
        bounded = "form_limits" in self.model_fields_set
        bodies = [
            {"content_type": name, **held, **({"fields": {}} if bounded and name in FORMS else {})}
            for name in self.content_types
        ]
        return {
            "body": presence,
            "bodies": [] if presence == "refused" else bodies,
            "json": self.json_limits.compiled(),
            **({} if self.formats else {"formats": False}),
            **({"form": self.form_limits.compiled()} if bounded else {}),
            **({} if self.graphql is None else {"graphql": self.graphql.compiled()}),
            **self.shared(() if self.graphql is None else NAMES),
        }

    def of_operation(self, operation: Operation) -> dict[str, Any]:
        """The same for an operation of a description."""
        declared = [one["name"] for one in operation.parameters if one["in"] == "query"]
        forms = any("fields" in body for body in operation.bodies)
        return {
            "body": operation.body,
            "bodies": operation.bodies,
            "json": self.json_limits.compiled(),
            **({} if self.formats else {"formats": False}),
            **({"parameters": operation.parameters} if operation.parameters else {}),
            **({"form": self.form_limits.compiled()} if forms else {}),
            **self.shared(declared),
        }

    def shared(self, declared: Sequence[str]) -> dict[str, Any]:
        """What it says of names, whatever the bodies are."""
        document: dict[str, Any] = {}
        if self.query or self.unknown_parameters == "refuse":
            document["query"] = sorted({*self.query, *declared})
        if self.headers:
            document["headers"] = sorted(self.headers)
        return document
