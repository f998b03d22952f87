"""How findings are printed: for people, and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from yett.policy.linter.rule import Finding, Rule, Severity
from yett.policy.linter.run import Report

MANY = 8
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def page(rule: Rule) -> str:
    """Where a rule is explained."""
    return f"docs/lint/{rule.id}.md"


def lines(report: Report, shown: Iterable[Finding]) -> Iterator[str]:
    """A line for each finding, and what they come to."""
    for finding in shown:
        yield str(finding)
        if finding.routes:
            more = f" and {len(finding.routes) - MANY} more" if len(finding.routes) > MANY else ""
            yield f"    all {len(finding.routes)} routes of the group: {', '.join(finding.routes[:MANY])}{more}"
    yield summary(report)


def summary(report: Report) -> str:
    """`1 error, 2 warnings; 3 accepted`"""
    parts = [
        _count(len(report.of(severity)), word) for severity, word in _WORDS.items() if report.of(severity)
    ]
    accepted = f"; {len(report.accepted)} accepted" if report.accepted else ""
    fixable = sum(finding.fix is not None for finding in report.findings)
    more = f"; `--fix` repairs {fixable}" if fixable else ""
    return (", ".join(parts) or "clean") + accepted + more


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def document(report: Report, shown: Iterable[Finding], fixed: list[str]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "counts": {str(severity): len(report.of(severity)) for severity in Severity},
        "findings": [_one(finding) for finding in shown],
        "accepted": [{**_one(finding), "reason": reason} for finding, reason in report.accepted],
        "fixed": fixed,
    }


def _one(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.id, "severity": str(finding.severity), "file": finding.file, "line": finding.line,
        "column": finding.column, "where": finding.where, "message": finding.message, "routes": list(finding.routes),
        "references": list(finding.rule.references), "fixable": finding.fix is not None, "page": page(finding.rule),
    }  # fmt: skip
