"""What the docstrings below the fields of models say. Read when somebody asks: reading them all takes longer than all else that
an import of the models does, and only the schema and some messages want them."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


@functools.cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """By name of the field; those of base classes as well. Empty where there is no source, as in a frozen program."""
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if issubclass(part, BaseModel) and part is not BaseModel and "__annotations__" in vars(part):
            found.update(_own(part))
    return {name: text for name, text in found.items() if name in model.model_fields}


def _own(model: type[BaseModel]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = next((part.body for part in ast.walk(tree) if isinstance(part, ast.ClassDef)), [])
    found: dict[str, str] = {}
    for field, after in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(after.value.value)
    return found


class Described(GenerateJsonSchema):
    """A JSON Schema with descriptions."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """That of one model."""
        said = super().model_schema(schema)
        model: Any = schema["cls"]
        for name, text in descriptions(model).items():
            part = said.get("properties", {}).get(model.model_fields[name].alias or name)
            if part is not None:
                part.setdefault("description", text)
        return said
