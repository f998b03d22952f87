"""`yett bans`: from where nobody new may log in to a running gateway; and end that."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import typer

from yett.cli.output import USAGE, Format, fail, print_json
from yett.cli.running import FILE, SOCKET, ask, moment, rows

app = typer.Typer(name="bans", help="Bans of guarded logins.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Bans of guarded logins of a running gateway."""


@app.command("show")
def show(
    file: Path = FILE,
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Show from where nobody new may log in, why, and until when."""
    answer = rows(file, socket, "bans", {})
    if format is Format.JSON:
        print_json(answer)
    else:
        _table(answer)


@app.command("lift")
def lift(
    address: str = typer.Argument(..., help="The address, as `yett bans show` shows it."),
    file: Path = FILE,
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Let an address log in again, and forget what it did. The gateway logs it."""
    try:
        wanted = str(ipaddress.ip_address(address.removesuffix("/64")))
    except ValueError:
        fail(f"`{address}` is no address; write one as `yett bans show` shows it", USAGE)
    answer = ask(file, socket, {"command": "bans", "request": {"lift": {"address": wanted}}})
    if format is Format.JSON:
        print_json(answer)
    elif answer["lifted"]:
        typer.echo(f"`{answer['address']}` may log in again; {answer['refused']} attempts were refused")
    if not answer["lifted"]:
        fail(answer["problem"])


def _table(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("address", "route", "why", "since", "until", "refused")
    for column in table.columns:
        # Whatever is cut cannot be read: the end of a ban least of all.
        column.overflow = "fold"
    for one in answer["rows"]:
        cells = [
            one["address"],
            one["route"],
            one["why"],
            moment(one["began_s"]),
            moment(one["ends_s"]),
            str(one["refused"]),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
    typer.echo(f"{len(answer['rows'])} banned; room for {answer['room']}")
    if answer["without_room"]:
        typer.echo(
            f"{answer['without_room']} more would have been banned, had there been room; they are refused by their score"
        )
