"""Each command's help ends with examples that its own parser takes, and says what its exit codes mean."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from yett.cli.app import app, build, is_brief
from yett.cli.examples import EXAMPLES


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Commands, and groups of them, by their words."""
    inner = getattr(command, "commands", None)
    if words:
        yield " ".join(words), command
    for name, one in (inner or {}).items():
        yield from commands(one, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
LINES = [(words, line) for words, (lines, _) in EXAMPLES.items() for line in lines]


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("first", sorted({words.split()[0] for words in COMMANDS}))
def test_what_is_typed_is_built_alone_and_is_the_same(first: str) -> None:
    alone = typer.main.get_command(build(first))
    assert list(alone.commands) == [first]
    for words, command in commands(alone):
        whole = COMMANDS[words]
        assert (command.help, command.epilog) == (whole.help, whole.epilog)
        assert [(one.name, one.opts, one.required) for one in command.params] == [
            (one.name, one.opts, one.required) for one in whole.params
        ]


def test_what_goes_on_is_searched_for_cycles() -> None:
    assert is_brief(["lint", "gateway.yaml"]) and is_brief(["test", "gateway.yaml"])
    for words in (["run", "gateway.yaml"], ["demo"], ["test", "gateway.yaml", "--watch"], ["--version"], []):
        assert not is_brief(words)


@pytest.mark.parametrize("first", [None, "lnit", "--version", ""])
def test_what_is_no_command_is_told_by_all_of_them(first: str | None) -> None:
    assert dict(commands(typer.main.get_command(build(first)))).keys() == COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_ends_with_exit_codes(words: str) -> None:
    end = COMMANDS[words].epilog
    assert end.startswith("Examples:")
    assert "Exit codes: 0 " in end and end.endswith("2 wrong usage.")


@pytest.mark.parametrize(("words", "line"), LINES)
def test_an_example_is_one_of_its_command(words: str, line: str) -> None:
    """Parsed, not run: a word or an option that is not there raises."""
    typed = shlex.split(line.partition(" < ")[0].partition(" > ")[0])
    expected = ["yett", *words.split()]
    assert typed[: len(expected)] == expected
    while " ".join((words, *typed[len(expected) : len(expected) + 1])) in COMMANDS and typed[len(expected) :]:
        expected.append(typed[len(expected)])
        words = " ".join(expected[1:])
    context = COMMANDS[words].make_context(words, typed[len(expected) :])
    assert not context.args


def test_what_is_no_option_raises() -> None:
    with pytest.raises(Exception, match="--nothing"):
        COMMANDS["check"].make_context("check", ["gateway.yaml", "--nothing"])
