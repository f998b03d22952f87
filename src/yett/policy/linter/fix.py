"""Changes of a configuration file at exact places: everything else stays as it is, byte for byte.

A change is made in the text, and then both texts are read: the new one has to say exactly what the old one says, but
for the change. Where it does not, nothing is written.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from yett.config.base import Location
from yett.config.places import Source, dotted
from yett.config.reading import Unreadable, parse

_BLANK = re.compile(r"\s*(#.*)?$")


class Unfixable(Exception):
    """The file is written in a way that this change cannot be made in safely."""


@dataclass(frozen=True)
class Remove:
    """Takes an entry of a mapping, or an item of a list, out of the file."""

    at: Location
    what: str

    def __str__(self) -> str:
        return f"removed {self.what} `{dotted(self.at)}`"

    def expected(self, value: Any) -> Any:
        """The document afterwards; what is empty then goes with it."""
        document = copy.deepcopy(value)
        _drop(document, self.at)
        return document

    def text(self, source: Source, text: str) -> str:
        """The text afterwards. Raises `Unfixable`."""
        at = self.at
        while len(at) > 1 and len(_get(source.value, at[:-1])) == 1:
            at = at[:-1]
        return _removed(source, text, at)


@dataclass(frozen=True)
class Insert:
    """Writes a key into a mapping."""

    into: Location
    key: str
    value: Any = field(hash=False)
    written: str
    """As it is written in YAML, in one line."""
    before: str | None = None
    """At the top of the file: the key that it comes before."""

    def __str__(self) -> str:
        return f"wrote `{dotted((*self.into, self.key))}: {self.written}`"

    def expected(self, value: Any) -> Any:
        """The document afterwards."""
        document = copy.deepcopy(value)
        _get(document, self.into)[self.key] = self.value
        return document

    def text(self, source: Source, text: str) -> str:
        """The text afterwards. Raises `Unfixable`."""
        mapping = _get(source.value, self.into)
        if not isinstance(mapping, dict) or not mapping or self.key in mapping:
            raise Unfixable
        offset = _offset(text, *source.place(self.into, False))
        if text[offset] == "{":
            return f"{text[: offset + 1]}{self.key}: {self.written}, {text[offset + 1 :]}"
        first = self.before if self.before is not None and self.before in mapping else next(iter(mapping))
        line, column = source.place((*self.into, first), True)
        start = _offset(text, line, 1)
        if text[start : start + column - 1].strip():
            raise Unfixable
        return f"{text[:start]}{' ' * (column - 1)}{self.key}: {self.written}\n{text[start:]}"


Fix = Remove | Insert


def apply(fix: Fix, source: Source, text: str) -> tuple[Source, str]:
    """The file after a change, read again. Raises `Unfixable`; never gives a text that says anything else."""
    try:
        expected = fix.expected(source.value)
        after = fix.text(source, text)
        read = parse(after.encode(), source.path, source.shown)
    except (Unreadable, LookupError, TypeError):
        raise Unfixable from None
    if read.value != expected or _comments(text) - _comments(after) > fix_comments(fix, source, text):
        raise Unfixable
    return read, after


def fix_comments(fix: Fix, source: Source, text: str) -> int:
    """How many comments a change may take along: those inside of what it removes."""
    if not isinstance(fix, Remove):
        return 0
    first = source.place(fix.at, True)[0]
    last = max((line for line, _ in _marks(source, fix.at)), default=first)
    return _comments("\n".join(text.split("\n")[first - 1 : last]))


def _marks(source: Source, at: Location) -> list[tuple[int, int]]:
    value = _get(source.value, at)
    below: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    return [source.place(at, False), *(mark for step in below for mark in _marks(source, (*at, step)))]


def _comments(text: str) -> int:
    return len(re.findall(r"(?m)(?:^|\s)#", text))


def _get(value: Any, at: Location) -> Any:
    for step in at:
        value = value[step]
    return value


def _drop(document: Any, at: Location) -> None:
    while len(at) > 1 and len(_get(document, at[:-1])) == 1:
        at = at[:-1]
    del _get(document, at[:-1])[at[-1]]


def _offset(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index("\n", start) + 1
    return start + column - 1


def _removed(source: Source, text: str, at: Location) -> str:
    siblings = _get(source.value, at[:-1])
    steps: list[str | int] = list(siblings) if isinstance(siblings, dict) else list(range(len(siblings)))
    index = steps.index(at[-1])
    is_item = isinstance(at[-1], int)
    start = _offset(text, *source.place(at, not is_item))
    flow = text[_offset(text, *source.place(at[:-1], False))] in "{["
    if flow and index + 1 < len(steps):
        end = _offset(text, *source.place((*at[:-1], steps[index + 1]), not is_item))
        return text[:start] + text[end:]
    if flow:
        end = _closing(text, start)
        comma = text.rindex(",", 0, start)
        return text[:comma] + text[end:]
    return _without_lines(source, text, at)


def _without_lines(source: Source, text: str, at: Location) -> str:
    """A block: whole lines from its own to the next part's, without the comments and blank lines that stand before that."""
    lines = text.split("\n")
    first, column = source.place(at, not isinstance(at[-1], int))
    own = lines[first - 1][: column - 1]
    if own.strip(" -") or ("-" in own and isinstance(at[-1], str)):
        raise Unfixable
    following = [line for line, _ in _all_marks(source) if line > first]
    inside = {line for line, _ in _marks(source, at)}
    last = min((line for line in following if line > max(inside)), default=len(lines) + 1)
    while last - 1 > first and _BLANK.match(lines[last - 2]):
        last -= 1
    return "\n".join([*lines[: first - 1], *lines[last - 1 :]])


def _all_marks(source: Source) -> list[tuple[int, int]]:
    return list(zip(source.marks[::2], source.marks[1::2], strict=True))


def _closing(text: str, start: int) -> int:
    """Where the flow mapping or list ends in which `start` stands."""
    depth, quote, at = 0, "", start
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\" and quote == '"':
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'" and text[at - 1] in " \t\n:{[,":
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            if depth == 0:
                return at
            depth -= 1
        elif character == "#" and text[at - 1] in " \t\n":
            at = text.index("\n", at)
        at += 1
    raise Unfixable
