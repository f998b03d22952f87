"""`yett selftest`: whether what stands behind the gateway refuses whoever comes around it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json, print_problems

if TYPE_CHECKING:
    from yett.control.selftest import Answer


def selftest(
    file: Path = typer.Argument(..., help="The configuration."),
    services: bool = typer.Option(False, "--services", help="Ask each service, around the gateway."),
    timeout: float = typer.Option(5.0, "--timeout", min=0.1, max=60.0, help="Seconds to wait for an answer."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Send each service requests that it has to refuse: no assertion, a forged one, a stale one. Ends with 1 where one is answered."""
    from yett.control import selftest as control
    from yett.control import source

    if not services:
        fail("say what to test: `yett selftest --services gateway.yaml`", USAGE)
    try:
        answers, left = control.ask(source.compiled_file(file), timeout)
    except source.Refused as refused:
        print_problems(refused.problems)
        raise typer.Exit(FINDINGS) from None
    failed = [one for one in answers if not one.ok]
    if format is Format.JSON:
        print_json({"ok": not failed, "answers": [asdict(one) for one in answers], "not_asked": left})
    else:
        _print(answers, left)
    if failed:
        raise typer.Exit(FINDINGS)


def _print(answers: list[Answer], left: list[str]) -> None:
    endpoints = dict.fromkeys((one.service, one.endpoint) for one in answers)
    for service, endpoint in endpoints:
        here = [one for one in answers if (one.service, one.endpoint) == (service, endpoint)]
        verdict = "refuses" if all(one.ok for one in here) else "FINDING"
        typer.echo(f"{verdict}  {service} {endpoint}: {', '.join(one.shown for one in here)}")
        for one in here:
            if not one.ok:
                typer.echo(f"         {_advice(one)}")
    for line in left:
        typer.echo(f"not asked: {line}")


def _advice(one: Answer) -> str:
    if one.status is None:
        return f"{one.question}: whether it refuses is not known: {one.closed}"
    how = {
        "none": "it answers whoever reaches it; have it verify the assertion of each request (docs/concepts/services-verify.md)",
        "forged": "it believes an assertion that nobody signed; have it check the signature against the gateway's key set",
        "stale": "it believes an assertion that ended ten minutes ago; have it check `exp` and `iat`",
        "no certificate": "it talks to clients without a certificate; have it require the gateway's",
    }[one.question]
    return f"{one.question}: answered {one.status} in place of 401 or 403: {how}"
