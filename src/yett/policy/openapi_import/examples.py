"""A request of an operation, from the examples in its description."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from yett.config.media_types import is_json
from yett.config.validation.openapi import Found, Operation
from yett.config.validation.translate import Faulty, resolved
from yett.config.words import Location

FORM = "application/x-www-form-urlencoded"
_FORMATS = {
    "uuid": "6f1c2b9e-8d3a-4c57-9b1f-2e4d5a6b7c8d",
    "date": "2026-11-28",
    "date-time": "2026-11-28T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
}
_NONE = object()
MAX_ITEMS = 100
MAX_DEPTH = 16
MAX_LOOKED = 10_000
"""Schemas that are looked at for one request: references may lead in circles."""


class Unknown(Exception):
    """The description has no example of something that is needed; `at` says of what."""

    def __init__(self, at: Location, what: str) -> None:
        self.at = at
        super().__init__(what)


@dataclass
class Example:
    """A request: path with variables filled in, and query; fields; the body as a policy test has it."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = _NONE

    @property
    def has_body(self) -> bool:
        """Whether there is a body."""
        return self.body is not _NONE


class Examples:
    """Finds examples in one description."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self._looked = 0

    def request(self, found: Found, operation: Operation) -> Example:
        """A request that the operation should take.

        Raises:
            Unknown: there is no example, and none can be thought up.
        """
        self._looked = 0
        described = self._parameters(found)
        result = Example(operation.path)
        query: list[tuple[str, str]] = []
        cookies: list[str] = []
        for one in operation.parameters:
            place, name = str(one["in"]), str(one["name"])
            parameter, at = described[place, name.lower() if place == "header" else name]
            if not one["required"] and "example" not in parameter and "examples" not in parameter:
                continue
            value = self.value(parameter, parameter.get("schema"), at, f"the parameter `{name}`")
            texts = [_text(item) for item in value] if isinstance(value, list) else [_text(value)]
            if place == "query" and one.get("list") == "repeated":
                query += [(name, text) for text in texts]
                continue
            text = ",".join(texts)
            if place == "path":
                result.path = result.path.replace(f"{{{name}}}", quote(text, safe="-._~,"))
            elif place == "query":
                query.append((name, text))
            elif place == "header":
                result.headers[str(parameter["name"])] = text
            else:
                cookies.append(f"{name}={text}")
        if query:
            result.path += "?" + urlencode(query, quote_via=quote)
        if cookies:
            result.headers["Cookie"] = "; ".join(cookies)
        if operation.body == "required" or (operation.body == "optional" and self._shown(found)):
            self._body(found, operation, result)
        return result

    def _parameters(self, found: Found) -> dict[tuple[str, str], tuple[dict[str, Any], Location]]:
        _, method, path, operation, item = found
        described = {}
        for holder, at in ((item, ("paths", path)), (operation, ("paths", path, method))):
            for index, raw in enumerate(holder.get("parameters") or ()):
                parameter, where = resolved(self.root, raw, (*at, "parameters", index))
                place, name = str(parameter["in"]), str(parameter["name"])
                described[place, name.lower() if place == "header" else name] = (parameter, where)
        return described

    # bodies

    def _content(self, found: Found) -> tuple[dict[str, Any], Location]:
        at: Location = ("paths", found[2], found[1], "requestBody")
        body, at = resolved(self.root, found[3]["requestBody"], at)
        return body["content"], (*at, "content")

    def _shown(self, found: Found) -> bool:
        content, _ = self._content(found)
        return any(
            isinstance(media, dict) and {"example", "examples"} & set(media) for media in content.values()
        )

    def _body(self, found: Found, operation: Operation, result: Example) -> None:
        content, at = self._content(found)
        missing: Unknown | None = None
        for name, compiled in zip(content, operation.bodies, strict=True):
            kind, media = str(compiled["content_type"]), content[name]
            try:
                value = self._media(media, (*at, name))
                if is_json(kind):
                    result.body = _safe(value)
                elif kind == FORM and isinstance(value, dict):
                    result.body = _form(value)
                elif (
                    isinstance(value, str)
                    and "*" not in kind
                    and kind.split("/", maxsplit=1)[0] != "multipart"
                ):
                    result.body = value
                else:
                    raise Unknown(
                        (*at, name), f"the body has no example of `{kind}` that can stand in a test"
                    )
            except Unknown as unknown:
                missing = missing or unknown
                continue
            if kind != "application/json":
                result.headers["Content-Type"] = kind
            return
        raise missing or Unknown(at, "the body has no example")

    def _media(self, media: dict[str, Any], at: Location) -> Any:
        said = self._said(media, at)
        if said is not _NONE:
            return said
        schema = media.get("schema")
        value = self._of_schema(schema, (*at, "schema"), 0, thought_up=False)
        if value is _NONE:
            raise Unknown(at, "the body has no example")
        return value

    # values

    def value(self, holder: dict[str, Any], schema: Any, at: Location, what: str) -> Any:
        """The example of a parameter, or a value that its schema takes.

        Raises:
            Unknown: there is none.
        """
        said = self._said(holder, at)
        if said is _NONE:
            said = self._of_schema(schema, (*at, "schema"), 0, thought_up=True)
        if said is _NONE:
            raise Unknown(at, f"{what} has no example")
        return said

    def _said(self, holder: dict[str, Any], at: Location) -> Any:
        if "example" in holder:
            return holder["example"]
        named = holder.get("examples")
        for name, raw in named.items() if isinstance(named, dict) else ():
            try:
                example, _ = resolved(self.root, raw, (*at, "examples", name))
            except Faulty:
                continue
            if "value" in example:
                return example["value"]
        return _NONE

    def _of_schema(self, raw: Any, at: Location, depth: int, *, thought_up: bool) -> Any:
        """What a schema says of its values: an example, or a value that is thought up from its bounds."""
        self._looked += 1
        if depth > MAX_DEPTH or self._looked > MAX_LOOKED or not isinstance(raw, dict):
            return _NONE
        try:
            schema, at = resolved(self.root, raw, at)
        except Faulty:
            return _NONE
        if "example" in schema:
            return schema["example"]
        if isinstance(schema.get("examples"), list) and schema["examples"]:
            return schema["examples"][0]
        for key in ("const", "default"):
            if key in schema and (thought_up or key == "const"):
                return schema[key]
        if thought_up and isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        if "properties" in schema and not thought_up:
            return self._object(schema, at, depth)
        if schema.get("type") == "array" or "items" in schema:
            item = self._of_schema(schema.get("items"), (*at, "items"), depth + 1, thought_up=thought_up)
            least = schema.get("minItems", 1)
            few = isinstance(least, int) and least <= MAX_ITEMS
            return [item] * max(1, least) if few and item is not _NONE else _NONE
        for key in ("allOf", "oneOf", "anyOf"):
            parts = schema.get(key)
            if isinstance(parts, list) and len(parts) > 0 and (key != "allOf" or len(parts) == 1):
                return self._of_schema(parts[0], (*at, key, 0), depth + 1, thought_up=thought_up)
        return _thought_up(schema) if thought_up else _NONE

    def _object(self, schema: dict[str, Any], at: Location, depth: int) -> Any:
        """An object of the examples of its properties; nothing where a required one has none."""
        value = {}
        required = schema.get("required") or ()
        for name, raw in schema["properties"].items():
            try:
                part = {**resolved(self.root, raw, (*at, "properties", name))[0], **raw}
            except (Faulty, TypeError):
                return _NONE
            if part.get("readOnly"):
                continue
            inner = self._of_schema(raw, (*at, "properties", name), depth + 1, thought_up=False)
            if inner is not _NONE:
                value[name] = inner
            elif name in required:
                return _NONE
        return value or _NONE


def _thought_up(schema: dict[str, Any]) -> Any:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next((one for one in kinds if one != "null"), "null")
    if kind == "boolean":
        return True
    if kind in {"integer", "number"}:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        low = 0 if isinstance(low, bool) or not isinstance(low, int | float) else low
        value = max(1, int(low) + (1 if int(low) < low or "exclusiveMinimum" in schema else 0))
        step = schema.get("multipleOf")
        if isinstance(step, int) and step > 0:
            value = -(-value // step) * step
        return value
    if kind != "string" or "pattern" in schema:
        return _NONE
    text = _FORMATS.get(str(schema.get("format", "")))
    if text is not None:
        return text
    least, most = schema.get("minLength", 1), schema.get("maxLength", 64)
    if not isinstance(least, int) or not isinstance(most, int) or least > 1000:
        return _NONE
    return "example"[: max(most, 1)].ljust(max(least, 1), "x")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _safe(value: Any) -> Any:
    """A body as it may stand in a test: what YAML could read otherwise, as JSON text."""
    if isinstance(value, str) or _uneasy(value):
        return json.dumps(value)
    return value


def _uneasy(value: Any) -> bool:
    if isinstance(value, dict):
        return any(not isinstance(name, str) or _uneasy(part) for name, part in value.items())
    if isinstance(value, list):
        return any(map(_uneasy, value))
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) > 1 << 53)


def _form(value: dict[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, part in value.items():
        pairs += [(name, _text(item)) for item in (part if isinstance(part, list) else [part])]
    return urlencode(pairs)
