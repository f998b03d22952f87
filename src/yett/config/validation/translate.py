"""Schemas of OpenAPI (3.0 and 3.1) as JSON Schema 2020-12, each with all that it refers to."""

from __future__ import annotations

from typing import Any, Literal

from yett.config.validation.document import steps
from yett.config.words import Location

Direction = Literal["request", "response"]
_DROPPED = frozenset(
    {"example", "examples", "xml", "externalDocs", "deprecated", "discriminator", "title", "description", "default",
     "readOnly", "writeOnly", "nullable", "$comment", "$schema"}
)  # fmt: skip
_ONE = frozenset(
    {"items", "additionalProperties", "additionalItems", "not", "contains", "propertyNames", "if", "then", "else",
     "unevaluatedItems", "unevaluatedProperties", "contentSchema"}
)  # fmt: skip
_MANY = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_INNER = frozenset({"not", "if", "then", "else", "contains", "propertyNames"})
"""What says something of the value around it: unknown properties are refused once, around it."""
_ELSEWHERE = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")
_BOUNDS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_ORDER = ("integer", "number", "boolean", "null", "string")
MAX_DEPTH = 100


class Faulty(Exception):
    """Something that an OpenAPI description may not say here."""

    def __init__(self, at: Location, message: str) -> None:
        self.at, self.message = at, message
        super().__init__(message)


class Budget:
    """How many parts of schemas may be written out: what is referred to counts for each operation that refers to it."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def take(self, at: Location) -> None:
        """Takes one."""
        self.left -= 1
        if self.left < 0:
            raise Faulty(
                at,
                f"the schemas of all operations together have more than {self.most:,} parts; split the description",
            )


def target(root: Any, reference: Any, at: Location) -> tuple[Any, Location]:
    """What a reference inside of the document leads to, and where that is."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        message = f"`{reference}` leads out of this document; write what it means into it"
        raise Faulty((*at, "$ref"), message)
    place = steps(reference[1:], root)
    value = root
    for step in place:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise Faulty((*at, "$ref"), f"`{reference}` leads nowhere in this document") from None
    return value, place


def resolved(root: Any, value: Any, at: Location) -> tuple[dict[str, Any], Location]:
    """What a part is, after references inside of the document; and where."""
    for _ in range(64):
        if value is True:
            return {}, at
        if not isinstance(value, dict):
            raise Faulty(at, "a mapping is needed here")
        if "$ref" not in value:
            return value, at
        value, at = target(root, value["$ref"], at)
    raise Faulty(at, "this reference leads in a circle")


