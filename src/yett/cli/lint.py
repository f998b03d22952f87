"""`yett lint`: what is allowed in a configuration, and should not be there."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from yett.cli.output import FINDINGS, USAGE, fail, print_json, print_problems

if TYPE_CHECKING:
    from yett.policy.linter.rule import Finding
    from yett.policy.linter.run import Report


class LintFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class Least(StrEnum):
    """The least severe finding that is shown."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


def lint(
    file: Path | None = typer.Argument(None, help="The configuration."),
    format: LintFormat = typer.Option(LintFormat.TEXT, "--format", help="text, json or sarif."),
    rule: list[str] = typer.Option([], "--rule", help="Ask this rule only; may be repeated."),
    severity: Least = typer.Option(Least.INFO, "--severity", help="Show findings from this severity on."),
    strict: bool = typer.Option(False, "--strict", help="End with 1 on whatever is shown."),
    fix: bool = typer.Option(False, "--fix", help="Repair what does not change what is served."),
    rules: bool = typer.Option(False, "--rules", help="List the rules and stop."),
) -> None:
    """Lint a configuration: what loads, and should not be there. Ends with 1 on errors; sends nothing to anyone."""
    from yett.control import source
    from yett.policy.linter import fixing
    from yett.policy.linter.context import Context
    from yett.policy.linter.rule import Severity
    from yett.policy.linter.run import run

    if rules:
        _list()
        return
    if file is None:
        fail("name the configuration: `yett lint gateway.yaml`", USAGE)
    _known(rule)
    fixed: list[str] = []
    left: list[str] = []
    try:
        compiled = source.compiled_file(file)
        found = run(Context(compiled), rule)
        if fix:
            fixed, left = fixing.write(file, compiled, found.findings)
            if fixed:
                found = run(Context(source.compiled_file(file)), rule)
    except source.Refused as refused:
        _refused(refused.problems, format)
    shown = [one for one in found.findings if one.severity.rank <= Severity(severity).rank]
    _print(found, shown, fixed, format)
    for line in left:
        typer.echo(f"not fixed: {line}", err=True)
    if found.of(Severity.ERROR) or (strict and shown):
        raise typer.Exit(FINDINGS)


def _list() -> None:
    from yett.policy.lint import RULES

    for rule in RULES:
        typer.echo(f"{rule.severity:8} {rule.id:32} {rule.title}")


def _known(names: list[str]) -> None:
    from yett.config.base import nearest
    from yett.policy.lint import RULES

    known = [rule.id for rule in RULES]
    for name in names:
        if name not in known:
            hint = nearest(name, known) or "; `yett lint --rules` lists them"
            fail(f"there is no rule `{name}`{hint}", USAGE)


def _refused(problems: list[dict[str, Any]], format: LintFormat) -> NoReturn:
    from yett.policy.lint import RULES
    from yett.policy.linter import sarif

    if format is LintFormat.SARIF:
        print_json(sarif.log(RULES, problems=problems))
    elif format is LintFormat.JSON:
        print_json({"problems": problems})
    else:
        print_problems(problems)
    raise typer.Exit(FINDINGS)


def _print(found: Report, shown: list[Finding], fixed: list[str], format: LintFormat) -> None:
    from yett.policy.lint import RULES
    from yett.policy.linter import report, sarif

    if format is LintFormat.SARIF:
        print_json(sarif.log(RULES, shown, found.accepted))
    elif format is LintFormat.JSON:
        print_json(report.document(found, shown, fixed))
    for line in fixed if format is not LintFormat.JSON else ():
        typer.echo(f"fixed: {line}", err=format is LintFormat.SARIF)
    if format is LintFormat.TEXT:
        for line in report.lines(found, shown):
            typer.echo(line)
