"""Each command's help ends with examples that its own parser takes, and says what its exit codes mean."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
import typer.main

from yett.cli.app import app
from yett.cli.examples import EXAMPLES

ROOT = typer.main.get_command(app)
# A group that is a command, too: its lines stand in the help of the whole.
WITHOUT = {"demo"}


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*words, name))
    else:
        yield " ".join(words), command


COMMANDS = dict(commands(ROOT))


def test_every_command_has_examples() -> None:
    assert set(COMMANDS) - WITHOUT == set(EXAMPLES)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_ends_with_examples_and_exit_codes(words: str) -> None:
    end = COMMANDS[words].epilog or ""
    assert "Examples:" in end
    assert "Exit codes: 0 " in end and ", 2 wrong usage." in end.replace("; 2", ", 2")


@pytest.mark.parametrize("line", [line for lines, _ in EXAMPLES.values() for line in lines])
def test_an_example_is_one_of_its_command(line: str) -> None:
    """Parsed, not run: a word or an option that is not there raises."""
    words = shlex.split(line.partition(" < ")[0].partition(" > ")[0])
    assert words.pop(0) == "yett"
    command: click.Command = ROOT
    context = click.Context(ROOT, info_name="yett")
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, words)
