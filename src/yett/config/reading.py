"""One YAML file, parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yett.config.places import Source
from yett.errors import ConfigError, YettError


class Unreadable(YettError):
    """A file that is not YAML."""

    def __init__(self, error: ConfigError) -> None:
        self.error = error
        super().__init__(str(error))


def parse(data: bytes, path: Path, shown: str) -> Source:
    """Raises `Unreadable`."""
    from yett import _core

    try:
        text = _core.parse_yaml(data)
        document = json.loads(text)
    except _core.YamlError as error:
        line, column, message = error.args
        raise Unreadable(ConfigError(shown, line, column, "", message, "yaml_invalid")) from None
    return Source(path, shown, document["value"], document["marks"], b"null" in text)


def find_nulls(source: Source) -> list[tuple[str | int, ...]]:
    """Places of keys and items without a value."""
    return [] if not source.maybe_null else nulls(source.value)


def nulls(value: Any) -> list[tuple[str | int, ...]]:
    """Places of keys and items without a value."""
    found: list[tuple[str | int, ...]] = []
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while stack:
        at, part = stack.pop()
        if part is None and at:
            found.append(at)
        elif isinstance(part, dict):
            stack.extend(((*at, name), item) for name, item in part.items())
        elif isinstance(part, list):
            stack.extend(((*at, index), item) for index, item in enumerate(part))
    return found
