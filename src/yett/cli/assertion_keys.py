"""`yett keys assertion`: the private keys that sign assertions of identity."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yett.cli.output import USAGE, fail

if TYPE_CHECKING:
    from yett.control.assertion_keys import Algorithm

app = typer.Typer(help="Private keys that sign assertions of identity.", no_args_is_help=True)

FILE = typer.Option(Path("identity.keys.pem"), "--file", "-f", help="The file that `identity.keys` names.")


class Kind(StrEnum):
    """What a key signs with."""

    EDDSA = "EdDSA"
    ES256 = "ES256"


def _algorithm(kind: Kind | None) -> Algorithm | None:
    return None if kind is None else "EdDSA" if kind is Kind.EDDSA else "ES256"


@app.command()
def create(
    file: Path = FILE,
    algorithm: Kind = typer.Option(Kind.EDDSA, "--algorithm", help="EdDSA (Ed25519) or ES256 (P-256)."),
) -> None:
    """Make a file with the first key; it signs at once."""
    from yett.control import assertion_keys, keys

    try:
        key = assertion_keys.create(file, _algorithm(algorithm) or "EdDSA")
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(f"{file}: key {key.id} ({key.algorithm}) signs from now on")
    typer.echo(
        f"next: `identity: {{issuer: …, keys: {{file: {file}}}}}`, the same file on every instance", err=True
    )


@app.command()
def rotate(
    file: Path = FILE,
    publish: str = typer.Option("1h", "--publish", help="As `identity.publish`."),
    algorithm: Kind | None = typer.Option(None, "--algorithm", help="Another kind of key than the newest."),
) -> None:
    """Add a key that signs once every service knows it; remove keys that no longer sign."""
    from yett.config import units
    from yett.control import assertion_keys, keys

    wait = timedelta(milliseconds=units.milliseconds(publish))
    if not timedelta(seconds=1) <= wait <= timedelta(days=7):
        fail(f"`{publish}` is no time to publish a key; write 1s to 7d, such as `1h`", USAGE)
    try:
        key = assertion_keys.rotate(file, wait, _algorithm(algorithm))
    except keys.KeysError as error:
        fail(str(error))
    typer.echo(f"{file}: key {key.id} ({key.algorithm}) signs from {key.signs_from:%Y-%m-%dT%H:%M:%SZ}")
    typer.echo("next: bring the file to every instance and `yett reload` there now", err=True)
