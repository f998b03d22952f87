"""A configuration without what nobody used: the same text, with less in it, as a diff."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yett.config.places import Source
from yett.policy.access.used import Grant, Used


@dataclass(frozen=True)
class Edit:
    """One place of a file, and what is left there; nothing of a whole route without `key`."""

    path: Path
    line: int
    route: str
    key: str = ""
    words: str = ""
    kept: tuple[str, ...] = ()


class Tightened:
    """The files of a configuration, edited. What cannot be edited safely is left and told."""

    def __init__(self, sources: dict[Path, Source]) -> None:
        self._sources = sources
        self._before = {path: path.read_text() for path in sources}
        self._texts = dict(self._before)
        self.left: list[str] = []

    def texts(self) -> dict[Path, str]:
        """The edited files."""
        return {path: text for path, text in self._texts.items() if text != self._before[path]}

    def diff(self) -> str:
        """As `diff -u` writes it."""
        return "".join(
            line
            for path, text in self.texts().items()
            for line in difflib.unified_diff(
                self._before[path].splitlines(keepends=True),
                text.splitlines(keepends=True),
                str(path),
                str(path),
            )
        )

    def remove(self, unused: Iterable[Grant], used: Used) -> None:
        """Takes out routes, methods of routes and providers of routes that no grant in use needs."""
        gone = set(unused)
        by_route: dict[str, list[Grant]] = defaultdict(list)
        for grant in used.grants:
            by_route[grant.route].append(grant)
        # from the end of a file to its beginning, so that places stay right
        edits = [edit for route, own in by_route.items() for edit in self._edits(route, own, gone)]
        for edit in sorted(edits, key=lambda edit: (str(edit.path), -edit.line)):
            if edit.key == "":
                self._drop(edit.path, edit.line)
            elif not self._choose(edit):
                text = f"leave `{', '.join(edit.kept)}` as the {edit.words} of `{edit.route}`"
                self.left.append(f"{edit.path}:{edit.line}: {text}")

    def _edits(self, route: str, own: list[Grant], gone: set[Grant]) -> Iterator[Edit]:
        path = next((path for path, source in self._sources.items() if _at(source, ("routes", route))), None)
        if path is None or not any(grant in gone for grant in own):
            return
        source = self._sources[path]
        if all(grant in gone for grant in own):
            yield Edit(path, source.place(("routes", route), True)[0], route)
            return
        kept = [grant for grant in own if grant not in gone]
        for at, words, name in (
            (("match", "methods"), "methods", "method"),
            (("authenticate",), "providers", "provider"),
        ):
            all_of_them = {getattr(grant, name) for grant in own}
            left = sorted({getattr(grant, name) for grant in kept})
            if len(left) < len(all_of_them) and _at(source, ("routes", route, *at)):
                line = source.place(("routes", route, *at), False)[0]
                yield Edit(path, line, route, at[-1], words, tuple(left))

    def _drop(self, path: Path, line: int) -> None:
        """A key and all that is indented below it."""
        lines = self._texts[path].splitlines(keepends=True)
        indent = len(lines[line - 1]) - len(lines[line - 1].lstrip(" "))
        end = line
        while end < len(lines) and (
            not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip(" ")) > indent
        ):
            end += 1
        while end > line and not lines[end - 1].strip():
            end -= 1
        self._texts[path] = "".join(lines[: line - 1] + lines[end:])

    def _choose(self, edit: Edit) -> bool:
        """One of several, or fewer of them, where they stand in one line."""
        lines = self._texts[edit.path].splitlines(keepends=True)
        kept = edit.kept
        written = kept[0] if len(kept) == 1 else f"{{any_of: [{', '.join(kept)}]}}"
        pattern = re.compile(rf"(\b{edit.key}:\s*)(\{{\s*any_of:\s*\[[^\]]*\]\s*\}})")
        changed, count = pattern.subn(lambda found: found[1] + written, lines[edit.line - 1])
        if count != 1:
            return False
        lines[edit.line - 1] = changed
        self._texts[edit.path] = "".join(lines)
        return True


def _at(source: Source, place: tuple[str, ...]) -> bool:
    """Whether a file has this key."""
    here = source.value
    for key in place:
        if not isinstance(here, dict) or key not in here:
            return False
        here = here[key]
    return True
