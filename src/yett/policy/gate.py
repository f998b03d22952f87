"""What a configuration has to pass before it serves: the tests that it names."""

from __future__ import annotations

from typing import Any

from yett.control import source
from yett.errors import ConfigurationError
from yett.policy import engine as engines
from yett.policy.testing import report, run

# Failures that are told one by one; the rest are counted.
SHOWN = 20


def tests(loaded: source.Loaded) -> list[dict[str, Any]]:
    """Everything that the tests of `tests:` say against it; nothing where it names none."""
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
