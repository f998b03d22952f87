"""`yett status`: what a running gateway is doing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from yett.cli.output import Format, counted, print_json
from yett.cli.running import FILE, SOCKET, ask


def status(
    file: Path = FILE,
    socket: Path | None = SOCKET,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Show the revision, listeners, last reload and everything weakened of a running gateway."""
    answer = ask(file, socket, {"command": "status"}, 10.0)
    if format is Format.JSON:
        print_json(answer)
    else:
        show(answer)


def show(answer: dict[str, Any]) -> None:
    """Prints a status document for people."""
    gateway = answer["gateway"]
    typer.echo(f"configuration  {answer['file']}")
    typer.echo(f"revision       {answer['revision'][:12]}")
    typer.echo(
        f"process        {answer['pid']}, {counted(gateway.get('workers', '?'), 'workers')}, up {answer['up_s']:.0f} s"
    )
    for listener in gateway.get("listeners", []):
        typer.echo(f"listener       {listener['name']} {listener['address']}")
    if gateway.get("admin"):
        typer.echo(f"admin          {gateway['admin']['address']}")
    if "connections" in gateway:
        typer.echo(f"connections    {gateway['connections']}")
    for endpoint in gateway.get("endpoints") or []:
        state = "healthy" if endpoint["healthy"] else "ejected" if endpoint["ejected"] else "UNHEALTHY"
        typer.echo(f"endpoint       {endpoint['service']} {endpoint['endpoint']} {state}")
    for one in gateway.get("geo") or []:
        age = "never read" if one["age_s"] is None else f"built {counted(one['age_s'] // 86_400, 'days')} ago"
        state = "" if one["current"] else "; the file is DAMAGED OR GONE"
        typer.echo(
            f"geo            {one['database']} {one['file']} {age}{' (OLD)' if one['old'] else ''}{state}"
        )
    last = answer["last_reload"]
    if last is not None:
        outcome = (
            "ok"
            if last["ok"]
            else f"FAILED, {counted(len(last['problems']), 'errors')}, the old revision serves"
        )
        typer.echo(f"last reload    {last['at']} by {last['cause']}: {outcome}")
        for problem in last["problems"]:
            typer.echo(f"               {problem['text']}")
    if answer["control_restarts"]:
        typer.echo(f"control plane  restarted {answer['control_restarts']} times")
    for line in answer["weakened"]:
        typer.echo(f"weakened       {line}")
