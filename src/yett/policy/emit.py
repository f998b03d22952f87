"""YAML as a person would write it, with comments; what is read back is what was meant, or nothing is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from yett.config.words import Location

WIDTH = 120
_PLAIN = re.compile(
    r"[A-Za-z][A-Za-z0-9_.-]*|/[A-Za-z0-9_./-]*|\d+(ms|s|m|h|B|KiB|MiB|GiB)|\d+/(s|m|h)|https?://[A-Za-z0-9._:/-]*[A-Za-z0-9]"
    r"|\d+\.\d+\.\d+\.\d+:\d+",
    re.ASCII,
)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"})
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
MAX_COMMENT = 300

Comments = Mapping[Location, Iterable[str]]


def plain(text: object) -> str:
    """One line without anything that could end a comment or hide in it."""
    line = " ".join(_UNSEEN.sub(" ", str(text)).split())
    return line if len(line) <= MAX_COMMENT else line[: MAX_COMMENT - 2] + " …"


def written(tree: Mapping[str, Any], comments: Comments, head: Iterable[str] = ()) -> str:
    """The text of a document. `comments` stand before the keys whose locations they have.

    Raises:
        ValueError: what would be read back is something else.
    """
    lines = [f"# {plain(line)}" for line in head]
    for key, value in tree.items():
        if lines and (isinstance(value, dict) or (key,) in comments):
            lines.append("")
        lines += _entry(key, value, (key,), comments, 0)
    text = "\n".join(lines) + "\n"
    _proved(text, tree)
    return text


def _proved(text: str, tree: Mapping[str, Any]) -> None:
    from yett import _core

    try:
        found = json.loads(_core.parse_yaml(text.encode()))["value"]
    except _core.YamlError as error:
        raise ValueError(f"what would be written is no YAML: {error.args[2]}") from None
    if found != json.loads(json.dumps(tree)):
        raise ValueError("what would be written is read otherwise than it is meant")


def _entry(key: str, value: Any, at: Location, comments: Comments, indent: int) -> list[str]:
    pad = " " * indent
    lines = [f"{pad}# {plain(line)}" for line in comments.get(at, ())]
    short = f"{pad}{_scalar(key)}: {_flow(value)}"
    inside = any(len(place) > len(at) and place[: len(at)] == at for place in comments)
    if not isinstance(value, dict) or not value or (not inside and len(at) > 1 and _fits(short, at)):
        return [*lines, short]
    lines.append(f"{pad}{_scalar(key)}:")
    for name, part in value.items():
        lines += _entry(name, part, (*at, name), comments, indent + 2)
    return lines


def _fits(line: str, at: Location) -> bool:
    if at[0] in {"routes", "groups", "tests"} and len(at) == 2:
        return False
    return len(line) <= WIDTH


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
