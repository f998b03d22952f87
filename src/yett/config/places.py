"""Where each part of a configuration stands: file, line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yett.config.words import Location
from yett.errors import ConfigError


@dataclass
class Source:
    """One parsed file. `marks` are pairs of line and column in document order, as the YAML reader gives them."""

    path: Path
    shown: str
    value: Any
    marks: list[int]
    maybe_null: bool = True
    _index: dict[Location, tuple[int, int]] | None = None

    def place(self, location: Location, key: bool) -> tuple[int, int]:
        """Line and column of a key or a value; of the nearest enclosing part where there is none."""
        if self._index is None:
            self._index = self._walk()
        here: Location = ()
        value = self.value
        location = self._without_lists(location)
        for step in location:
            found = (
                value.get(step)
                if isinstance(value, dict)
                else value[step]
                if _has_item(value, step)
                else None
            )
            known = (isinstance(value, dict) and step in value) or _has_item(value, step)
            if known:
                here, value = (*here, step), found
        rest = location[len(here) :]
        # one item stands without its list or quantifier
        whole = not rest or rest[0] in {"any_of", "all_of"} or isinstance(rest[0], int)
        if here and (key or not whole) and ("key", *here) in self._index:
            return self._index[("key", *here)]
        return self._index.get(("value", *here), (1, 1))

    def depth(self, location: Location) -> int:
        """How many steps towards a part there are in this file."""
        value, steps = self.value, 0
        for step in location:
            if (isinstance(value, dict) and step in value) or _has_item(value, step):
                value = value[step]
            elif step == 0 and isinstance(step, int) and not isinstance(value, list | dict):
                pass  # one item stands without its list
            else:
                return steps
            steps += 1
        return steps

    def _without_lists(self, location: Location) -> Location:
        """The location without the index of one item that stands without its list."""
        value, kept = self.value, []
        for step in location:
            if step == 0 and isinstance(step, int) and not isinstance(value, list):
                continue
            kept.append(step)
            if isinstance(value, dict):
                value = value.get(step, value)
            elif _has_item(value, step):
                value = value[step]
        return tuple(kept)

    def _walk(self) -> dict[Location, tuple[int, int]]:
        pairs = iter(zip(self.marks[::2], self.marks[1::2], strict=True))
        found: dict[Location, tuple[int, int]] = {}

        def visit(value: Any, at: Location) -> None:
            found[("value", *at)] = next(pairs)
            if isinstance(value, dict):
                for name, part in value.items():
                    found[("key", *at, name)] = next(pairs)
                    visit(part, (*at, name))
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    visit(part, (*at, index))

        visit(self.value, ())
        return found


def _has_item(value: Any, step: str | int) -> bool:
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


@dataclass
class Places:
    """The files of one configuration. `parts` says which included file a named entry came from."""

    main: Source | None
    shown: str
    directory: Path
    parts: dict[Location, Source] = field(default_factory=dict)
    below: Source | None = None
    """The base, where `main` is an overlay."""

    def source(self, location: Location) -> Source | None:
        """The file in which a part stands; nothing for a configuration written in Python."""
        if self.main is None or self.below is None:
            return self.parts.get(location[:2], self.main)
        base = self.parts.get(location[:2], self.below)
        above, below = self.main.depth(location), base.depth(location)
        return self.main if above > below or above == len(location) else base

    def base(self, location: Location) -> Path:
        """The folder that paths of this part are relative to."""
        source = self.source(location)
        return source.path.parent if source else self.directory

    def error(self, location: Location, code: str, message: str, key: bool = False) -> ConfigError:
        """An error at a part. `key` points at the key and not at its value."""
        source = self.source(location)
        if source is None:
            return ConfigError(self.shown, 0, 0, dotted(location), message, code)
        line, column = source.place(location, key)
        return ConfigError(source.shown, line, column, dotted(location), message, code)

    def shown_at(self, location: Location) -> str:
        """`file:line`, for messages that name a second place."""
        source = self.source(location)
        if source is None:
            return dotted(location)
        return f"{source.shown}:{source.place(location, True)[0]}"


def dotted(location: Location) -> str:
    """`routes.read-invoice.match`."""
    return ".".join(str(step) for step in location)
