"""What the data plane says of a document, at its place in the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yett.config.base import Location

if TYPE_CHECKING:
    from yett.control.source import Loaded

# Lists of the document, and the maps of the configuration that they were made from.
_NAMED = {
    "listeners": "listeners",
    "providers": "identity_providers",
    "services": "services",
    "routes": "routes",
}


def problems(
    found: list[Mapping[str, str]], loaded: Loaded, file: Path | None = None
) -> list[dict[str, Any]]:
    """Faults of the document (`pointer`, `message`) as `Refused.problems`: with file, line and column where the pointer
    leads to something that a person wrote, after `file` otherwise."""
    from yett.control.source import problem

    document = json.loads(loaded.ir)
    said: list[dict[str, Any]] = []
    for one in found:
        at = _location(one["pointer"], document)
        if at and loaded.compiled is not None and _written(loaded, at):
            said.append(problem(loaded.compiled.places.error(at, "not_applied", one["message"])))
        else:
            said.append({"text": f"{file}: {one['message']}" if file else one["message"]})
    return said


def _location(pointer: str, document: dict[str, Any]) -> Location:
    """The place of a JSON Pointer (RFC 6901) into the document; empty where it is nobody's in particular."""
    steps: list[str | int] = [
        int(step) if step.isdecimal() else step.replace("~1", "/").replace("~0", "~")
        for step in pointer.split("/")[1:]
    ]
    if len(steps) < 2:
        return tuple(steps)
    section, index = steps[:2]
    if section == "secrets":
        return tuple(int(step) if step.isdecimal() else step for step in str(index).split("."))
    if section not in _NAMED:
        return tuple(steps)
    entries = document.get(str(section), [])
    if not isinstance(index, int) or index >= len(entries):
        return ()
    return (_NAMED[str(section)], entries[index]["name"], *steps[2:])


def _written(loaded: Loaded, at: Location) -> bool:
    if loaded.compiled is None:
        return False
    source = loaded.compiled.places.source(at)
    return source is None or (isinstance(source.value, dict) and at[0] in source.value)
