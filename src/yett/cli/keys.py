"""`yett keys`: API keys, which are shown once and kept as keyed hashes."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import USAGE, Format, fail, print_json

app = typer.Typer(help="API keys: shown once, kept as keyed hashes.", no_args_is_help=True)

KEYS_FILE = typer.Option(Path("partners.keys.yaml"), "--file", "-f", help="The keys file of the provider.")


@app.command()
def create(
    name: str = typer.Option(..., "--name", help="Who gets it; unique in the file."),
    scope: list[str] = typer.Option([], "--scope", help="A scope it carries; may be repeated."),
    role: list[str] = typer.Option([], "--role", help="A role it carries; may be repeated."),
    tenant: str = typer.Option("", "--tenant", help="The tenant that it belongs to."),
    expires: str = typer.Option("90d", "--expires", help="`90d`, `12h`, a date `2027-01-31`, or `never`."),
    file: Path = KEYS_FILE,
    pepper_file: Path | None = typer.Option(
        None, "--pepper-file", help="The file in the provider's `pepper:`."
    ),
    pepper_env: str = typer.Option("", "--pepper-env", help="The variable in the provider's `pepper:`."),
) -> None:
    """Create a key: prints it once on stdout and appends its hash to the keys file."""
    from yett.control import keys

    try:
        pepper = keys.pepper(pepper_file, pepper_env or None)
        until = keys.parse_expiry(expires)
    except keys.KeysError as error:
        fail(str(error), USAGE)
    try:
        new = keys.NewKey(name=name, scopes=scope, roles=role, tenant=tenant or None, expires=until)
        text = keys.create(file, new, pepper)
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(text)
    ends = "never expires" if until is None else f"expires {until:%Y-%m-%dT%H:%M:%SZ}"
    typer.echo(f"`{name}` is in {file} and {ends}; the key is not shown again", err=True)
    typer.echo("next: hand it over, then yett reload", err=True)


@app.command("list")
def list_keys(
    file: Path = KEYS_FILE,
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """List the keys of a file: names, ids, what they carry and when they expire."""
    from yett.control import keys

    try:
        rows = keys.listing(file)
    except keys.KeysError as error:
        fail(str(error))
    if format is Format.JSON:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "id", "scopes", "roles", "tenant", "expires", "state")
    for row in rows:
        table.add_row(
            row["name"],
            row["id"],
            " ".join(row["scopes"]),
            " ".join(row["roles"]),
            row["tenant"] or "",
            row["expires"] or "never",
            row["state"],
        )
    Console().print(table)
