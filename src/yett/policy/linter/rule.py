"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from yett.config.base import Location

if TYPE_CHECKING:
    from yett.policy.linter.context import Context
    from yett.policy.linter.fix import Fix


class Severity(StrEnum):
    """How much it matters. Errors end `yett lint` with 1 and, in production, keep a configuration from being served."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the most severe."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule found at one place."""

    at: Location
    """The part of the configuration; its first two steps are what an exception names."""
    message: str
    """What is wrong, and what to do."""
    severity: Severity | None = None
    """Where it is not the rule's own."""
    on_key: bool = True
    """Whether the key is meant, and not its value."""
    group: str | None = None
    """The group in which one change would do for all of its routes; hits in all of them are shown as one."""
    fix: Fix | None = None
    """A change of the file that changes nothing of what is served."""
    file: tuple[str, int, int] | None = None
    """Another file than that of the configuration: name, line, column."""


Check = Callable[["Context"], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """A rule: one module of `yett.policy.lint`, one page of `docs/lint`."""

    id: str
    """Stable; kebab case; the name of the page."""
    severity: Severity
    """The most severe that it can be."""
    title: str
    """What it finds, in half a sentence."""
    check: Check
    references: tuple[str, ...] = ()
    """OWASP API Security Top 10 2023 (`API2:2023`), NIST SP 800-204 (`SP 800-204 4.3`), CWE."""
    fixable: bool = False
    """Whether some of its hits carry a fix."""
    dated: bool = False
    """Whether it is the day that makes it an error: then it is said, and keeps no configuration from being served."""


@dataclass(frozen=True)
class Finding:
    """A hit with its rule and its place in a file."""

    rule: Rule
    severity: Severity
    file: str
    line: int
    """From 1; 0 where there are no lines (a configuration written in Python)."""
    column: int
    where: str
    """`routes.orders.match`."""
    message: str
    routes: tuple[str, ...] = ()
    """The routes that a finding of a whole group stands for."""
    fix: Fix | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else f"{self.file}: {self.where}"
        return f"{place}: {self.severity}: {self.message} [{self.rule.id}]"
