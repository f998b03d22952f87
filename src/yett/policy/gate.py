"""What a configuration has to pass before it serves: the linter, and the tests that it names."""

from __future__ import annotations

from typing import Any

from yett.control import source
from yett.errors import ConfigurationError
from yett.policy import engine as engines
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Severity
from yett.policy.linter.run import run as run_rules
from yett.policy.testing import report, run

# Failures that are told one by one; the rest are counted.
SHOWN = 20


def tests(loaded: source.Loaded, *, starting: bool) -> list[dict[str, Any]]:
    """Everything that the tests of `tests:` say against it; nothing where it names none. They hold at any time."""
    del starting
    if not loaded.tests:
        return []
    engine = engines.of_loaded(loaded, loaded.tests[0])
    try:
        cases = run.read(engine, loaded.tests)
    except ConfigurationError as error:
        return [source.problem(one) for one in error.errors]
    failed = run.run(engine, cases).failed
    problems = [
        {
            "text": f"{report.place(one)}: {'; '.join(one.problems)}",
            "file": one.case.file,
            "line": one.case.line,
            "column": one.case.column,
            "message": f"the policy test `{one.case.name}` failed: {'; '.join(one.problems)}",
            "code": "policy_test_failed",
        }
        for one in failed[:SHOWN]
    ]
    if len(failed) > SHOWN:
        problems.append({"text": f"{len(failed) - SHOWN} more policy tests failed; `yett test` shows them"})
    return problems


def lint(loaded: source.Loaded, *, starting: bool) -> list[dict[str, Any]]:
    """Errors of the linter. In production they keep a configuration from being served, elsewhere they are listed.

    A gateway that starts has no old configuration to go on with: exceptions count past their last day there. What is an error
    by its day is listed always: a renewed certificate has to be served on that day, too.
    """
    if loaded.compiled is None:
        return []
    context = Context(loaded.compiled)
    errors = run_rules(context, gate=True, forever=starting).of(Severity.ERROR)
    return [
        {
            "text": str(one), "file": one.file, "line": one.line, "column": one.column,
            "message": one.message, "code": one.rule.id,
            **({} if context.production and not one.rule.dated else {"listed": True}),
        }
        for one in errors
    ]  # fmt: skip
