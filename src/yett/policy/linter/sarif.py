"""Findings in the Static Analysis Results Interchange Format (SARIF 2.1.0, OASIS)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yett.policy.linter.report import page
from yett.policy.linter.rule import Finding, Rule, Severity

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
DOES_NOT_LOAD = "configuration-error"


def log(
    rules: Sequence[Rule],
    findings: Iterable[Finding] = (),
    accepted: Iterable[tuple[Finding, str]] = (),
    problems: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A whole log with one run. `problems` are errors of a configuration that does not load."""
    places = {rule.id: index for index, rule in enumerate(rules)}
    results = [_result(finding, places) for finding in findings]
    for finding, reason in accepted:
        suppression = {"kind": "inSource", "status": "accepted", "justification": reason}
        results.append({**_result(finding, places), "suppressions": [suppression]})
    failed = [_problem(problem, len(rules)) for problem in problems]
    does_not_load = {
        "id": DOES_NOT_LOAD,
        "shortDescription": {"text": "the configuration does not load"},
        "defaultConfiguration": {"level": "error"},
    }
    driver = {
        "name": "yett lint",
        "semanticVersion": version("yett"),
        "rules": [*map(_rule, rules), does_not_load],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failed}],
        "results": [*results, *failed],
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": f"see {page(rule)}"},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": ["security", *rule.references]},
    }


def _result(finding: Finding, places: Mapping[str, int]) -> dict[str, Any]:
    # lines move; the rule and what it is about do not
    key = hashlib.sha256(f"{finding.rule.id}\0{finding.where}\0{finding.message}".encode()).hexdigest()
    about = f" (routes {', '.join(finding.routes)})" if finding.routes else ""
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": places[finding.rule.id],
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message + about},
        "locations": [_location(finding.file, finding.line, finding.column, finding.where)],
        "partialFingerprints": {"yett/v1": key},
    }


def _problem(problem: Mapping[str, Any], index: int) -> dict[str, Any]:
    where = _location(str(problem.get("file", "")), problem.get("line", 0), problem.get("column", 0), "")
    return {
        "ruleId": DOES_NOT_LOAD,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": problem.get("message") or problem["text"]},
        "locations": [where] if problem.get("file") else [],
    }


def _location(file: str, line: int, column: int, where: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line:
        physical["region"] = {"startLine": line, "startColumn": max(column, 1)}
    logical = {"logicalLocations": [{"fullyQualifiedName": where}]} if where else {}
    return {"physicalLocation": physical, **logical}


def _uri(file: str) -> str:
    """Relative to the current folder, where the file is below it: code hosts read it so."""
    path = Path(file).absolute()
    if path.is_relative_to(Path.cwd()):
        return quote(path.relative_to(Path.cwd()).as_posix())
    return path.as_uri()
