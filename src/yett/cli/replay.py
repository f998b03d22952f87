"""`yett replay`: decision records against another configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from yett.cli.output import FINDINGS, ReportFormat, print_json, print_lines, refusals
from yett.cli.test import configuration


def replay(
    records: list[Path] = typer.Argument(
        ..., help="Files of decision records, also .gz; `-` is standard input."
    ),
    config: Path = typer.Option(..., "--config", help="The configuration to judge them by."),
    key: str | None = typer.Option(
        None,
        "--key",
        help="A file with the key that the records were hashed with; `decision_log.hash_key` of the configuration without it.",
    ),
    format: ReportFormat = typer.Option(ReportFormat.TEXT, "--format", help="text, markdown or json."),
) -> None:
    """What another configuration would have decided of past requests. Fails where a decision flips, cannot be made, or a
    line is damaged.

    Records are written where the configuration has a `decision_log`. What a new rule reads and a record lacks makes that
    record undecidable; nothing is guessed.
    """
    from yett.control import source
    from yett.policy.replaying import render, run

    config = configuration(config)
    progress = _Progress()
    try:
        with refusals():
            loaded = source.read(config)
            found = run.replay(loaded, config, records, _key(key), progress)
    finally:
        progress.end()
    if format is ReportFormat.JSON:
        print_json(found)
    else:
        print_lines((render.lines if format is ReportFormat.TEXT else render.markdown)(found))
    bad = found["flips"]["allow_to_deny"] + found["flips"]["deny_to_allow"] + found["undecidable"]
    raise typer.Exit(FINDINGS if bad + found["damaged"] else 0)


def _key(path: str | None) -> bytes | None:
    if path is None:
        return None
    from yett.policy.engine import secret_bytes

    return secret_bytes(path)


class _Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = -1

    def __call__(self, done: int, size: int | None) -> None:
        """So many bytes of so many were read."""
        step = done * 100 // size if size else done >> 20
        if not self._shown or step == self._last:
            return
        self._last = step
        share = f"[{'#' * (step // 4):<25}] {step:>3} %" if size else f"{step} MiB"
        typer.echo(f"\r{share}", err=True, nl=False)

    def end(self) -> None:
        """Leaves no half line behind."""
        if self._last >= 0:
            typer.echo("\r\033[K", err=True, nl=False)
