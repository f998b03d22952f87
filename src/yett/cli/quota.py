"""`yett quota`: who has used how much of which quota of a running gateway; and give a key its whole quota again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json
from yett.cli.running import FILE, SOCKET, ask, moment, rows

app = typer.Typer(name="quota", help="Use of quotas.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Use of quotas of a running gateway."""


@app.command("show")
def show(
    file: Path = FILE,
    quota: str | None = typer.Option(None, "--quota", help="Only the quota of this name."),
    key: str | None = typer.Option(None, "--key", help="Only what this key used, such as `acme`."),
    above: str | None = typer.Option(
        None, "--above", help="Only who has used so much, such as `80%`; ends with 1 where there is somebody."
    ),
    top: int = typer.Option(
        100, "--top", min=1, max=10_000, help="At most so many, those nearest their end first."
    ),
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Show who has used how much in this period, those nearest their end first."""
    wanted: dict[str, Any] = {"top": top}
    if quota is not None:
        wanted["quota"] = quota
    if key is not None:
        wanted["key"] = key
    if above is not None:
        percent = above.removesuffix("%").strip()
        if not percent.isascii() or not percent.isdecimal() or not 1 <= int(percent) <= 100:
            fail(f"`{above}` is no part of an amount; write `1%` to `100%`", USAGE)
        wanted["above"] = int(percent)
    answer = rows(file, socket, "quotas", wanted)
    if format is Format.JSON:
        print_json(answer)
    else:
        _table(answer)
    if answer["unknown"] or (above is not None and answer["rows"]):
        raise typer.Exit(FINDINGS)


@app.command("reset")
def reset(
    quota: str = typer.Argument(..., help="The name of the quota."),
    key: str = typer.Argument(
        ..., help="Whose, as `yett quota show` shows it, or its `id` (`--format json`)."
    ),
    file: Path = FILE,
    scope: str | None = typer.Option(
        None, "--scope", help="Where the quota stands, such as `group:orders`, where several have the name."
    ),
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Give a key its whole quota of this period again. The gateway logs it."""
    request = {"quota": quota, "key": key, **({"scope": scope} if scope is not None else {})}
    answer = ask(file, socket, {"command": "quotas", "request": {"reset": request}})
    if format is Format.JSON:
        print_json(answer)
    elif answer["reset"]:
        typer.echo(
            f"`{key}` had used {answer['used_before']} of `{quota}` ({answer['scope']}), and begins anew"
        )
    if not answer["reset"]:
        fail(answer["problem"])


def _table(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("quota", "of", "key", "used", "amount", "share", "period ends")
    for one in answer["rows"]:
        share = f"{one['share_permille'] / 10:.1f}%"
        if one["threshold_percent"] is not None:
            share += f" (above {one['threshold_percent']}%)"
        cells = [
            f"{one['quota']} ({one['scope']})", one["by"], one["key"], str(one["used"]), str(one["amount"]), share, moment(one["period_ends_s"]),
        ]  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
    for name in answer["unknown"]:
        typer.echo(f"what is used of `{name}` is not known: Redis does not say")
    if answer["more"]:
        typer.echo(f"{answer['more']} more; --top shows them")
    typer.echo(f"{answer['held']} keys of {answer['room']}")
    if answer["overflowed"]:
        typer.echo(
            f"{answer['overflowed']} requests were charged to the entry that keys without a place share; raise `process.quota_keys`"
        )
    if answer["unwritten_ms"] > 5_000:
        typer.echo(
            f"nothing could be written for {answer['unwritten_ms'] / 1000:.0f} s; the gateway's log says why"
        )
