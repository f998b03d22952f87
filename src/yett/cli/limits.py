"""`yett limits`: limits that observed traffic asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from yett.cli.output import FINDINGS, print_json, refusals

app = typer.Typer(name="limits", help="Limits, and what traffic asks of them.", no_args_is_help=True)


class Format(StrEnum):
    """How suggestions are printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


@app.callback()
def root() -> None:
    """Limits, and what traffic asks of them."""


@app.command("suggest")
def suggest(
    logs: list[Path] = typer.Argument(
        ..., metavar="LOG...", help="Access logs; `.gz` is read as well, `-` is standard input."
    ),
    config: Path | None = typer.Option(
        None,
        "--config",
        help="The configuration: routes that it has not do not count, its limits keep their names.",
    ),
    headroom: float = typer.Option(
        2.0, "--headroom", min=1.0, max=100.0, help="How many times what was seen is allowed."
    ),
    min_requests: int = typer.Option(
        1000,
        "--min-requests",
        min=1,
        help="Requests below which nothing is suggested for a class of callers.",
    ),
    min_hours: int = typer.Option(
        24, "--min-hours", min=1, help="Hours with requests below which nothing is suggested."
    ),
    format: Format = typer.Option(
        Format.TEXT, "--format", help="text, json, or yaml: a part of a configuration."
    ),
) -> None:
    """Suggest limits from access logs: what callers of each route asked for, and what leaves them room. Ends with 1 where
    there is too little to go by."""
    from yett.policy.limits import render
    from yett.policy.limits import suggest as suggestions
    from yett.policy.limits.observe import Observer

    wanted = suggestions.Wanted(min_requests, min_hours, headroom)
    with refusals():
        routes = _routes(config) if config is not None else None
        traffic = Observer(routes, datetime.now(UTC)).read(logs)
    rows = suggestions.rows(traffic, wanted)
    limits = suggestions.limits(rows, wanted)
    if format is Format.JSON:
        print_json(render.document(traffic, rows, limits, wanted))
    elif format is Format.YAML:
        for line in (*render.stands_on(traffic), *(f"{row.group.route}, {row.group.callers}: too little: {row.why_not}" for row in rows if row.why_not)):  # fmt: skip
            typer.echo(line, err=True)
        if limits:
            typer.echo(render.snippet(traffic, limits, _names(routes or {})), nl=False)
    else:
        for line in render.lines(traffic, rows, limits, wanted, _names(routes or {})):
            typer.echo(line)
    if not limits:
        typer.echo("nothing is suggested: there is too little to go by", err=True)
    if not limits or any(row.why_not for row in rows):
        raise typer.Exit(FINDINGS)


def _routes(config: Path) -> dict[str, dict[str, Any]]:
    """The routes of a configuration, compiled, by name."""
    import json

    from yett.control import source

    return {route["name"]: route for route in json.loads(source.compiled_file(config).ir)["routes"]}


def _names(routes: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What the limit of each route is called: as the one that it takes the place of, and never as one of its group."""
    found = {}
    for name, route in routes.items():
        named = isinstance(route["access"], dict)
        limits = route["rate_limits" if named else "address_limits"]
        own = [one["name"] for one in limits if one["scope"] == f"route:{name}"]
        others = {one["name"] for one in (*route["rate_limits"], *route["address_limits"])} - set(own)
        others |= {one["source"].rpartition(".")[2] for one in route.get("shadow_limits", ())}
        usual = "per-caller" if named else "per-address"
        found[name] = next(
            one for one in (*own[:1], usual, f"{usual}-here", f"{usual}-of-{name}"[:64]) if one not in others
        )
    return found
