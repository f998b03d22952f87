"""`yett run`: the gateway, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def run(
    file: Path = typer.Argument(..., help="The configuration: YAML, or Python that defines `gateway`."),
    workers: int = typer.Option(
        0, "--workers", min=0, max=1024, help="Worker threads; 0 is one for each processor."
    ),
    admin: str = typer.Option("", "--admin", help="Address for probes and metrics, before the file's."),
    watch: bool = typer.Option(False, "--watch", help="Reload when a file of the configuration changes."),
    socket: Path | None = typer.Option(
        None, "--socket", help="Control socket; by default derived from FILE."
    ),
    zone: str = typer.Option("", "--zone", help="Where this gateway stands, before the file's `zone`."),
    takeover: bool = typer.Option(
        False,
        "--takeover",
        help="Take the sockets over from the gateway that runs with the same control socket, if one does.",
    ),
    user: str = typer.Option(
        "", "--user", help="Started as root: bind the listeners, then become this user, or USER:GROUP."
    ),
) -> None:
    """Run the gateway. SIGHUP reloads, SIGTERM and Ctrl-C drain and stop, SIGUSR1 reopens log files."""
    from yett.control.serve import serve
    from yett.control.start import Options
    from yett.policy import gate

    code = serve(
        Options(
            file=file,
            workers=workers or len(os.sched_getaffinity(0)),
            admin=admin or None,
            watch=watch,
            socket=socket,
            zone=zone or None,
            takeover=takeover,
            user=user or None,
            gates=(gate.tests, gate.lint),
        )
    )
    raise typer.Exit(code)