class Schemas:
    """Translates schemas of one description, for requests or for answers."""

    def __init__(
        self, root: dict[str, Any], direction: Direction, refuse_unknown: bool, budget: Budget | None = None
    ) -> None:
        self.root, self.direction, self.refuse_unknown = root, direction, refuse_unknown
        self.budget = budget
        self.old = str(root.get("openapi", "")).startswith("3.0")
        self._found: dict[str, tuple[str, Any]] = {}
        """By reference: its name among `$defs`, and its schema."""

    def bundled(self, schema: Any, at: Location) -> Any:
        """A schema that stands alone."""
        self._found = {}
        result = self._schema(schema, at, True, 0)
        if not self._found:
            return result
        inner = result if isinstance(result, dict) else {"allOf": [result]}
        return {**inner, "$defs": dict(self._found.values())}

    def _schema(self, schema: Any, at: Location, whole: bool, depth: int) -> Any:
        """`whole` says that this is all that is said of a value."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise Faulty(at, "a schema is a mapping, such as `{type: string}`")
        if depth > MAX_DEPTH:
            raise Faulty(at, "schemas are nested too deeply here")
        if self.budget is not None:
            self.budget.take(at)
        for key in _ELSEWHERE:
            if key in schema:
                raise Faulty(
                    (*at, key),
                    f'`{key}` is not read in a description; write `$ref: "#/components/schemas/…"`',
                )
        result: dict[str, Any] = {}
        if "$ref" in schema:
            result["$ref"] = self._reference(schema["$ref"], at, depth)
        if "$ref" not in schema or not self.old:
            for key, value in schema.items():
                if key != "$ref" and key not in _DROPPED:
                    result[key] = self._part(key, value, (*at, key), depth)
            self._direct(schema, result, at)
            self._formats(schema, result)
            if self.old:
                result = self._of_30(schema, result)
        if whole and self.refuse_unknown and self._names_properties(schema, at, set()):
            result.setdefault("unevaluatedProperties", False)
        return result

    def _part(self, key: str, value: Any, at: Location, depth: int) -> Any:
        if key in _ONE:
            return self._schema(value, at, key not in _INNER, depth + 1)
        if key in _MANY:
            if not isinstance(value, list):
                raise Faulty(at, f"`{key}` is a list of schemas")
            whole = key == "prefixItems"
            return [self._schema(item, (*at, index), whole, depth + 1) for index, item in enumerate(value)]
        if key in _NAMED:
            if not isinstance(value, dict):
                raise Faulty(at, f"`{key}` is a mapping of schemas")
            whole = key in {"properties", "patternProperties"}
            return {name: self._schema(item, (*at, name), whole, depth + 1) for name, item in value.items()}
        return value

    def _reference(self, reference: Any, at: Location, depth: int) -> str:
        value, place = target(self.root, reference, at)
        if reference not in self._found:
            if isinstance(value, dict) and "$ref" in value:
                resolved(self.root, value, place)
            name = ".".join(str(step) for step in place[2:] or place)
            while any(known == name for known, _ in self._found.values()):
                name += "_"
            self._found[reference] = (name, None)
            self._found[reference] = (name, self._schema(value, place, False, depth + 1))
        name = self._found[reference][0]
        return "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace("%", "%25")

    def _direct(self, schema: dict[str, Any], result: dict[str, Any], at: Location) -> None:
        """What is for the other direction only is neither asked for nor taken."""
        word = "readOnly" if self.direction == "request" else "writeOnly"
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return
        other = set()
        for name, part in properties.items():
            found = part
            if isinstance(part, dict) and "$ref" in part:
                found = {**resolved(self.root, part, (*at, "properties", name))[0], **part}
            if isinstance(found, dict) and found.get(word) is True:
                other.add(name)
        for name in other:
            result["properties"][name] = False
        if other and isinstance(schema.get("required"), list):
            result["required"] = [name for name in schema["required"] if name not in other]

    def _formats(self, schema: dict[str, Any], result: dict[str, Any]) -> None:
        bounds = _BOUNDS.get(str(schema.get("format", "")))
        if bounds is None:
            return
        result.pop("format", None)
        if schema.get("type") in ("integer", "number", None):
            result["allOf"] = [*result.get("allOf", ()), {"minimum": bounds[0], "maximum": bounds[1]}]

    def _of_30(self, schema: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """What 3.0 writes otherwise than JSON Schema does."""
        for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(schema.get(key), bool):
                del result[key]
                if schema[key] and bound in result:
                    result[key] = result.pop(bound)
        if schema.get("nullable") is not True:
            return result
        kind = schema.get("type")
        if isinstance(kind, str):
            result["type"] = [kind, "null"]
            if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
                result["enum"] = [*schema["enum"], None]
            if not {"allOf", "anyOf", "oneOf", "not"} & set(schema):
                return result
            result["type"] = kind
        return {"anyOf": [result, {"type": "null"}]}

    def _names_properties(self, schema: Any, at: Location, seen: set[int]) -> bool:
        """Whether a schema says which properties there are."""
        if not isinstance(schema, dict) or id(schema) in seen:
            return False
        seen.add(id(schema))
        if isinstance(schema.get("properties"), dict) or "patternProperties" in schema:
            return True
        if "$ref" in schema:
            value, place = target(self.root, schema["$ref"], at)
            return self._names_properties(value, place, seen)
        parts = [item for key in ("allOf", "anyOf", "oneOf") for item in schema.get(key) or ()]
        return any(self._names_properties(item, at, seen) for item in parts)

    # what parameters and fields of forms need to know

    def types(self, schema: Any, at: Location) -> list[str]:
        """The types that a value may have, in the order in which its text is read; `string` where nothing is said."""
        found = self._types(schema, at, set())
        known = [kind for kind in (*_ORDER, "array", "object") if kind in (found or {"string"})]
        return [kind for kind in known if kind != "integer" or "number" not in known] or ["string"]

    def _types(self, schema: Any, at: Location, seen: set[int]) -> set[str] | None:
        """Nothing where nothing is said."""
        if not isinstance(schema, dict) or id(schema) in seen:
            return None
        seen.add(id(schema))
        if "$ref" in schema:
            value, place = target(self.root, schema["$ref"], at)
            return self._types(value, place, seen)
        kinds = schema.get("type")
        if kinds is not None:
            named = {kinds} if isinstance(kinds, str) else {kind for kind in kinds if isinstance(kind, str)}
            return named | ({"null"} if self.old and schema.get("nullable") is True else set())
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            return {_type_of(value) for value in values}
        for key in ("allOf", "anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                all_types = [
                    self._types(item, (*at, key, index), seen) for index, item in enumerate(schema[key])
                ]
                said = [kinds for kinds in all_types if kinds is not None]
                if said:
                    return set.intersection(*said) if key == "allOf" else set.union(*said)
        return {"object"} if "properties" in schema else {"array"} if "items" in schema else None

    def properties(
        self, schema: Any, at: Location, seen: set[int] | None = None
    ) -> dict[str, tuple[dict[str, Any], Location]]:
        """The properties that a schema names, resolved."""
        found: dict[str, tuple[dict[str, Any], Location]] = {}
        seen = seen if seen is not None else set()
        schema, at = resolved(self.root, schema, at)
        if id(schema) in seen:
            return found
        seen.add(id(schema))
        for key in ("allOf", "anyOf", "oneOf"):
            for index, item in enumerate(schema.get(key) or ()):
                found.update(self.properties(item, (*at, key, index), seen))
        for name, part in (schema.get("properties") or {}).items():
            found[name] = resolved(self.root, part, (*at, "properties", name))
        return found


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {
        str: "string",
        int: "integer",
        float: "number",
        type(None): "null",
        list: "array",
        dict: "object",
    }
    return kinds.get(type(value), "string")
