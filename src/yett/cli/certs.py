"""`yett certs`: which certificates are in use, how long they last, whether they are served, what happens when they fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yett.cli.output import FINDINGS, Format, print_json, print_problems

if TYPE_CHECKING:
    from yett.config.compile import Compiled
    from yett.control.rehearse import Played

app = typer.Typer(help="Certificates: list, check, rehearse.", no_args_is_help=True)

_FILE = typer.Argument(..., help="The configuration: YAML, or Python that defines `gateway`.")
_FORMAT = typer.Option(Format.TEXT, "--format", help="text or json.")


def compiled(file: Path, format: Format) -> Compiled:
    """The configuration, or its errors and the end of the command."""
    from yett.config import compile_file
    from yett.errors import ConfigurationError

    try:
        return compile_file(file)
    except ConfigurationError as error:
        problems = [{"text": str(one), "code": one.code} for one in error.errors]
        if format is Format.JSON:
            print_json({"ok": False, "problems": problems})
        else:
            print_problems(problems)
        raise typer.Exit(FINDINGS) from None


@app.command("list")
def list_(
    file: Path = _FILE,
    within: int = typer.Option(14, "--within", min=0, help="Days; fewer left than these are a finding."),
    format: Format = _FORMAT,
) -> None:
    """List every certificate in use with the days that it has left; exit 1 where one has too few, or is still to come."""
    from yett.config.certificates import utc_now
    from yett.control.certificates import pending

    now = utc_now()
    ready = compiled(file, format)
    found = sorted(ready.certificates, key=lambda one: (one.not_after, str(one.at)))
    short = [one for one in found if one.days_left(now) < within or one.not_before > now]
    waiting = pending(ready.ordered)
    if format is Format.JSON:
        rows = [
            {
                "use": one.use, "owner": one.owner, "position": one.position, "subject": one.subject, "issuer": one.issuer,
                "names": one.names, "serial": one.serial, "sha256": one.fingerprint, "not_before": one.not_before.isoformat(),
                "not_after": one.not_after.isoformat(), "days_left": one.days_left(now),
            }
            for one in found
        ]  # fmt: skip
        print_json({"ok": not short and not waiting, "certificates": rows, "pending": waiting})
    elif not found and not waiting:
        typer.echo("no certificate is in use")
    else:
        width = max((len(one.use) + len(one.owner) for one in found), default=0) + 2
        for one in found:
            mark = "!" if one in short else " "
            what = f"{one.use} {one.owner}".ljust(width)
            names = ", ".join(one.names[:4]) or one.subject
            typer.echo(
                f"{mark} {one.days_left(now):>6} days  {one.not_after:%Y-%m-%d}  {what} {names}  (serial {one.serial})"
            )
        for line in waiting:
            typer.echo(f"! pending: {line}")
    if short or waiting:
        raise typer.Exit(FINDINGS)


@app.command("check")
def check(
    file: Path = _FILE,
    connect: bool = typer.Option(
        False, "--connect", help="Also connect to every TLS listener and service, and compare."
    ),
    timeout: float = typer.Option(3.0, "--timeout", min=0.1, help="Seconds for each connection."),
    format: Format = _FORMAT,
) -> None:
    """Verify every chain; with --connect also that listeners serve these certificates, and that services prove who they are."""
    from yett.config.certificates import utc_now
    from yett.control.certificates import dates, pending, strangers

    ready = compiled(file, format)
    findings = dates(ready.certificates, utc_now()) + pending(ready.ordered)
    # an authority of one's own is no finding: this is for a nightly job
    notes = strangers(ready.certificates)
    probes: list[dict[str, Any]] = []
    if connect:
        from yett.control.probes import probe_all

        probes = probe_all(ready, timeout)
        findings += [probe["fault"] for probe in probes if probe["fault"]]
    if format is Format.JSON:
        print_json({"ok": not findings, "findings": findings, "notes": notes, "connections": probes})
    else:
        for probe in probes:
            if not probe["fault"]:
                typer.echo(
                    f"ok: {probe['what']} at {probe['address']}: {probe['protocol']}, {probe['subject']}"
                )
        for line in findings:
            typer.echo(f"finding: {line}")
        for line in notes:
            typer.echo(f"note: {line}")
        if not findings:
            typer.echo(f"{file}: {len(ready.certificates)} certificates, nothing to say against them")
    if findings:
        raise typer.Exit(FINDINGS)


@app.command("rehearse")
def rehearse(
    file: Path = _FILE,
    within: int = typer.Option(
        30, "--within", min=0, help="Days; real certificates that end sooner are shown."
    ),
    timeout: float = typer.Option(3.0, "--timeout", min=0.1, help="Seconds for each step of a connection."),
    format: Format = _FORMAT,
) -> None:
    """Play expired, wrong and revoked certificates and a change of authority on scratch listeners; exit 1 on a surprise."""
    from yett.config.certificates import utc_now
    from yett.control.rehearse import rehearse as play

    ready = compiled(file, format)
    now = utc_now()
    ending = [one for one in ready.certificates if one.days_left(now) < within]
    played = list(play(ready, timeout))
    surprises = [one for one in played if not one.ok]
    if format is Format.JSON:
        print_json({
            "ok": not surprises, "substituted": _SUBSTITUTED,
            "ending": [{"use": one.use, "owner": one.owner, "subject": one.subject, "days_left": one.days_left(now)} for one in ending],
            "cases": [{"listener": one.listener, "case": one.case, "expected": one.expected, "happened": one.happened, "detail": one.detail, "ok": one.ok} for one in played],
        })  # fmt: skip
    else:
        _print_played(played, ready)
        for one in ending:
            typer.echo(f"soon: {one.use} {one.owner}, {one.subject}, has {one.days_left(now)} days left")
        if played:
            typer.echo(f"note: {_SUBSTITUTED}")
            typer.echo(f"{len(played)} cases, {len(surprises)} surprises")
        else:
            typer.echo(f"{file}: no listener has TLS, so there is nothing to rehearse")
    if surprises:
        raise typer.Exit(FINDINGS)


_SUBSTITUTED = (
    "nothing of a running gateway was touched. Only cases `as configured` use the real certificates and authorities; "
    "everywhere else a rehearsal authority stood in their place, under the same TLS settings"
)


def _print_played(played: list[Played], ready: Compiled) -> None:
    width = max((len(one.case) for one in played), default=0)
    listener = None
    for one in played:
        if one.listener != listener:
            listener = one.listener
            routes = [policy for policy in ready.policies if listener in policy.listeners]
            closed = sum(policy.client_certificate for policy in routes)
            typer.echo(
                f"listener {listener}: {closed} of {len(routes)} routes require a client certificate themselves"
            )
        why = f" ({one.detail})" if one.detail else ""
        if one.ok:
            typer.echo(f"  ok        {one.case.ljust(width)}  {one.happened}{why}")
        else:
            typer.echo(f"  SURPRISE  {one.case.ljust(width)}  {one.happened}{why}; expected: {one.expected}")
