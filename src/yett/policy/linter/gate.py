"""What the linter has to say where a configuration is about to be served."""

from __future__ import annotations

from typing import Any

from yett.config import Compiled
from yett.control.source import Verdict
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Finding, Severity
from yett.policy.linter.run import run


def gate(compiled: Compiled, *, starting: bool) -> Verdict:
    """In production errors keep a configuration from being served; elsewhere they are listed.

    A gateway that starts has no old configuration to go on with: exceptions count past their last day there.
    """
    context = Context(compiled)
    errors = run(context, gate=True, forever=starting).of(Severity.ERROR)
    if context.production:
        return Verdict(problems=[_problem(finding) for finding in errors])
    return Verdict(findings=[f"{finding}" for finding in errors])


def _problem(finding: Finding) -> dict[str, Any]:
    return {
        "text": str(finding), "file": finding.file, "line": finding.line, "column": finding.column,
        "message": finding.message, "code": finding.rule.id,
    }  # fmt: skip
