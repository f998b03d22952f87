"""`yett demo`: real services behind a real gateway, on this machine."""

from __future__ import annotations

from pathlib import Path

import typer

from yett.cli.output import USAGE, fail

app = typer.Typer(
    help="Start the shop, its token endpoint and the gateway on this machine, and print curl lines to try; "
    "Ctrl-C stops everything.",
    invoke_without_command=True,
)

DIRECTORY = typer.Option(None, "--directory", help="Where examples/shop is; found by itself in a checkout.")


@app.callback()
def demo(
    context: typer.Context,
    check: bool = typer.Option(False, "--check", help="Run every line on free ports, print a table, stop."),
    attack: str | None = typer.Option(
        None,
        "--attack",
        help="`stuffing`: try 450 made-up passwords on the shop's login from 9 addresses of this machine "
        "(127.0.0.x), while people log in; says who was stopped, and ends.",
    ),
    port: int = typer.Option(
        8443, "--port", min=0, max=65535, help="The gateway's port; 0 picks a free one."
    ),
    directory: Path | None = DIRECTORY,
) -> None:
    """Start the shop, its token endpoint and the gateway on this machine, and print curl lines to try."""
    if context.invoked_subcommand is not None:
        return
    from yett.demo import DemoError

    try:
        if attack is not None:
            from yett.demo.attack import ATTACKS

            if attack not in ATTACKS:
                fail(f"`{attack}` is no attack of the demo; there is {', '.join(ATTACKS)}", USAGE)
            if check:
                fail("`--check` and `--attack` each run by themselves; give one", USAGE)
            raise typer.Exit(ATTACKS[attack](directory))
        if check:
            from yett.demo.check import run_check

            raise typer.Exit(run_check(directory))
        from yett.demo.run import run_demo

        raise typer.Exit(run_demo(directory, port))
    except DemoError as error:
        fail(str(error))


@app.command()
def prepare(directory: Path | None = DIRECTORY) -> None:
    """Make the keys and certificates that the shop's configuration names, and start nothing."""
    from yett.demo import DemoError
    from yett.demo.shop import PORTS, Shop, find_directory

    try:
        found = find_directory(directory)
    except DemoError as error:
        fail(str(error))
    Shop(found, found / ".state", dict(PORTS)).prepare()
    typer.echo(f"{found / '.state'} is there; try `yett test {found} --coverage`")


@app.command()
def token(
    client: str = typer.Option(
        ..., "--client", help="mobile, accountant, globex, bookkeeper, admin or admin-us."
    ),
    scope: str = typer.Option("", "--scope", help="Ask for these scopes only."),
    tampered: bool = typer.Option(
        False, "--tampered", help="Write the role `accountant` into it after it was signed."
    ),
    directory: Path | None = DIRECTORY,
) -> None:
    """Print a token from the running demo's token endpoint."""
    from yett.demo import DemoError
    from yett.demo.tokens import fetch_token, tamper

    try:
        text = fetch_token(directory, client, scope or None)
    except DemoError as error:
        fail(str(error))
    typer.echo(tamper(text) if tampered else text)
