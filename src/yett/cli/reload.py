"""`yett reload`: ask a running gateway to read its configuration again."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import FINDINGS, Format, fail, print_json, print_problems

FILE = typer.Argument(Path("gateway.yaml"), help="The configuration that the gateway was started with.")
SOCKET = typer.Option(None, "--socket", help="The control socket that the gateway was started with.")


def reload(
    file: Path = FILE,
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Reload a running gateway. A configuration with errors changes nothing; the old one keeps serving."""
    from yett.control import channel

    try:
        path = socket or channel.socket_path(file)
        answer = channel.ask(path, {"command": "reload"}, timeout_s=120.0, derived=socket is None)
    except channel.Unreachable as error:
        fail(str(error))
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
