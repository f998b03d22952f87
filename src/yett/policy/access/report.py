"""Grants beside use, for people and programs, and the configuration without what nobody used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from yett.errors import ConfigurationError
from yett.policy.access.tighten import Tightened
from yett.policy.access.used import Grant, Used


def lines(file: Path, used: Used, days: int, now: datetime) -> Iterator[str]:
    """Each grant with its use, those that are unused for so long, and the diff."""
    yield f"{used.lines} lines from {_when(used.first)} to {_when(used.last)}"
    if used.damaged:
        yield f"{used.damaged} lines are damaged and count for nothing"
    for what, count in used.foreign.most_common(10):
        yield f"{count} requests by what this configuration has not: {what}"
    yield ""
    widths = [
        max([5, *(len(getattr(grant, key)) for grant in used.grants)])
        for key in ("route", "method", "provider")
    ]
    for grant, use in sorted(used.grants.items()):
        cells = (grant.route, grant.method, grant.provider)
        shown = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"{shown}  {use.count:>8}  {_when(use.last)}".rstrip()
    unused = used.unused(days, now)
    yield ""
    yield f"unused for {days} days: {len(unused)} of {len(used.grants)}"
    yield from (f"  {grant.route} {grant.method} by {grant.provider}" for grant in unused)
    if used.first is None or (now - used.first).days < days:
        yield f"the log is younger than {days} days, so what is unused may be used seldom; nothing is removed"
        return
    diff, left = tightened(file, unused, used)
    if diff:
        yield ""
        yield "the configuration without it:"
        yield from diff.splitlines()
    yield from left


def document(file: Path, used: Used, days: int, now: datetime) -> dict[str, Any]:
    """The same for programs."""
    unused = used.unused(days, now)
    old = used.first is not None and (now - used.first).days >= days
    diff, left = tightened(file, unused, used) if old else ("", [])
    return {
        "lines": used.lines,
        "damaged": used.damaged,
        "foreign": dict(used.foreign),
        "from": used.first,
        "to": used.last,
        "grants": [
            {**_grant(grant), "count": use.count, "last": use.last}
            for grant, use in sorted(used.grants.items())
        ],
        "unused": [_grant(grant) for grant in unused],
        "diff": diff,
        "left": left,
    }


def _grant(grant: Grant) -> dict[str, str]:
    return {"route": grant.route, "method": grant.method, "provider": grant.provider}


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


def tightened(file: Path, unused: list[Grant], used: Used) -> tuple[str, list[str]]:
    """The diff, and what is left to do by hand. A diff that would not load is not shown."""
    from yett.config import compile_file

    if not unused:
        return "", []
    compiled = compile_file(file)
    places = compiled.places
    if places.main is None:
        return "", ["a configuration in Python is tightened by hand"]
    below = [places.below] if places.below else []
    sources = {source.path: source for source in (places.main, *below, *places.parts.values())}
    edited = Tightened(sources)
    edited.remove(unused, used)
    texts = edited.texts()
    if not texts:
        return "", edited.left
    main = places.main.path
    if set(texts) != {main}:
        return edited.diff(), [
            *edited.left,
            "it changes included files, so it was not loaded; run `yett check` on it",
        ]
    fault = _fault(main, texts[main])
    if fault:
        return "", [*edited.left, f"without it, the file does not load: {fault}"]
    return edited.diff(), edited.left


def _fault(file: Path, text: str) -> str | None:
    """Why a file with this text would not load; it stands beside the file for a moment, where its paths lead."""
    from yett.config import compile_file

    try:
        with tempfile.NamedTemporaryFile(
            "w", suffix=file.suffix, dir=file.parent, prefix=".tightened-"
        ) as copy:
            copy.write(text)
            copy.flush()
            compile_file(copy.name)
    except ConfigurationError as error:
        return str(error.errors[0]).replace(copy.name, str(file))
    except OSError as error:
        return f"nothing can be written beside it ({(error.strerror or 'error').lower()})"
    return None
