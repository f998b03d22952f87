"""The list of commands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module

import typer

from yett.cli import examples

# By the first word; the module of `yett.cli` and, where it is not called like the module, the function.
COMMANDS = {
    "init": "init",
    "check": "check",
    "lint": "lint",
    "test": "test:run_tests",
    "explain": "explain",
    "access": "access",
    "diff": "diff",
    "replay": "replay",
    "run": "run",
    "reload": "reload",
    "status": "status",
    "revoke": "revoke",
    "selftest": "selftest",
    "schema": "schema",
}
BRIEF = {"check", "lint", "test", "explain", "access", "diff", "replay", "schema"}
"""Those that read, say what they found, and end."""
GROUPS = {
    "keys": "keys",
    "identity": "identity",
    "limits": "limits",
    "quota": "quota",
    "bans": "bans",
    "certs": "certs",
    "import": "import_",
    "demo": "demo",
}


@cache
def build(only: str | None = None) -> typer.Typer:
    """The program with all its commands, or with the one that is typed: reading the options of all takes longer than most
    commands work. Any other word is left to the program with all of them, which knows what to say of it.
    """
    known = only in COMMANDS or only in GROUPS
    found = typer.Typer(
        name="yett",
        help="A secure API gateway for microservices.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=f"Exit codes: {examples.CODES} Each command has examples under its `--help`.",
    )
    for name, place in COMMANDS.items():
        if not known or name == only:
            module, _, function = place.partition(":")
            found.command(name)(getattr(import_module(f"yett.cli.{module}"), function or module))
    for name, module in GROUPS.items():
        if not known or name == only:
            found.add_typer(import_module(f"yett.cli.{module}").app, name=name)
    examples.attach(found)
    found.callback(invoke_without_command=True)(root)
    return found


def is_brief(words: Sequence[str]) -> bool:
    """Whether what is typed ends by itself, soon."""
    return bool(words) and words[0] in BRIEF and "--watch" not in words


def root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    """A secure API gateway for microservices."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"yett {installed('yett')}")
        raise typer.Exit


def __getattr__(name: str) -> typer.Typer:
    """`app`: all of it."""
    if name != "app":
        raise AttributeError(f"module `yett.cli.app` has no `{name}`")
    return build()
