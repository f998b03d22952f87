"""JSON Schema of the configuration, for editors."""

from __future__ import annotations

from typing import Any

from yett.config.gateway import Gateway


def json_schema() -> dict[str, Any]:
    """A schema (2020-12) of the YAML file."""
    schema = Gateway.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Yett configuration"
    schema["required"] = ["version", *schema.get("required", [])]
    return schema
