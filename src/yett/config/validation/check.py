"""What `request_validation` of groups and routes holds, checked and ready to compile."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from yett.config.base import Location, listed
from yett.config.filters.request_validation import RequestValidation, is_json
from yett.config.resolve import Material
from yett.config.validation.document import Document, read, steps
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@lru_cache(maxsize=1024)
def _schema_fault(schema: str, formats: bool) -> tuple[str, str] | None:
    from yett import _core

    return _core.check_schema(schema.encode(), formats)


class Validations:
    """The `request_validation` of every group and route; each schema is read once."""

    def __init__(self, merger: Merger, material: Material) -> None:
        self.merger, self.material = merger, material
        self.errors: list[ConfigError] = []
        self._schemas: dict[Location, Any] = {}
        for kind, items in (("groups", merger.gateway.groups), ("routes", merger.gateway.routes)):
            for name, item in items.items():
                if item.request_validation is not None:
                    self._shape((kind, name, "request_validation"), item.request_validation)

    def _shape(self, at: Location, found: RequestValidation) -> None:
        fault = self.merger.fault
        if found.body == "refused":
            for key in ("content_types", "json_schema", "json_limits", "formats"):
                if key in found.model_fields_set:
                    fault(
                        (*at, key),
                        "key_unused",
                        f"there is never a body, so `{key}` has no effect; remove it",
                        True,
                    )
            return
        others = [name for name in found.content_types if not is_json(name)]
        if found.json_schema is None:
            if "formats" in found.model_fields_set:
                fault(
                    (*at, "formats"),
                    "key_unused",
                    "without a schema `formats` has no effect; remove it",
                    True,
                )
        elif others:
            fault(
                (*at, "content_types"),
                "schema_bypassed",
                f"a body of {listed(others)} would pass without a look at the schema; take it out, or make a route of its own",
            )
        else:
            self._schema((*at, "json_schema"), found)

    def _schema(self, at: Location, found: RequestValidation) -> None:
        text = self.material.texts.get(at)
        if text is None:
            return  # what is wrong with the file has been said
        path = self.merger.places.base(at) / str(found.json_schema)
        document = read(text, path, "schema_invalid")
        if isinstance(document, ConfigError):
            self.errors.append(document)
            return
        self.errors += schema_errors(document, found.formats)
        self._schemas[at] = document.value

    def compiled(self, policy: Policy) -> dict[str, Any]:
        """Its part of a route's document."""
        if policy.request_validation is None:
            return {}
        where, found = policy.request_validation
        return {"request_validation": found.compiled(self._schemas.get((*where, "json_schema")))}


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
    fault = _schema_fault(json.dumps(value, sort_keys=True), formats)
    if fault is None:
        return []
    pointer, message = fault
    return [document.error(steps(pointer, value), "schema_invalid", message)]
