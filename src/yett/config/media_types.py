"""Content types in a configuration or a description (RFC 9110 section 8.3)."""

from __future__ import annotations

import re

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/([a-z0-9!#$&^_.+-]{1,100}|\*)", re.ASCII)


def type_fault(name: str) -> str | None:
    """Why a content type cannot be matched, or nothing."""
    if ";" in name:
        return f"`{name}` has parameters; write the type alone, such as `application/json`"
    if name != name.lower():
        return f"content types are lower case here; write `{name.lower()}`"
    if name.startswith("*"):
        return f"`{name}` is every type; name those that the service reads"
    if not _TYPE.fullmatch(name):
        return f"`{name}` is not a content type; write one such as `application/json` or `image/*`"
    return None


def is_json(content_type: str) -> bool:
    """Whether bodies of a type are JSON (RFC 8259; RFC 6839 section 3.1)."""
    return content_type == "application/json" or content_type.endswith("+json")
