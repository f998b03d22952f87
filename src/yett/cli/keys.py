"""`yett keys`: API keys, which are shown once and kept as keyed hashes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from yett.cli import assertion_keys, running
from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json, print_problems

app = typer.Typer(help="API keys: shown once, kept as keyed hashes.", no_args_is_help=True)
app.add_typer(assertion_keys.app, name="assertion")

KEYS_FILE = typer.Option(Path("partners.keys.yaml"), "--file", "-f", help="The keys file of the provider.")
NAME = typer.Option(..., "--name", help="Whose key it is.")
FORMAT = typer.Option(Format.TEXT, "--format", help="text or json.")
PEPPER_FILE = typer.Option(None, "--pepper-file", help="The file in the provider's `pepper:`.")
PEPPER_ENV = typer.Option("", "--pepper-env", help="The variable in the provider's `pepper:`.")
RELOAD = typer.Option(False, "--reload", help="Have the running gateway read the file again.")
CONFIG = typer.Option(Path("gateway.yaml"), "--config", help="The configuration that it was started with.")
SOCKET = typer.Option(None, "--socket", help="The control socket that it was started with.")


@app.command()
def create(
    name: str = typer.Option(..., "--name", help="Who gets it; unique in the file."),
    scope: list[str] = typer.Option([], "--scope", help="A scope it carries; may be repeated."),
    role: list[str] = typer.Option([], "--role", help="A role it carries; may be repeated."),
    tenant: str = typer.Option("", "--tenant", help="The tenant that it belongs to."),
    partner: str = typer.Option("", "--partner", help="The partner that it belongs to."),
    kind: str = typer.Option("service", "--kind", help="`service` or `device`; a key is never a user."),
    allow: list[str] = typer.Option(
        [], "--allow", help="A network that it may be used from; may be repeated."
    ),
    expires: str = typer.Option("90d", "--expires", help="`90d`, `12h`, a date `2027-01-31`, or `never`."),
    file: Path = KEYS_FILE,
    pepper_file: Path | None = PEPPER_FILE,
    pepper_env: str = PEPPER_ENV,
    reload: bool = RELOAD,
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
) -> None:
    """Create a key: prints it once on stdout and appends its hash to the keys file."""
    from yett.control import keys

    extra, until = _usage(pepper_file, pepper_env, expires)
    try:
        new = keys.NewKey(
            name=name, scopes=scope, roles=role, tenant=tenant or None, expires=until, partner=partner or None,
            kind=kind, allowed_addresses=allow,
        )  # fmt: skip
        text = keys.create(file, new, extra)
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(text)
    typer.echo(f"`{name}` is in {file} and {_ends(until)}; the key is not shown again", err=True)
    _reload(reload, config, socket, "hand it over, then ")


@app.command()
def rotate(
    name: str = NAME,
    overlap: str = typer.Option(
        "7d", "--overlap", help="How long the key before stays good: `7d`, `12h`, a date, or `0`."
    ),
    expires: str = typer.Option(
        "", "--expires", help="When the new key ends; as the one before if left out."
    ),
    file: Path = KEYS_FILE,
    pepper_file: Path | None = PEPPER_FILE,
    pepper_env: str = PEPPER_ENV,
    reload: bool = RELOAD,
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
) -> None:
    """Give a name a new key: both are good until the overlap ends. Scopes, limits and the name in logs stay."""
    from yett.control import keys

    if overlap == "never":
        fail("an overlap has to end: `--overlap 7d`, a date, or `0`", USAGE)
    extra, ends = _usage(pepper_file, pepper_env, expires or "never")
    _, until = _usage(None, "", "never" if overlap in {"0", "0m", "0h", "0d"} else overlap)
    try:
        text, last = keys.rotate(file, name, until, extra, ends)
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(text)
    before = (
        "is refused after the next reload" if last is None else f"is good until {last:%Y-%m-%dT%H:%M:%SZ}"
    )
    typer.echo(f"`{name}` has a new key, which is not shown again; the one before {before}", err=True)
    _reload(reload, config, socket, "hand it over, then " if last else "")


@app.command()
def expire(
    name: str = NAME,
    at: str = typer.Option(..., "--at", help="`12h`, `30d`, a date `2027-01-31`, or `never`."),
    file: Path = KEYS_FILE,
    reload: bool = RELOAD,
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
) -> None:
    """Set when the keys of a name end. To end them now, revoke them."""
    from yett.control import keys

    _, until = _usage(None, "", at)
    try:
        keys.expire(file, name, until)
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(f"`{name}` {_ends(until)}", err=True)
    _reload(reload, config, socket)


@app.command()
def revoke(
    name: str = NAME,
    id: str = typer.Option("", "--id", help="Only the earlier key with this id."),
    file: Path = KEYS_FILE,
    reload: bool = RELOAD,
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
) -> None:
    """Withdraw the keys of a name. They are refused once the gateway has read the file again: with `--reload`, at once."""
    from yett.control import keys

    try:
        gone = keys.revoke(file, name, id or None)
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(f"withdrawn from {file}: {', '.join(gone)}", err=True)
    if not reload:
        typer.echo("a running gateway takes it until it reads the file again", err=True)
    _reload(reload, config, socket)


@app.command()
def show(
    name: str = NAME,
    file: Path = KEYS_FILE,
    used: bool = typer.Option(False, "--used", help="Ask the running gateway when each was last used."),
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
    format: Format = FORMAT,
) -> None:
    """Show what a key carries, its earlier keys, and when they end; never a key or a hash."""
    found = [row for row in _rows(file, used, config, socket) if row["name"] == name]
    if not found:
        fail(f"nobody in {file} is called `{name}`; `yett keys list --file {file}`")
    if format is Format.JSON:
        print_json(found[0])
        return
    for key, value in found[0].items():
        if key == "previous":
            for one in value:
                typer.echo(
                    f"{'earlier key':<18} {one['id']}, {one['state']}, ends {one['expires']}{_last(one)}"
                )
        elif value not in (None, []):
            typer.echo(f"{key:<18} {' '.join(value) if isinstance(value, list) else value}")


@app.command("list")
def list_keys(
    file: Path = KEYS_FILE,
    used: bool = typer.Option(False, "--used", help="Ask the running gateway when each was last used."),
    config: Path = CONFIG,
    socket: Path | None = SOCKET,
    format: Format = FORMAT,
) -> None:
    """List the keys of a file: names, ids, what they carry, when they expire and when they were last used."""
    rows = _rows(file, used, config, socket)
    if format is Format.JSON:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Column, Table

    whole = [Column(name, no_wrap=True) for name in ("id", "expires")]
    table = Table(
        "name",
        whole[0],
        Column("scopes", overflow="fold"),
        "roles",
        "tenant",
        whole[1],
        "state",
        *(["last used"] if used else []),
    )
    for row in rows:
        for one in [row, *({**row, **earlier} for earlier in row["previous"])]:
            table.add_row(
                one["name"] if one is row else f"{one['name']} (earlier)",
                one["id"],
                " ".join(one["scopes"]),
                " ".join(one["roles"]),
                one["tenant"] or "",
                one["expires"] or "never",
                one["state"],
                *([one["last_used"] or "not seen"] if used else []),
            )
    Console().print(table)


def _rows(file: Path, used: bool, config: Path, socket: Path | None) -> list[dict[str, Any]]:
    from yett.control import keys

    try:
        return keys.listing(file, used=_used(config, socket) if used else None)
    except keys.KeysError as error:
        fail(str(error))


def _used(config: Path, socket: Path | None) -> dict[str, int]:
    """Ids, and Unix seconds of the minute of their last use. An id belongs to one provider: 12 random characters."""
    answer = running.ask(config, socket, {"command": "key_uses"}, 10.0)
    return {key: int(moment) for uses in answer["uses"].values() for key, moment in uses.items()}


def _last(one: dict[str, Any]) -> str:
    return f", last used {one['last_used'] or 'never seen'}" if "last_used" in one else ""


def _usage(pepper_file: Path | None, pepper_env: str, expires: str) -> tuple[bytes, datetime | None]:
    from yett.control import keys

    try:
        return keys.pepper(pepper_file, pepper_env or None), keys.parse_expiry(expires)
    except keys.KeysError as error:
        fail(str(error), USAGE)


def _ends(until: datetime | None) -> str:
    return "never expires" if until is None else f"expires {until:%Y-%m-%dT%H:%M:%SZ}"


def _reload(wanted: bool, config: Path, socket: Path | None, before: str = "") -> None:
    """Has the gateway read its files again, or says that somebody has to."""
    if not wanted:
        typer.echo(f"next: {before}yett reload", err=True)
        return
    answer = running.reload(config, socket, otherwise="the file is written, but nothing was reloaded: ")
    if not answer["ok"]:
        print_problems(answer["problems"])
        fail("the file is written, but the gateway refused to reload and serves on as before", FINDINGS)
    typer.echo(f"reloaded: revision {answer['revision'][:12]}", err=True)
