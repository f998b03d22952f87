"""What Yett raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class YettError(Exception):
    """Anything that Yett raises on purpose."""


@dataclass(frozen=True, order=True)
class ConfigError:
    """One fault of a configuration.

    `file` as the user named it; `line` and `column` from 1, or 0 where there are none (`gateway.py`), and then
    `where` names the attribute. `code` is stable.
    """

    file: str
    line: int
    column: int
    where: str
    message: str
    code: str
    excerpt: str = ""
    """Lines that show the place, where the file's line and column do not say enough."""

    def __str__(self) -> str:
        if self.line:
            return f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{self.file}: {self.where}: {self.message}" if self.where else f"{self.file}: {self.message}"


class ConfigurationError(YettError):
    """A configuration does not load. `errors` has everything that is wrong, in the order of the files."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors: tuple[ConfigError, ...] = tuple(sorted(set(errors)))
        super().__init__("\n".join(str(error) for error in self.errors))
