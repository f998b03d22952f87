"""The command line. A command is a module that imports what is heavy when it runs, for a quick `--help`."""

from __future__ import annotations


def main() -> None:
    """The `yett` program."""
    from yett.cli.app import app

    app()
