"""One operation of an OpenAPI description (3.0 or 3.1), as JSON Schemas of its parameters and bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from yett.config.media_types import is_json, type_fault
from yett.config.validation.document import Document
from yett.config.validation.translate import Budget, Faulty, Schemas, resolved
from yett.config.words import Location, listed, nearest
from yett.errors import ConfigError

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PLACES = ("path", "query", "header", "cookie")
_IGNORED_HEADERS = {"accept", "content-type", "authorization"}
"""OpenAPI 3.1.1 section 4.8.12.2: parameters of these names are ignored."""
_STATUS = re.compile(r"[1-5]([0-9][0-9]|xx)|default", re.ASCII)
_STYLES = {"path": "simple", "header": "simple", "query": "form", "cookie": "form"}

Found = tuple[str, str, str, dict[str, Any], dict[str, Any]]


@dataclass
class Operation:
    """What an operation says of its requests and answers. Schemas are JSON Schema 2020-12."""

    method: str
    path: str
    at: Location
    parameters: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    body: str = "refused"
    responses: list[dict[str, Any]] = field(default_factory=list)
    errors: list[ConfigError] = field(default_factory=list)
    """What is wrong with what it says of requests."""
    response_errors: list[ConfigError] = field(default_factory=list)
    """The same for answers."""


class Description:
    """An OpenAPI description."""

    def __init__(self, document: Document, budget: Budget | None = None) -> None:
        self.document, self.value, self.budget = document, document.value, budget

    def fault(self) -> ConfigError | None:
        """Why it cannot be read at all."""
        version = self.value.get("openapi") if isinstance(self.value, dict) else None
        if not isinstance(version, str) or not version.startswith(("3.0.", "3.1.")):
            shown = f"`{version}` is another version" if version else "this is no OpenAPI description"
            return self.document.error(("openapi",), "openapi_invalid", f"{shown}; 3.0 and 3.1 are read here")
        if not isinstance(self.value.get("paths"), dict):
            return self.document.error(("paths",), "openapi_invalid", "there are no `paths`")
        dialect = self.value.get("jsonSchemaDialect", "")
        if (
            dialect
            and "2020-12" not in dialect
            and not str(dialect).startswith("https://spec.openapis.org/oas/3.1/")
        ):
            message = f"`{dialect}` is another dialect; write schemas for 2020-12"
            return self.document.error(("jsonSchemaDialect",), "schema_dialect", message)
        return None

    @cached_property
    def _named(self) -> dict[str, list[Found]]:
        """By `operationId`; an operation whose method and path is nobody's `operationId` by these as well."""
        found: dict[str, list[Found]] = {}
        placed: dict[str, list[Found]] = {}
        for one in self.operations():
            found.setdefault(one[0], []).append(one)
            placed[f"{one[1].upper()} {one[2]}"] = [one]
        return {**placed, **found}

    def operations(self) -> Iterator[Found]:
        """`operationId`, method, path, operation and path item of each."""
        for path, raw in self.value["paths"].items():
            item = self._item(raw, ("paths", path))
            for method, operation in item.items():
                if method in _METHODS and isinstance(operation, dict):
                    yield str(operation.get("operationId", "")), method, path, operation, item

    def _item(self, raw: Any, at: Location) -> dict[str, Any]:
        """A path item, with what its `$ref` leads to; nothing of one that leads nowhere here."""
        if not isinstance(raw, dict) or "$ref" not in raw:
            return raw if isinstance(raw, dict) else {}
        try:
            return {**self._resolved(raw, at)[0], **{key: raw[key] for key in raw if key != "$ref"}}
        except Faulty:
            return {}

    def operation(self, name: str, refuse_unknown: bool) -> Operation | str:
        """The operation of an `operationId`, or of a method and path (`GET /orders`); or why there is none."""
        found = self._named.get(name, [])
        if not found:
            known = [one[0] for one in self.operations() if one[0]]
            hint = nearest(name, known) or (
                f"; there are {listed(sorted(known))}"
                if known
                else "; none has an `operationId`: name method and path, such as `GET /orders`"
            )
            return f"there is no operation `{name}`{hint}"
        if len(found) > 1:
            return f"`{name}` is the `operationId` of {len(found)} operations; make each its own"
        return self.read(found[0], refuse_unknown)

    def read(self, found: Found, refuse_unknown: bool) -> Operation:
        """One of `operations`; what is wrong with it stands in its `errors`."""
        _, method, path, operation, item = found
        at: Location = ("paths", path, method)
        result = Operation(method.upper(), path, at)
        schemas = Schemas(self.value, "request", refuse_unknown, self.budget)
        answers = Schemas(self.value, "response", refuse_unknown, self.budget)
        parts: tuple[tuple[list[ConfigError], Callable[[], None]], ...] = (
            (result.errors, lambda: self._parameters(result, operation, item, schemas)),
            (result.errors, lambda: self._body(result, operation, schemas)),
            (result.response_errors, lambda: self._responses(result, operation, answers)),
        )
        for errors, part in parts:
            try:
                part()
            except Faulty as fault:
                errors.append(self.document.error(fault.at, "openapi_invalid", fault.message))
        return result

    # parameters

    def _parameters(
        self, result: Operation, operation: dict[str, Any], item: dict[str, Any], schemas: Schemas
    ) -> None:
        found: dict[tuple[str, str], tuple[dict[str, Any], Location]] = {}
        for holder, at in ((item, result.at[:2]), (operation, result.at)):
            described = holder.get("parameters") or ()
            if not isinstance(described, list | tuple):
                raise Faulty((*at, "parameters"), "`parameters` is a list")
            for index, raw in enumerate(described):
                parameter, where = self._resolved(raw, (*at, "parameters", index))
                place, name = parameter.get("in"), parameter.get("name")
                if place not in _PLACES or not isinstance(name, str) or not name:
                    raise Faulty(
                        where, "a parameter has a `name`, and `in` one of path, query, header and cookie"
                    )
                found[(place, name)] = (parameter, where)
        for (place, name), (parameter, where) in found.items():
            if place == "header" and name.lower() in _IGNORED_HEADERS:
                continue
            result.parameters.append(self._parameter(place, name, parameter, where, schemas))

    def _parameter(
        self, place: str, name: str, parameter: dict[str, Any], at: Location, schemas: Schemas
    ) -> dict[str, Any]:
        if "content" in parameter or "schema" not in parameter:
            raise Faulty(at, f"the parameter `{name}` needs a `schema`; `content` is not read here")
        schema, where = self._resolved(parameter["schema"], (*at, "schema"))
        style = parameter.get("style", _STYLES[place])
        explode = parameter.get("explode", style == "form")
        types = schemas.types(schema, where)
        if style != _STYLES[place]:
            raise Faulty((*at, "style"), f"the style `{style}` is not read here; write `{_STYLES[place]}`")
        if "object" in types:
            raise Faulty(
                where,
                f"the parameter `{name}` is an object, which is not read here; make it several parameters",
            )
        compiled: dict[str, Any] = {
            "in": place,
            "name": name.lower() if place == "header" else name,
            "required": bool(parameter.get("required", False)) or place == "path",
            "schema": schemas.bundled(parameter["schema"], (*at, "schema")),
        }
        if "array" in types:
            items = schema.get("items", {})
            inner, inner_at = self._resolved(items, (*where, "items"))
            types = schemas.types(inner, inner_at)
            if {"object", "array"} & set(types):
                raise Faulty(
                    inner_at,
                    f"the parameter `{name}` has items that are no plain values, which is not read here",
                )
            compiled["list"] = "repeated" if explode and place in {"query", "cookie"} else "commas"
        return {**compiled, "types": types}

    # bodies

    def _body(self, result: Operation, operation: dict[str, Any], schemas: Schemas) -> None:
        if "requestBody" not in operation:
            return
        body, at = self._resolved(operation["requestBody"], (*result.at, "requestBody"))
        result.body = "required" if body.get("required") else "optional"
        content = body.get("content")
        if not isinstance(content, dict) or not content:
            raise Faulty(at, "a request body needs `content`")
        for name, media in content.items():
            where = (*at, "content", name)
            result.bodies.append(self._media(name, media, where, schemas))

    def _media(self, name: str, media: Any, at: Location, schemas: Schemas) -> dict[str, Any]:
        kind = _type(name, media, at)
        compiled: dict[str, Any] = {"content_type": kind}
        schema = media.get("schema")
        if schema is None:
            return compiled
        if is_json(kind):
            compiled["schema"] = schemas.bundled(schema, (*at, "schema"))
        elif kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            compiled |= self._form(media, *self._resolved(schema, (*at, "schema")), schemas, kind)
        return compiled

    def _form(
        self, media: dict[str, Any], schema: dict[str, Any], at: Location, schemas: Schemas, kind: str
    ) -> dict[str, Any]:
        """The object that the fields of a form make, and how each is read: as text, as a list, as JSON or as a file."""
        fields: dict[str, dict[str, Any]] = {}
        compiled = schemas.bundled(schema, at)
        multipart = kind == "multipart/form-data"
        encoding = media.get("encoding") or {}
        for name, (whole, there) in schemas.properties(schema, at).items():
            found: dict[str, Any] = {}
            part, where = whole, there
            if "array" in schemas.types(whole, there):
                found["list"] = True
                part, where = self._resolved(whole.get("items", {}), (*there, "items"))
            types = schemas.types(part, where)
            if multipart and (part.get("format") == "binary" or "contentMediaType" in part):
                if name not in compiled.get("properties", {}):
                    raise Faulty(
                        where,
                        f"the file `{name}` has to stand among the `properties` of the body's own schema",
                    )
                compiled["properties"][name] = True
                found["file"] = True
            elif {"object", "array"} & set(types):
                if not multipart:
                    raise Faulty(
                        where,
                        f"the field `{name}` is no plain value, which is not read from such forms; send JSON",
                    )
                found["json"] = True
            accepted = (encoding.get(name) or {}).get("contentType", "")
            if accepted and multipart:
                found["content_types"] = [
                    one.partition(";")[0].strip().lower() for one in accepted.split(",")
                ]
            plain = [kind for kind in types if kind not in {"object", "array"}]
            fields[name] = {**found, "types": plain or ["string"]}
        return {"schema": compiled, "fields": fields}

    # answers

    def _responses(self, result: Operation, operation: dict[str, Any], schemas: Schemas) -> None:
        responses = operation.get("responses") or {}
        if not isinstance(responses, dict):
            raise Faulty((*result.at, "responses"), "`responses` is a mapping of statuses")
        for status, raw in responses.items():
            if str(status).startswith("x-"):
                continue
            response, at = self._resolved(raw, (*result.at, "responses", status))
            code = str(status).lower()
            if not _STATUS.fullmatch(code):
                raise Faulty(at, f"`{status}` is no status; write one such as `200`, `2XX` or `default`")
            content = response.get("content") or {}
            if not isinstance(content, dict):
                raise Faulty((*at, "content"), "`content` is a mapping of media types")
            bodies = [
                self._answer(name, media, (*at, "content", name), schemas) for name, media in content.items()
            ]
            result.responses.append({"status": code, "bodies": bodies})

    def _answer(self, name: str, media: Any, at: Location, schemas: Schemas) -> dict[str, Any]:
        if name.partition(";")[0].strip() == "*/*":
            raise Faulty(at, "`*/*` is any type at all; write those that the service answers with")
        kind = _type(name, media, at)
        compiled: dict[str, Any] = {"content_type": kind}
        if "schema" in media and is_json(kind):
            compiled["schema"] = schemas.bundled(media["schema"], (*at, "schema"))
        return compiled

    def _resolved(self, value: Any, at: Location) -> tuple[dict[str, Any], Location]:
        return resolved(self.value, value, at)


def _type(name: str, media: Any, at: Location) -> str:
    """The media type that something is described for."""
    kind = name.partition(";")[0].strip().lower()
    fault = type_fault(kind)
    if fault:
        raise Faulty(at, fault)
    if not isinstance(media, dict):
        raise Faulty(at, "a media type is a mapping")
    return kind
