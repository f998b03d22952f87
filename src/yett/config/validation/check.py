"""What `request_validation` of groups and routes holds, checked and ready to compile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from yett.config.base import Location, listed
from yett.config.filters.request_validation import RequestValidation, is_json
from yett.config.gateway import Gateway
from yett.config.places import Places
from yett.config.resolve import Material
from yett.config.validation.document import Document, read, steps
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.merge import Policy

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@lru_cache(maxsize=1024)
def _schema_fault(schema: str, formats: bool) -> tuple[str, str] | None:
    from yett import _core

    return _core.check_schema(schema.encode(), formats)


class Validations:
    """The `request_validation` of every group and route; each schema is read once."""

    def __init__(self, gateway: Gateway, places: Places, material: Material) -> None:
        self.places, self.material = places, material
        self.errors: list[ConfigError] = []
        self._documents: dict[Location, dict[str, Any]] = {}
        for kind, items in (("groups", gateway.groups), ("routes", gateway.routes)):
            for name, item in items.items():
                if item.request_validation is not None and item.request_validation.none is None:
                    self._request((kind, name, "request_validation"), item.request_validation)

    def _fault(self, location: Location, code: str, message: str, key: bool = False) -> None:
        self.errors.append(self.places.error(location, code, message, key))

    def _request(self, at: Location, found: RequestValidation) -> None:
        schema = None
        if found.body == "refused":
            for key in ("content_types", "json_schema", "json_limits", "formats"):
                if key in found.model_fields_set:
                    message = f"there is never a body, so `{key}` has no effect; remove it"
                    self._fault((*at, key), "key_unused", message, True)
        elif found.json_schema is not None:
            others = [name for name in found.content_types if not is_json(name)]
            if others:
                self._fault(
                    (*at, "content_types"),
                    "schema_bypassed",
                    f"a body of {listed(others)} would pass without a look at the schema; take it out, or make a route of its own",
                )
            schema = self._schema((*at, "json_schema"), str(found.json_schema), found.formats)
        elif "formats" in found.model_fields_set:
            self._fault(
                (*at, "formats"), "key_unused", "without a schema `formats` has no effect; remove it", True
            )
        self._documents[at] = found.compiled(schema)

    def _schema(self, at: Location, file: str, formats: bool) -> Any:
        document = self._document(at, file, "schema_invalid")
        if document is None:
            return None
        self.errors += schema_errors(document, formats)
        return document.value

    def _document(self, at: Location, file: str, code: str) -> Document | None:
        text = self.material.texts.get(at)
        if text is None:
            return None  # what is wrong with the file has been said
        document = read(text, self.places.base(at) / file, code)
        if isinstance(document, ConfigError):
            self.errors.append(document)
            return None
        return document

    @property
    def readable(self) -> dict[Location, Any]:
        """The schema of bodies that rules may read, by the `request_validation` that asks for it."""
        found: dict[Location, Any] = {}
        for at, document in self._documents.items():
            schemas = [body.get("schema") for body in document["bodies"]]
            if schemas and schemas[0] is not None and all(schema == schemas[0] for schema in schemas):
                found[at] = schemas[0]
        return found

    def compiled(self, policy: Policy) -> dict[str, Any]:
        """Its part of a route's document."""
        found = policy.request_validation
        return {"request_validation": self._documents[found[0]]} if found else {}


def schema_errors(document: Document, formats: bool) -> list[ConfigError]:
    """What is wrong with a JSON Schema."""
    value = document.value
    if not isinstance(value, dict | bool):
        return [document.error((), "schema_invalid", "a schema is an object, such as `{type: object}`")]
    dialect = value.get("$schema", _DIALECT) if isinstance(value, dict) else _DIALECT
    if not isinstance(dialect, str) or dialect.rstrip("#") != _DIALECT:
        message = (
            f"`{dialect}` is another dialect; write the schema for `{_DIALECT}`, and name that or nothing"
        )
        return [document.error(("$schema",), "schema_dialect", message)]
    errors = [
        document.error((*at, "$ref"), "schema_reference", message)
        for at, message in _references(value, value, ())
    ]
    if errors:
        return errors
    fault = _schema_fault(json.dumps(value, sort_keys=True), formats)
    if fault is None:
        return []
    pointer, message = fault
    return [document.error(steps(pointer, value), "schema_invalid", message)]


_LITERAL = frozenset({"const", "enum", "default", "examples"})


def _references(root: Any, part: Any, at: Location) -> Iterator[tuple[Location, str]]:
    """References that lead nowhere, or out of the document, as far as that shows without its `$id`s."""
    if isinstance(part, list):
        for index, item in enumerate(part):
            yield from _references(root, item, (*at, index))
    if not isinstance(part, dict):
        return
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/") and not ("$id" in part and part is not root):
        value: Any = root
        for step in steps(unquote(reference[1:]), root):
            value = (
                value.get(step, _NONE)
                if isinstance(value, dict)
                else value[step]
                if _has(value, step)
                else _NONE
            )
        if value is _NONE:
            yield at, f"`{reference}` leads nowhere in this file"
    elif (
        isinstance(reference, str)
        and not reference.startswith("#")
        and not _has_ids(root)
        and _DIALECT not in reference
    ):
        yield (
            at,
            f"`{reference}` leads out of this file, and nothing is fetched; write what it means into `$defs`",
        )
    for key, item in part.items():
        if key not in _LITERAL and not (isinstance(item, dict) and "$id" in item):
            yield from _references(root, item, (*at, key))


_NONE = object()


def _has(value: Any, step: str | int) -> bool:
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _has_ids(part: Any) -> bool:
    if isinstance(part, list):
        return any(_has_ids(item) for item in part)
    return isinstance(part, dict) and (
        isinstance(part.get("$id"), str) or any(_has_ids(item) for item in part.values())
    )
