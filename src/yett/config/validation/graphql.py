"""What GraphQL requests may ask for."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from yett.config.base import Model, refuse
from yett.config.types import ONE_OR_SEVERAL, any_of

NAMES = ("documentId", "extensions", "id", "operationName", "query", "variables")
"""Parts of a request, as they stand in the query of a GET (GraphQL over HTTP, section 5)."""
KINDS = ("query", "mutation", "subscription")
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")


def _name(name: str) -> None:
    if not _NAME.fullmatch(name):
        message = f"`{name}` is no name of GraphQL; write it as it stands in the schema"
        raise refuse("graphql_name_invalid", message)
    if name.startswith("__"):
        message = f"`{name}` belongs to introspection; write `introspection: allow`"
        raise refuse("graphql_name_invalid", message)


def _kind(name: str) -> None:
    if name not in KINDS:
        message = f"`{name}` is not known here; write `query`, `mutation` or `subscription`"
        raise refuse("value_unknown", message)


_Names = Annotated[tuple[str, ...], any_of(_name), WithJsonSchema(ONE_OR_SEVERAL)]


class GraphQL(Model):
    """What GraphQL requests may ask for; beyond a bound 400 `graphql_too_complex`, otherwise 403 `graphql_not_allowed`."""

    depth: Annotated[int, Field(ge=1, le=100)] = 12
    """Fields inside of each other."""
    aliases: Annotated[int, Field(ge=0, le=100_000)] = 30
    """Aliases, those in fragments wherever they are used."""
    directives: Annotated[int, Field(ge=0, le=100_000)] = 30
    """Directives, those in fragments wherever they are used."""
    cost: Annotated[int, Field(ge=1, le=2**53)] = 5000
    """Fields, those in fragments wherever they are used, times the sizes of the lists that they are in."""
    list_arguments: _Names = ("first", "last", "limit")
    """Arguments that say how long a list is."""
    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    """Requests that may come together, as a list; depth counts for each, the other bounds for all of them."""
    operations: Annotated[tuple[str, ...], any_of(_kind), WithJsonSchema(ONE_OR_SEVERAL)] = (
        "query",
        "mutation",
    )
    """Kinds of operations: `query`, `mutation`, `subscription`."""
    root_fields: _Names | None = None
    """Fields of queries, mutations and subscriptions themselves that may be asked for; all if nothing is said."""
    introspection: Literal["refuse", "allow"] = "refuse"
    """Whether the schema may be asked for (`__schema`, `__type`)."""
    persisted: Literal["refuse", "allow", "only"] = "refuse"
    """Documents that the service has, named by `id`, `documentId` or `extensions.persistedQuery`; with `only` requests bring none of their own."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        document: dict[str, Any] = {
            "depth": self.depth,
            "aliases": self.aliases,
            "directives": self.directives,
            "cost": self.cost,
            "list_arguments": sorted(self.list_arguments),
            "batch": self.batch,
            "operations": [name for name in KINDS if name in self.operations],
            "persisted": self.persisted,
        }
        if self.root_fields is not None:
            document["root_fields"] = sorted(self.root_fields)
        if self.introspection == "allow":
            document["introspection"] = True
        return document
