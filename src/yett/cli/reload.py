"""`yett reload`: ask a running gateway to read its configuration again."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli import running
from yett.cli.output import FINDINGS, Format, print_json, print_problems
from yett.cli.running import FILE, SOCKET


def reload(
    file: Path = FILE,
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Reload a running gateway. A configuration with errors changes nothing; the old one keeps serving."""
    answer = running.reload(file, socket)
    if format is Format.JSON:
        print_json(answer)
    elif answer["ok"]:
        state = "serving" if answer["changed"] else "unchanged"
        typer.echo(f"revision {answer['revision'][:12]} {state}")
        for line in answer["weakened"]:
            typer.echo(f"weakened: {line}")
    else:
        print_problems(answer["problems"])
        typer.echo(f"nothing was changed: revision {answer['revision'][:12]} keeps serving", err=True)
    if not answer["ok"]:
        raise typer.Exit(FINDINGS)
