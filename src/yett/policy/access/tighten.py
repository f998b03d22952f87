"""A configuration without what nobody used: the same text, with less in it, as a diff."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from yett.config.base import Location
from yett.config.places import Source
from yett.policy.access.used import Grant, Used


class Tightened:
    """The files of a configuration, edited. What cannot be edited safely is left and told."""

    def __init__(self, sources: dict[Path, Source]) -> None:
        self._sources = sources
        self._texts = {path: path.read_text() for path in sources}
        self.left: list[str] = []

    def texts(self) -> dict[Path, str]:
        """The edited files."""
        return {path: text for path, text in self._texts.items() if text != path.read_text()}

    def diff(self) -> str:
        """As `diff -u` writes it."""
        return "".join(
            line
            for path, text in self.texts().items()
            for line in difflib.unified_diff(
                path.read_text().splitlines(keepends=True),
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
        edits: list[tuple[Path, int, str, list[str], str]] = []
        for route, own in by_route.items():
            found = next((path for path, source in self._sources.items() if _has(source, route)), None)
            if found is None or not any(grant in gone for grant in own):
                continue
            source = self._sources[found]
            line = source.place(("routes", route), True)[0]
            if all(grant in gone for grant in own):
                edits.append((found, line, route, [], "route"))
                continue
            methods = {grant.method for grant in own}
            kept = [
                method for method in sorted(methods) if any(g.method == method and g not in gone for g in own)
            ]
            if len(kept) < len(methods):
                place = source.place(("routes", route, "match", "methods"), False)[0]
                edits.append((found, place, route, kept, "methods"))
        for path, line, route, kept, kind in sorted(edits, key=lambda edit: (str(edit[0]), -edit[1])):
            if kind == "route":
                self._drop(path, line)
            elif not self._methods(path, line, kept):
                self.left.append(f"{path}:{line}: leave `{', '.join(kept)}` as the methods of `{route}`")

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

    def _methods(self, path: Path, line: int, kept: list[str]) -> bool:
        """The methods of a route where they stand in one line."""
        lines = self._texts[path].splitlines(keepends=True)
        written = kept[0] if len(kept) == 1 else f"{{any_of: [{', '.join(kept)}]}}"
        pattern = re.compile(r"(methods:\s*)(\{\s*any_of:\s*\[[^\]]*\]\s*\})")
        changed, count = pattern.subn(lambda found: found[1] + written, lines[line - 1])
        if count != 1:
            return False
        lines[line - 1] = changed
        self._texts[path] = "".join(lines)
        return True


def _has(source: Source, route: str) -> bool:
    routes = source.value.get("routes") if isinstance(source.value, dict) else None
    at: Location = ("routes", route)
    return isinstance(routes, dict) and at[1] in routes
