"""What SARIF 2.1.0 (OASIS) asks of the parts that we write, as a JSON Schema, from the text of the standard (section 3)."""

from __future__ import annotations

from typing import Any


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


_TEXT = {"type": "string", "minLength": 1}
_MESSAGE = _object(["text"], text=_TEXT)  # 3.11
_LEVEL = {"enum": ["none", "note", "warning", "error"]}  # 3.27.10
_POSITIVE = {"type": "integer", "minimum": 1}
_LOCATION = _object(  # 3.28
    ["physicalLocation"],
    physicalLocation=_object(  # 3.29
        ["artifactLocation"],
        artifactLocation=_object(
            ["uri"], uri={"type": "string", "format": "uri-reference", "pattern": r"^\S+$"}
        ),
        region=_object(["startLine"], startLine=_POSITIVE, startColumn=_POSITIVE),  # 3.30
    ),
    logicalLocations={"type": "array", "items": _object([], fullyQualifiedName=_TEXT)},  # 3.33
)
_RULE = _object(  # 3.49
    ["id"],
    id=_TEXT,
    shortDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object([], level=_LEVEL),  # 3.50
    properties=_object([], tags={"type": "array", "items": _TEXT, "uniqueItems": True}),  # 3.8.2
)
_RESULT = _object(  # 3.27
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations={"type": "array", "items": _LOCATION},
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
    suppressions={  # 3.35
        "type": "array",
        "items": _object(
            ["kind"],
            kind={"enum": ["inSource", "external"]},
            status={"enum": ["accepted", "underReview", "rejected"]},
            justification=_TEXT,
        ),
    },
)
_RUN = _object(  # 3.14
    ["tool"],
    tool=_object(
        ["driver"],
        driver=_object(["name"], name=_TEXT, semanticVersion=_TEXT, rules={"type": "array", "items": _RULE}),
    ),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations={
        "type": "array",
        "items": _object(["executionSuccessful"], executionSuccessful={"type": "boolean"}),
    },
    results={"type": "array", "items": _RESULT},
)
LOG = _object(  # 3.13
    ["version", "runs"],
    **{
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": _RUN},
    },
)
