"""`yett identity`: what services need in order to verify assertions."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import fail

app = typer.Typer(help="What services verify assertions of identity with.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """What services verify assertions of identity with."""


@app.command()
def jwks(
    file: Path = typer.Argument(..., help="The configuration."),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Write it to a file, whole or not at all."
    ),
) -> None:
    """Print the key set (RFC 7517) with which services verify assertions."""
    from yett.config.identity import key_set, ring
    from yett.config.load import load_path
    from yett.control import assertion_keys, keys
    from yett.errors import ConfigurationError

    try:
        loaded = load_path(file)
    except ConfigurationError as error:
        fail(str(error))
    identity = loaded.gateway.identity
    if identity is None:
        fail(f"{file} has no `identity`, so it signs nothing")
    try:
        text = key_set(ring(identity, loaded.material.secrets)) + "\n"
        if output is None:
            typer.echo(text, nl=False)
            return
        assertion_keys.write_public(output, text)
    except (ValueError, keys.KeysError) as error:
        fail(f"the keys of {file} cannot be used: {error}")
    typer.echo(f"{output}: {text.count('kid')} keys", err=True)
