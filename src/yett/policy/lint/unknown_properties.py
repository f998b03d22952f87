"""A schema that lets through what it does not name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yett.policy.linter.context import WRITES, Context
from yett.policy.linter.rule import Hit, Rule, Severity

_CLOSED = ("additionalProperties", "unevaluatedProperties")


def check(context: Context) -> Iterator[Hit]:
    """Routes that write, with a schema that names properties and nowhere says that there are no others."""
    for policy in context.policies:
        if policy.request_validation is None or not WRITES & set(policy.methods):
            continue
        at, said = policy.request_validation
        bodies = context.documents[policy.name]["request_validation"]["bodies"]
        if any(_open(body["schema"]) for body in bodies if "schema" in body):
            how = (
                "`unknown_properties: refuse`"
                if said.openapi is not None
                else "`additionalProperties: false` into the schema"
            )
            message = (
                "properties that the schema does not name reach the service, which may take `role` or `price` from one; "
                f"write {how}"
            )
            yield Hit(at, message)


def _open(schema: Any) -> bool:
    parts = list(_parts(schema))
    return any("properties" in part for part in parts) and not any(
        part.get(key) is False for part in parts for key in _CLOSED
    )


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left += part.values()
        elif isinstance(part, list):
            left += part


RULE = Rule(
    id="unknown-properties", severity=Severity.INFO, title="a schema lets through what it does not name", check=check,
    references=("API3:2023", "CWE-915"),
)  # fmt: skip
