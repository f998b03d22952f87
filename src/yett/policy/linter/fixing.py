"""`yett lint --fix`: writes the fixes of findings into the files, and makes sure that what is served stays the same."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from yett.config import Compiled
from yett.config.places import Source, dotted
from yett.control import source as control
from yett.policy.linter import fix as fixes
from yett.policy.linter.rule import Finding

_MAY_SHRINK = ("services", "providers", "secrets", "certificates")
"""Parts of the compiled document that lose what nothing uses."""


def write(file: Path, compiled: Compiled, findings: Iterable[Finding]) -> tuple[list[str], list[str]]:
    """Writes what can be repaired; a line for each change, and for each that was not made."""
    done: list[str] = []
    left: list[str] = []
    texts: dict[Path, tuple[str, Source, str]] = {}
    # from the end of the files, so that places further up stay where they are
    for finding in sorted(findings, key=lambda one: (one.file, one.line, one.column), reverse=True):
        fix = finding.fix
        if fix is None:
            continue
        at = fix.at if isinstance(fix, fixes.Remove) else fix.into
        source = compiled.places.source(at)
        if source is None:
            left.append(
                f"{finding.file}: `{dotted(at)}` is written in Python; change it there [{finding.rule.id}]"
            )
            continue
        if compiled.places.below is not None and source is not compiled.places.main:
            left.append(
                f"{finding}; it stands in the base, which other environments have as well: repair it there"
            )
            continue
        before, source, text = texts.get(source.path) or _read(source)
        try:
            source, text = fixes.apply(fix, source, text)
        except fixes.Unfixable:
            left.append(f"{finding}; cannot be repaired safely as it is written")
            continue
        texts[source.path] = (before, source, text)
        done.append(f"{finding.file}:{finding.line}: {fix} [{finding.rule.id}]")
    if texts and not _commit(file, compiled, texts):
        return [], [*left, "the changes together would have changed what is served; nothing was written"]
    return done[::-1], left[::-1]


def _read(source: Source) -> tuple[str, Source, str]:
    text = source.path.read_bytes().decode()
    return text, source, text


def _commit(file: Path, compiled: Compiled, texts: dict[Path, tuple[str, Source, str]]) -> bool:
    for path, (_, _, after) in texts.items():
        _replace(path, after)
    try:
        same = _same(json.loads(compiled.ir), json.loads(control.compiled_file(file).ir))
    except control.Refused:
        same = False
    if not same:
        for path, (before, _, _) in texts.items():
            _replace(path, before)
    return same


def _same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    for key in {*before, *after}:
        old, new = before.get(key), after.get(key)
        if key in _MAY_SHRINK:
            if not all(one in _items(old) for one in _items(new)):
                return False
        elif old != new:
            return False
    return True


def _items(part: Any) -> Iterator[Any]:
    yield from (part.items() if isinstance(part, dict) else part or ())


def _replace(path: Path, text: str) -> None:
    """All of the text or nothing, with the rights that the file has."""
    path = path.resolve()
    mode = path.stat().st_mode
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(text.encode())
        Path(name).chmod(mode & 0o7777)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
