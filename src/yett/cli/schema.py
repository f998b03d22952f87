"""`yett schema`: the JSON Schema of the configuration."""

from __future__ import annotations

from pathlib import Path

import typer


def schema(
    output: Path | None = typer.Option(None, "--output", "-o", help="Write it there instead of stdout."),
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from yett.control import source

    text = source.schema_text()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {output}")
