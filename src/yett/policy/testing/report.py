"""What came of tests: for people, for programs, for continuous integration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from yett.policy.engine import Engine, outcome
from yett.policy.testing.coverage import KINDS, Coverage
from yett.policy.testing.run import Result, Run, explanation

# Explanations of so many failures: a broken rule may fail thousands of tests in the same way.
EXPLAINED = 10


def lines(engine: Engine, run: Run) -> Iterator[str]:
    """Each failure with its place and explanation, then the count."""
    for number, result in enumerate(run.failed):
        yield place(result)
        for problem in result.problems:
            yield f"  {problem}"
        if number < EXPLAINED and "error" not in result.decision:
            yield from (f"  | {line}".rstrip() for line in explanation(engine, result.case))
        yield ""
    if len(run.failed) > EXPLAINED:
        yield f"only the first {EXPLAINED} failures are explained"
    yield summary(run)


def place(result: Result) -> str:
    """`file:line:column: FAILED name`"""
    case = result.case
    return f"{case.file}:{case.line}:{case.column}: FAILED {case.name}"


def summary(run: Run) -> str:
    """One line."""
    total, failed = len(run.results), len(run.failed)
    word = "test" if total == 1 else "tests"
    return f"{total} {word}, {total - failed} passed, {failed} failed, in {run.seconds:.2f} s"


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """How much of each kind, and what is missing."""
    for kind in KINDS:
        missing = coverage.missing(kind)
        there = len(coverage.there[kind])
        yield f"{kind:<9}{there - len(missing)} of {there}"
        yield from (f"         not exercised: {name}" for name in missing)
    yield f"coverage {coverage.percent:.1f} %"


def document(engine: Engine, run: Run, coverage: Coverage | None) -> dict[str, Any]:
    """The same for programs."""
    found: dict[str, Any] = {
        "ok": not run.failed,
        "total": len(run.results),
        "failed": len(run.failed),
        "seconds": round(run.seconds, 3),
        "tests": [_one(engine, result) for result in run.results],
    }
    if coverage is not None:
        found["coverage"] = {
            "percent": coverage.percent,
            **{
                kind: {"total": len(coverage.there[kind]), "missing": coverage.missing(kind)}
                for kind in KINDS
            },
        }
    return found


def _one(engine: Engine, result: Result) -> dict[str, Any]:
    case = result.case
    one: dict[str, Any] = {
        "name": case.name, "file": case.file, "line": case.line, "column": case.column, "passed": result.passed,
        "expected": case.expect.outcome, "outcome": outcome(result.decision),
    }  # fmt: skip
    if not result.passed:
        one["problems"] = list(result.problems)
        if "error" not in result.decision:
            one["explanation"] = explanation(engine, case)
    return one


def write_junit(engine: Engine, run: Run, path: Path) -> None:
    """A report as test runners of continuous integration read it.

    Raises:
        OSError: it cannot be written.
    """
    suites = Xml.Element("testsuites")
    for file in dict.fromkeys(result.case.file for result in run.results):
        results = [result for result in run.results if result.case.file == file]
        failed = sum(not result.passed for result in results)
        suite = Xml.SubElement(
            suites,
            "testsuite",
            {"name": file, "tests": str(len(results)), "failures": str(failed), "errors": "0"},
        )
        for result in results:
            case = result.case
            one = Xml.SubElement(
                suite,
                "testcase",
                {"classname": _plain(file), "name": _plain(case.name), "file": file, "line": str(case.line)},
            )
            if not result.passed:
                failure = Xml.SubElement(one, "failure", {"message": _plain("; ".join(result.problems))})
                if "error" not in result.decision:
                    failure.text = _plain("\n".join(explanation(engine, case)))
    Xml.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _plain(text: str) -> str:
    """XML 1.0 has no place for other control characters (section 2.2)."""
    return "".join(c if c in "\t\n" or c >= " " else "?" for c in text)
