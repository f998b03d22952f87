"""Conditions of rules (`when:`): the data plane reads and checks them; here they get their place in the file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from yett.config.base import Location
from yett.config.places import Source
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.merge import Merger


_BLOCK = re.compile(r"[:\-]\s+[|>][-+0-9]*\s*(#.*)?$")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a condition; `at` in characters from its beginning."""

    at: int
    message: str


@lru_cache(maxsize=4096)
def _checked(source: str, readable: str) -> Fault | None:
    from yett import _core

    answer = _core.check_condition(source, readable.encode())
    if answer is None:
        return None
    at, message = answer
    return Fault(len(source.encode()[:at].decode(errors="replace")), message)


def check(
    source: str,
    claims: dict[str, dict[str, str]],
    headers: list[str],
    variables: list[str],
    body: Any = None,
    geo: list[str] | None = None,
) -> Fault | None:
    """The first fault of a condition that may read these claims (types by provider), header fields and path variables,
    a body of this JSON Schema, and this of where an address is."""
    readable = {"claims": claims, "headers": headers, "variables": variables, "geo": geo or []}
    if body is not None:
        readable["body"] = body
    return _checked(source, json.dumps(readable, sort_keys=True))


def is_text(body: Any, path: str) -> bool:
    """Whether the schema of a body declares a text under names with dots between them."""
    where = "".join(f"[{json.dumps(name)}]" for name in path.split("."))
    return body is not None and check(f"request.body{where} == ''", {}, [], [], body) is None


def known_zone(name: str) -> bool:
    """Whether the data plane knows a time zone."""
    return _checked(f"timestamp(0).getHours({json.dumps(name)}) == 0", '{"claims": {}}') is None


def error(merger: Merger, location: Location, text: str, fault: Fault) -> ConfigError:
    """The fault at its place in the file, with the line and a caret below it."""
    places = merger.places
    found = places.error(location, "condition_invalid", fault.message)
    source = places.source(location)
    if source is None:
        return found
    line, column = locate(source, found.line, found.column, fault.at)
    return ConfigError(
        found.file, line, column, found.where, found.message, found.code, excerpt(text, fault.at)
    )


def excerpt(text: str, at: int) -> str:
    """The line of a condition that has the fault, and a caret below it."""
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:].partition("\n")[0]
    shift = max(0, at - begin - 60)
    shown = line[shift : shift + 100]
    return f"{shown}\n{' ' * (at - begin - shift)}^"


def locate(source: Source, line: int, column: int, at: int) -> tuple[int, int]:
    """Line and column of a character of a text that stands at this place of a YAML file, however it is written there."""
    try:
        lines = source.path.read_text(encoding="utf-8").split("\n")
        raw = lines[line - 1][column - 1 :]
    except (OSError, UnicodeDecodeError, IndexError):
        return line, column
    style = raw[:1]
    if line > 1 and _BLOCK.search(lines[line - 2]):
        return _in_block(lines, line - 1, column - 1, at)
    if style in {'"', "'"}:
        return line, column + 1 + _raw_length(raw[1:], style, at)
    return line, column + at


def _raw_length(raw: str, quote: str, count: int) -> int:
    """Characters of the file for so many of the text."""
    length = 0
    for _ in range(count):
        pair = raw[length : length + 2]
        length += 2 if (pair == "''" if quote == "'" else pair[:1] == "\\") else 1
    return min(length, len(raw))


def _in_block(lines: list[str], first: int, indent: int, at: int) -> tuple[int, int]:
    """In a block each of its lines is one of the text, or a piece of one behind a blank."""
    left = at
    for number in range(first, len(lines)):
        length = max(0, len(lines[number]) - indent)
        if left <= length:
            return number + 1, indent + left + 1
        left -= length + 1
    return first + 1, indent + 1
