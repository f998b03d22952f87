"""A secret that stands in the configuration itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yett.config import policy_tests
from yett.config.base import Location
from yett.config.places import Source
from yett.config.providers.oidc import Oidc
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

_KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"
    r"|\byett_[a-z0-9]{12}_[A-Za-z0-9]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{20,}|\bsk_live_[A-Za-z0-9]{16,}|\bAIza[A-Za-z0-9_-]{35}"
    r"|://[^\s/:@\"'{}]+:[^\s/@\"'{}]{4,}@"
)
"""Forms in which keys and tokens are known to leak; none reaches over the end of a line."""
_MARKS = (
    "PRIVATE KEY-----", "eyJ", "yett_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "sk_live_", "AIza", "://",
)  # fmt: skip
"""One of these stands in each of them: the other lines need not be looked at closely."""
_NAME = re.compile(r"(?i)(^|[-_.])(api[-_]?key|token|secret|password|passwd|credentials?)($|[-_.])")


KNOWN = (
    "this looks like a key, a token or a password, and everyone who may read the file has it; withdraw it, and name its file: "
    "`{file: path}`"
)
KNOWN_IN_TESTS = (
    "this looks like a key, a token or a password, and everyone who may read the tests has it; withdraw it, and name the caller "
    "(`principal`) instead"
)


def check(context: Context) -> Iterator[Hit]:
    """Known forms anywhere in the files and their policy tests, comments included; and values of fields whose name says what they are."""
    written = list(context.sources())
    for source in written:
        for line, column in _known(source.path):
            yield Hit(_part(source, line), KNOWN, file=(source.shown, line, column))
    for path in policy_tests.files(context.gateway, context.places)[0]:
        for line, column in _known(path):
            yield Hit(("tests",), KNOWN_IN_TESTS, Severity.WARNING, file=(str(path), line, column))
    if not written:
        for at, text in _texts(context.gateway.model_dump(mode="json"), ()):
            if _KNOWN.search(text):
                yield Hit(at, KNOWN)
    for at, name, value in _fields(context):
        if _NAME.search(name) and len(value) >= 8 and not _KNOWN.search(value):
            message = (
                f"the value of `{name}` is a secret that everyone who may read the file has, and it never changes; "
                "let the gateway get a token for the service (`token`), or sign who calls (`identity_assertion`)"
            )
            yield Hit(at, message)


def _known(path: Path) -> Iterator[tuple[int, int]]:
    """Lines and columns of known forms."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    number, counted = 1, 0
    for start in sorted(_lines(text)):
        number += text.count("\n", counted, start)
        counted = start
        end = text.find("\n", start)
        words = text[start : end if end >= 0 else None]
        yield from ((number, found.start() + 1) for found in _KNOWN.finditer(words))


def _lines(text: str) -> set[int]:
    """Where the lines with a mark begin."""
    found: set[int] = set()
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            found.add(text.rfind("\n", 0, at) + 1)
            at = text.find(mark, at + 1)
    return found


def _texts(value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key, at)
            yield from _texts(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*at, index))


def _part(source: Source, line: int) -> Location:
    """The part that a line belongs to, for exceptions: `routes.orders`; nothing before the first one."""
    found: tuple[int, Location] = (0, ())
    for name, value in source.value.items():
        steps = [(name, step) for step in value] if isinstance(value, dict) else []
        for at in [(name,), *steps]:
            begins = source.place(at, True)[0]
            if found[0] <= begins <= line:
                found = (begins, at)
    return found[1]


def _fields(context: Context) -> Iterator[tuple[Location, str, str]]:
    for kind, name, item in context.parts():
        edits = item.request_headers
        for key in ("set", "add") if edits else ():
            for field, value in getattr(edits, key).items():
                yield (kind, name, "request_headers", key, field), field, value
    for name, route in context.gateway.routes.items():
        for key in ("headers", "query"):
            for field, value in getattr(route.match, key).items():
                yield ("routes", name, "match", key, field), field, value
    for name, provider in context.gateway.identity_providers.items():
        if isinstance(provider, Oidc):
            for field, value in provider.parameters.items():
                yield ("identity_providers", name, "parameters", field), field, value


RULE = Rule(
    id="secret-in-file", severity=Severity.ERROR, title="a secret stands in the configuration itself", check=check,
    references=("API2:2023", "API8:2023", "CWE-798"),
)  # fmt: skip
