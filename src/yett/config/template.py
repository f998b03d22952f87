"""Path templates: literal segments, `{name}` for one segment, `{name...}` for the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]{0,63})(\.\.\.)?\}", re.ASCII)
_LITERAL_BAD = re.compile(r"[\x00-\x20\x7f\"#%<>?\\^`{|};]")
MAX_LENGTH = 2048


@dataclass(frozen=True)
class Template:
    """A template that was read: its variables in order, and its shape (`{}` and `{...}` in place of names)."""

    text: str
    variables: tuple[str, ...]
    rest: str | None
    shape: str


@lru_cache(maxsize=16384)
def read(text: str) -> Template | str:
    """The template, or what is wrong with it."""
    if not text.startswith("/"):
        return f"`{text}` has to start with `/`"
    if len(text) > MAX_LENGTH:
        return f"the path is longer than {MAX_LENGTH} characters"
    variables: list[str] = []
    rest: str | None = None
    shape: list[str] = []
    segments = text[1:].split("/")
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        fault = None
        if "{" in segment or "}" in segment:
            match = _VARIABLE.fullmatch(segment)
            if match is None:
                return _bad_variable(segment)
            if match[1] in variables:
                return f"the variable `{match[1]}` stands twice; give one of them another name"
            if match[2] and not last:
                return f"`{segment}` takes everything that follows; it has to be the last segment"
            variables.append(match[1])
            rest = match[1] if match[2] else None
            shape.append("{...}" if match[2] else "{}")
        else:
            fault = _bad_literal(segment, last)
            shape.append(segment)
        if fault:
            return fault
    return Template(text, tuple(variables), rest, "/" + "/".join(shape))


def _bad_variable(segment: str) -> str:
    if segment in {"{}", "{...}"}:
        return f"`{segment}` has no name; write one such as `{{id}}`"
    if _VARIABLE.search(segment):
        return f"a variable takes a whole segment; split `{segment}` or make it literal"
    if segment.lower() != segment:
        return f"`{segment}`: names of variables are lower case letters, digits and `_`"
    if "*" in segment:
        return f"`{segment}` is not a variable; write `{{rest...}}` for everything that follows"
    return f"`{segment}` is not a variable; write `{{name}}`, or `{{name...}}` at the end"


def _bad_literal(segment: str, last: bool) -> str | None:
    if not segment and not last:
        return "`//` is an empty segment, which no request can have; write one `/`"
    if segment in {".", ".."}:
        return f"`{segment}` is a dot segment, which no request can have; remove it"
    if segment in {"*", "**"}:
        return f"`{segment}` is not a wildcard here; write `{{rest...}}` at the end"
    if segment.startswith(":"):
        return f"`{segment}` is not a variable here; write `{{{segment[1:] or 'name'}}}`"
    bad = _LITERAL_BAD.search(segment)
    if bad and bad[0] == "%":
        return "write the character itself and not its `%` encoding; requests are compared decoded"
    if bad:
        return f"`{bad[0]}` cannot stand in a path; remove it"
    return None


def variable(name: str) -> str:
    """What a variable of another notation is called here: `orderId` is `order_id`."""
    if _VARIABLE.fullmatch(f"{{{name}}}"):
        return name
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    found = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return (found if found[:1].isalpha() else f"v_{found}")[:64]


def unknown_variables(text: str, known: tuple[str, ...]) -> list[str]:
    """Variables of a target template that the route's own template does not have."""
    found = read(text)
    return [] if isinstance(found, str) else [name for name in found.variables if name not in known]
