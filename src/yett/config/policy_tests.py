"""Where the policy tests of a configuration stand."""

from __future__ import annotations

from pathlib import Path

from yett.config.base import Location
from yett.config.gateway import Gateway
from yett.config.places import Places
from yett.errors import ConfigError

MAX_FILES = 1000


def files(gateway: Gateway, places: Places) -> tuple[tuple[Path, ...], list[ConfigError]]:
    """The files that `tests:` names, in its order and each once, and what is wrong with it."""
    found: dict[Path, None] = {}
    errors: list[ConfigError] = []
    for index, pattern in enumerate(gateway.tests):
        at: Location = ("tests", index)
        matching = _matching(places.directory, pattern)
        if not matching:
            text = f"`{pattern}` matches no file; paths are relative to this file"
            errors.append(places.error(at, "tests_missing", text))
        found.update(dict.fromkeys(matching))
    if len(found) > MAX_FILES:
        errors.append(
            places.error(("tests",), "tests_too_many", f"more than {MAX_FILES} files of tests are named")
        )
    return tuple(found), errors


def _matching(directory: Path, pattern: str) -> list[Path]:
    if not any(character in pattern for character in "*?["):
        path = directory / pattern
        return [path] if path.is_file() else []
    anchor = Path(pattern).anchor
    base = Path(anchor) if anchor else directory
    return sorted(path for path in base.glob(str(Path(pattern).relative_to(anchor or "."))) if path.is_file())
