"""`yett import`: configurations from what describes an API elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json

if TYPE_CHECKING:
    from yett.errors import ConfigError
    from yett.policy.openapi_import.importer import Imported

app = typer.Typer(
    name="import", help="Write a configuration from a description of an API.", no_args_is_help=True
)


@app.callback()
def root() -> None:
    """Write a configuration from a description of an API."""


@app.command("openapi")
def openapi(
    file: Path = typer.Argument(..., help="An OpenAPI description (3.0 or 3.1), YAML or JSON."),
    output: Path = typer.Option(Path(), "--output", "-o", help="The directory to write to."),
    server: str | None = typer.Option(
        None,
        "--server",
        help="Which of its `servers` to take, by the `url` as it is written there; the first one otherwise.",
    ),
    host: str | None = typer.Option(
        None, "--host", help="The host that clients name; that of the server otherwise. `any` is every host."
    ),
    service: str | None = typer.Option(
        None,
        "--service",
        help="Where the service is, behind the gateway: `https://host:port`; that of the server otherwise.",
    ),
    partial: bool = typer.Option(
        False, "--partial", help="Leave out what cannot be imported: nobody reaches it then."
    ),
    force: bool = typer.Option(False, "--force", help="Overwrite a gateway.yaml that is there."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Write routes that let in what an OpenAPI description describes, and nothing else; with policy tests."""
    from yett.config.match import host_fault
    from yett.config.url import url_fault
    from yett.errors import ConfigurationError
    from yett.policy.openapi_import import importer

    fault = host_fault(host) if host not in {None, "any"} else None
    if fault:
        fail(f"--host: {fault}", USAGE)
    if host is not None and host.startswith("*."):
        fail(f"--host: `{host}` is many hosts; name one, or `any`", USAGE)
    if service is not None:
        parts = None if url_fault(service) else urlsplit(service)
        if parts is None or parts.path.strip("/") or parts.query:
            fail(
                f"--service: `{service}` is no endpoint; write one such as `https://orders.internal:8443`",
                USAGE,
            )
    targets = [output / importer.GATEWAY, output / importer.TESTS]
    there = [str(path) for path in targets if path.exists()]
    if there and not force:
        fail(f"`{'`, `'.join(there)}` is there already; use --force to overwrite it")
    try:
        found = importer.convert(file, output, partial=partial, server=server, service=service, host=host)
    except ConfigurationError as error:
        _refused(error.errors, format, isinstance(error, importer.Incomplete))
        raise typer.Exit(FINDINGS) from None
    except importer.Unproved as error:
        fail(f"nothing is written, since what would be does not pass its own checks:\n{error}")
    except LookupError:
        fail(f"--server: no server has the url `{server}`; write it as it stands in the description", USAGE)
    except OSError as error:
        fail(f"`{file}` cannot be read: {(error.strerror or 'error').lower()}", USAGE)
    _write(output, found)
    _print(file, output, found, format)


def _refused(errors: tuple[ConfigError, ...], format: Format, incomplete: bool) -> None:
    from yett.control.source import problem

    if format is Format.JSON:
        print_json({"problems": [problem(error) for error in errors]})
        return
    for error in errors:
        typer.echo(str(error), err=True)
    hint = "; `--partial` leaves out what cannot be imported, so that nobody reaches it" if incomplete else ""
    typer.echo(f"nothing is written{hint}", err=True)


def _write(output: Path, found: Imported) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, text in found.files.items():
        path = output / name
        if name.endswith(".keys.yaml") and path.exists():
            found.kept.append(name)  # somebody's keys may be in it
            continue
        path.write_text(text, encoding="utf-8")


def _print(file: Path, output: Path, found: Imported, format: Format) -> None:
    plan = found.plan
    public = [route.name for route in plan.routes if route.access.public]
    if format is Format.JSON:
        shown = [
            {"line": one.line, "column": one.column, "message": one.message} for one in sorted(found.notes)
        ]
        denied = [
            {"line": one.line, "column": one.column, "message": one.message} for one in sorted(plan.denied)
        ]
        written = sorted(name for name in found.files if name not in found.kept)
        print_json(
            {
                "file": str(file), "written": [str(output / name) for name in written], "denied": denied,
                "routes": [route.name for route in plan.routes], "public": public, "notes": shown,
                "placeholders": found.placeholders,
            }
        )  # fmt: skip
        return
    for one in sorted(found.notes):
        typer.echo(f"note: {one}")
    for one in sorted(plan.denied):
        typer.echo(f"denied: {one}")
    for name in sorted(found.files):
        typer.echo(f"kept {output / name}" if name in found.kept else f"wrote {output / name}")
    typer.echo(
        f"{len(plan.routes)} route{'s' if len(plan.routes) != 1 else ''}, {len(public)} of them public; {len(plan.denied)} denied"
    )
    if found.placeholders:
        typer.echo(f"to be written by you: {', '.join(found.placeholders)}")
    typer.echo(f"next: yett lint {output / 'gateway.yaml'}, then yett run {output / 'gateway.yaml'}")
