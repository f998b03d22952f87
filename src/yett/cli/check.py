"""`yett check`: everything that is wrong with a configuration, and everything that it weakens."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import FINDINGS, Format, counted, print_json, print_problems


def check(
    file: Path = typer.Argument(..., help="The configuration: YAML, or Python that defines `gateway`."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Check a configuration without running it: every error at once, each with its place."""
    from yett.control import source
    from yett.policy import engine, gate

    try:
        loaded = source.read(file)
        engine.of_loaded(loaded, file, offline=True)
        found = gate.lint(loaded, starting=False)
        refused_by_lint = [one for one in found if not one.get("listed")]
        if refused_by_lint:
            raise source.Refused(refused_by_lint)
    except source.Refused as refused:
        if format is Format.JSON:
            print_json({"ok": False, "problems": refused.problems})
        else:
            print_problems(refused.problems)
            typer.echo(counted(len(refused.problems), "errors"), err=True)
        raise typer.Exit(FINDINGS) from None
    if format is Format.JSON:
        said = {"weakened": loaded.weakened, "warnings": loaded.warnings}
        said["findings"] = [one["text"] for one in found]
        print_json({"ok": True, "revision": loaded.revision, "counts": loaded.counts, **said})
        return
    counts = ", ".join(counted(count, kind) for kind, count in loaded.counts.items())
    typer.echo(f"{file}: ok ({counts}), revision {loaded.revision[:12]}")
    for line in loaded.weakened:
        typer.echo(f"weakened: {line}")
    for line in loaded.warnings:
        typer.echo(f"warning: {line}")
    for one in found:
        typer.echo(f"lint: {one['text']}")
