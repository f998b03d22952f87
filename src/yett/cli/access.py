"""`yett access`: who can reach what."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yett.cli.output import FINDINGS, USAGE, fail, print_json, print_lines, refusals
from yett.cli.test import configuration

if TYPE_CHECKING:
    from yett.policy.engine import Engine


class Format(StrEnum):
    """How the map is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


def access(
    file: Path = typer.Argument(..., help="The configuration, or a directory with a gateway.yaml."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text, markdown, html or json."),
    who: str | None = typer.Option(
        None,
        "--as",
        help="All that one caller could reach: the name of a key or certificate, a subject of tokens, or a principal.",
    ),
    token_file: str | None = typer.Option(
        None, "--token-file", help="All that this token could reach; `-` is standard input."
    ),
    key: str | None = typer.Option(None, "--key", help="All that the API key in this file could reach."),
    used: Path | None = typer.Option(
        None, "--used", help="An access log: what callers may do beside what they did."
    ),
    days: int = typer.Option(90, "--days", min=1, help="With `--used`: grants that nobody used for so long."),
) -> None:
    """Who can reach what, asked of the code that decides live requests: classes of callers by route and method."""
    from yett.policy import engine as engines

    file = configuration(file)
    if sum(one is not None for one in (who, token_file, key, used)) > 1:
        fail("`--as`, `--token-file`, `--key` and `--used` are different questions; ask one", USAGE)
    with refusals():
        engine = engines.from_anywhere(file, offline=token_file is None)
        if used is not None:
            raise typer.Exit(_used(file, engine, used, days, format))
        if who is not None or token_file is not None or key is not None:
            raise typer.Exit(_caller(engine, who, token_file, key, format))
        _map(engine, file, format)


def _map(engine: Engine, file: Path, format: Format) -> None:
    from yett.policy.access import reach, render

    found = reach.build(engine)
    if format is Format.JSON:
        print_json(render.document(found))
    elif format is Format.HTML:
        typer.echo(render.page(found, f"who can reach what: {file.name}"))
    else:
        print_lines(render.lines(found) if format is Format.TEXT else render.markdown(found))


def _caller(engine: Engine, who: str | None, token_file: str | None, key: str | None, format: Format) -> int:
    from yett.policy.access import reach, render
    from yett.policy.engine import secret_text

    if token_file is not None:
        known, rows = reach.of_caller(
            engine, headers=(("Authorization", f"Bearer {secret_text(token_file)}"),)
        )
    elif key is not None:
        headers = sorted({one["header"] for one in engine.providers if one["type"] == "api_key"})
        if not headers:
            fail("no identity provider takes API keys", USAGE)
        value = secret_text(key)
        answers = [reach.of_caller(engine, headers=((name, value),)) for name in headers]
        known, rows = next((answer for answer in answers if answer[0]), answers[0])
    else:
        known, rows = _named(engine, str(who))
    if format is Format.JSON:
        shown = (
            {name: known[name] for name in ("provider", "kind", "scopes", "roles", "tenant")}
            if known
            else None
        )
        print_json({"caller": shown, "reaches": render.reached(rows)})
    elif format is Format.TEXT:
        print_lines(render.caller_lines(known, rows))
    else:
        fail("one caller is printed as text or json", USAGE)
    return 0


def _named(engine: Engine, who: str) -> Any:
    from yett.cli.explain import principal_of
    from yett.policy.access import reach
    from yett.policy.testing.principals import TOKENS

    if who.startswith(("{", "@")):
        return reach.of_caller(engine, [principal_of(engine, who, "--as")])
    found: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    for provider in engine.providers:
        name = provider["name"]
        entries = [one for key in ("keys", "identities", "clients") for one in provider.get(key, ())]
        if any(who in {entry.get("name"), entry.get("id")} for entry in entries if isinstance(entry, dict)):
            found.append({"provider": name, "name": who})
        elif provider["type"] in TOKENS:
            tokens.append({"provider": name, "claims": {"sub": who}})
    candidates = found or tokens
    if len(candidates) != 1:
        names = ", ".join(f"`{one['provider']}`" for one in candidates) or "no provider"
        fail(
            f"`{who}` may be of {names}; write a principal, such as `{{provider: id, subject: {who}}}`", USAGE
        )
    return reach.of_caller(engine, candidates)


def _used(file: Path, engine: Engine, log: Path, days: int, format: Format) -> int:
    from yett.policy.access import report, used

    now = datetime.now(UTC)
    found = used.read(engine.document, log)
    if format is Format.JSON:
        print_json(report.document(file, found, days, now))
    elif format is Format.TEXT:
        print_lines(report.lines(file, found, days, now))
    else:
        fail("use is printed as text or json", USAGE)
    return FINDINGS if found.unused(days, now) else 0
