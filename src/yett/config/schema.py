"""JSON Schema of the configuration, for editors."""

from __future__ import annotations

from typing import Any

from yett.config.described import Described
from yett.config.gateway import Gateway


def json_schema() -> dict[str, Any]:
    """A schema (2020-12) of the YAML file."""
    schema: dict[str, Any] = _without_null(
        Gateway.model_json_schema(by_alias=True, schema_generator=Described)
    )
    for model in ("Authorize", "Deny"):
        times = schema["$defs"][model]["properties"].get("times", {})
        lists = [one for one in times.get("anyOf", [times]) if "items" in one]
        if lists:
            schema["$defs"][model]["properties"]["times"] = {
                "anyOf": [*(one["items"] for one in lists), *lists],
                "description": times.get("description", ""),
            }
    for model, key in (("ListenerTls", "certificates"), ("Identity", "keys")):
        several = schema["$defs"][model]["properties"][key]
        schema["$defs"][model]["properties"][key] = {
            "anyOf": [several["items"], {"type": "array", "items": several["items"], "minItems": 1}],
            "description": several.get("description", ""),
        }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Yett configuration"
    schema["required"] = ["version", *schema.get("required", [])]
    return schema


def _without_null(part: Any) -> Any:
    """A key without a value does not load, so an editor refuses it as well."""
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    result = {
        key: _without_null(item) for key, item in part.items() if not (key == "default" and item is None)
    }
    choices = result.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        if len(left) == 1:
            del result["anyOf"]
            result = {**left[0], **result}
        else:
            result["anyOf"] = left
    return result
