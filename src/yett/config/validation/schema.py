"""What is wrong with a JSON Schema, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from yett.config.base import Location
from yett.config.validation.document import Document, steps
from yett.config.validation.openapi import Operation
from yett.errors import ConfigError

_CLOSING = ("additionalProperties", "unevaluatedProperties")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@lru_cache(maxsize=1024)
def _schema_fault(schema: str, formats: bool) -> tuple[str, str] | None:
    from yett import _core

    return _core.check_schema(schema.encode(), formats)


def closes(schema: Any) -> bool:
    """Whether there is a property that a schema does not let pass."""
    text = json.dumps(schema)
    return any(f'"{key}"' in text for key in _CLOSING)


def compiled_faults(
    document: Document, operation: Operation, parts: list[dict[str, Any]], formats: bool
) -> list[ConfigError]:
    """Schemas of an operation that the data plane does not take."""
    for part in parts:
        fault = (
            _schema_fault(json.dumps(part["schema"], sort_keys=True), formats) if "schema" in part else None
        )
        if fault is not None:
            pointer, text = fault
            message = f"the schema of a part of this operation, `{pointer}`: {text}"
            return [document.error(operation.at, "schema_invalid", message)]
    return []


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
