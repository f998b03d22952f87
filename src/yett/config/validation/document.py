"""A document beside the configuration (a schema, an OpenAPI description): its value, and where its parts stand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yett.config.places import Source
from yett.config.reading import Unreadable, parse
from yett.config.words import Location
from yett.errors import ConfigError

MAX_DIGITS = 300
"""Of a whole number."""


@dataclass(frozen=True)
class Document:
    """A parsed document. `source` knows places; nothing for JSON that is no YAML."""

    value: Any
    shown: str
    source: Source | None

    def error(self, location: Location, code: str, message: str) -> ConfigError:
        """An error at a part."""
        line, column = self.source.place(location, False) if self.source else (1, 1)
        return ConfigError(self.shown, line, column, "/".join(str(step) for step in location), message, code)


def read(text: str, path: Path, code: str) -> Document | ConfigError:
    """Reads JSON (by the ending `.json`) or YAML."""
    shown = str(path)
    if path.suffix.lower() == ".json":
        return _json(text, path, shown, code)
    try:
        source = parse(text.encode(), path, shown)
    except Unreadable as unreadable:
        return unreadable.error
    return Document(source.value, shown, source)


def _json(text: str, path: Path, shown: str, code: str) -> Document | ConfigError:
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        message = f"this is no JSON ({error.msg[:1].lower()}{error.msg[1:]})"
        return ConfigError(shown, error.lineno, error.colno, "", message, code)
    except (ValueError, RecursionError) as error:
        line, column = _place(text, path, shown)
        deep = "this is nested too deeply; no description needs that"
        return ConfigError(
            shown, line, column, "", deep if isinstance(error, RecursionError) else str(error), code
        )
    try:
        source: Source | None = parse(text.encode(), path, shown)
    except Unreadable:
        source = None
    return Document(value, shown, source)


def _place(text: str, path: Path, shown: str) -> tuple[int, int]:
    """Where a reader of YAML finds the fault, such as a name that stands twice; the beginning if it finds none."""
    try:
        parse(text.encode(), path, shown)
    except Unreadable as unreadable:
        return unreadable.error.line, unreadable.error.column
    return 1, 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"`{name}` stands twice in one object; remove one")
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"`{name}` is not JSON; write a number")


def _float(text: str) -> float:
    if math.isinf(found := float(text)):
        raise ValueError("a number is too large here; write a smaller one")
    return found


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits; write a smaller one")
    return int(text)


def steps(pointer: str, value: Any) -> Location:
    """The location of a JSON Pointer (RFC 6901) in a value."""
    found: list[str | int] = []
    for raw in pointer.split("/")[1:]:
        name = raw.replace("~1", "/").replace("~0", "~")
        step: str | int = int(name) if isinstance(value, list) and re.fullmatch(r"\d{1,9}", name) else name
        found.append(step)
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(found)
