"""Reads the text format of protocol buffers, as far as google/cel-spec's test data uses it: without a schema."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<any>\[[^\]\n]+\])|(?P<word>[-+]?[A-Za-z0-9_.+-]+)|(?P<sign>[{}:,;<>])""",
    re.DOTALL,
)
_ESCAPES = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}
Message = list[tuple[str, Any]]


class Text(bytes):
    """A text or bytes: which of them, the schema says."""


def _tokens(source: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ValueError(f"unreadable at {source[at : at + 40]!r}")
        at = match.end()
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
    return found


def _unquoted(token: str) -> bytes:
    data, out, at = token[1:-1], bytearray(), 0
    while at < len(data):
        character = data[at]
        at += 1
        if character != "\\":
            out += character.encode()
            continue
        kind = data[at]
        at += 1
        if kind in _ESCAPES:
            out.append(_ESCAPES[kind])
        elif kind in "xX":
            match = re.compile(r"[0-9a-fA-F]{1,2}").match(data, at)
            assert match
            out.append(int(match[0], 16))
            at = match.end()
        elif kind in "uU":
            length = 4 if kind == "u" else 8
            out += chr(int(data[at : at + length], 16)).encode()
            at += length
        else:
            match = re.compile(r"[0-7]{1,3}").match(data, at - 1)
            assert match
            out.append(int(match[0], 8))
            at = match.end()
    return bytes(out)


def parse(source: str) -> Message:
    """The fields in their order: pairs of a name and a number, a word, a `Text`, or a message."""
    tokens = _tokens(source)
    at = 0

    def message(close: str | None) -> Message:
        nonlocal at
        fields: Message = []
        while True:
            if at == len(tokens):
                assert close is None
                return fields
            kind, token = tokens[at]
            if token == close:
                at += 1
                return fields
            if kind == "sign" and token in ",;":
                at += 1
                continue
            at += 1
            if tokens[at][1] == ":":
                at += 1
            fields += [(token, value) for value in values()]

    def values() -> list[Any]:
        nonlocal at
        kind, token = tokens[at]
        at += 1
        if token in "{<" and kind == "sign":
            return [message("}" if token == "{" else ">")]
        if kind == "any":
            # a short list of words, such as enums
            return [word.strip() for word in token[1:-1].split(",")]
        if kind == "text":
            data = _unquoted(token)
            while at < len(tokens) and tokens[at][0] == "text":
                data += _unquoted(tokens[at][1])
                at += 1
            return [Text(data)]
        return [token]

    return message(None)


def one(fields: Message, name: str) -> Any:
    """The last value of a field, or nothing."""
    found = [value for field, value in fields if field == name]
    return found[-1] if found else None


def every(fields: Message, name: str) -> list[Any]:
    """All values of a field."""
    return [value for field, value in fields if field == name]
