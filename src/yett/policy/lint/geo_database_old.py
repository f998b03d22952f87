"""A database of places that was built long ago."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yett.config.geo import DATABASES
from yett.config.units import milliseconds
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Hit, Rule, Severity

_MARKER = b"\xab\xcd\xefMaxMind.com"
_KEY = b"\x4bbuild_epoch"
_MOST = 128 * 1024
"""Bytes at the end of a file in which its metadata begins (MaxMind DB File Format 2.0)."""


def built_s(path: Path) -> int | None:
    """When a database was built, seconds since 1970; nothing where that cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST))
            end = file.read(_MOST)
    except OSError:
        return None
    _, found, known = end.rpartition(_MARKER)
    _, key, value = known.partition(_KEY)
    # A type of 64 bits takes a second byte: the first has the length.
    if not found or not key or len(value) < 2 or value[0] > 8 or value[1] != 2:
        return None
    return int.from_bytes(value[2 : 2 + value[0]], "big")


def check(context: Context) -> Iterator[Hit]:
    """Databases of `geo` that are older than it allows, as far as they can be read here."""
    geo = context.gateway.geo
    if geo is None:
        return
    allowed_s = milliseconds(geo.max_age) // 1000
    for kind in DATABASES:
        path = context.compiled.document["geo"].get(kind)
        built = built_s(Path(path)) if path else None
        age_s = None if built is None else int(context.now.timestamp()) - built
        if age_s is not None and age_s > allowed_s:
            message = (
                f"`{getattr(geo, kind)}` was built {age_s // 86_400} days ago, and networks move; "
                f"get a fresh one, or allow more than `{geo.max_age}` with `max_age`"
            )
            yield Hit(("geo", kind), message)


RULE = Rule(
    id="geo-database-old", severity=Severity.WARNING, title="a database of places that was built long ago", check=check,
    references=("API8:2023",), dated=True,
)  # fmt: skip
