"""What every command shares: how errors are printed, and what a failure ends with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NoReturn

import typer

from yett.config.words import one_line

FINDINGS = 1
USAGE = 2


class Format(StrEnum):
    """How a command prints its result."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a report that people also put into pull requests is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


def counted(count: object, things: str) -> str:
    """`1 error`, `2 errors`; `things` in the plural."""
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def fail(message: str, code: int = FINDINGS) -> NoReturn:
    """Prints one message on stderr and ends the command."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Prints a document on stdout."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


def print_lines(lines: Iterable[str]) -> None:
    """Prints a report on stdout; what others wrote cannot begin a line of its own, nor command the terminal."""
    for line in lines:
        typer.echo(one_line(line))


def print_problems(problems: Iterable[Mapping[str, Any]]) -> None:
    """Prints `file:line:column: message` lines on stderr; below them what makes the files of the demo shop, where those are missing."""
    unmade = False
    for problem in problems:
        typer.echo(problem["text"], err=True)
        unmade |= "`.state/" in problem["text"] and "does not exist" in problem["text"]
    if unmade:
        typer.echo("in the demo shop, `yett demo prepare` makes what stands in `.state`", err=True)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Ends the command where a configuration is refused (findings), or a question cannot be answered (usage)."""
    from yett.control import source
    from yett.policy.engine import Unanswerable

    try:
        yield
    except source.Refused as refused:
        print_problems(refused.problems)
        raise typer.Exit(FINDINGS) from None
    except Unanswerable as error:
        fail(str(error), USAGE)
