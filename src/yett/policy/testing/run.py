"""Tests are asked, and what came of them is compared with what had to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yett.errors import ConfigurationError
from yett.policy import explain
from yett.policy.engine import Engine, forwarded, outcome
from yett.policy.testing.cases import Case, Reader

# Decisions are asked for in parts of so many: a million cases are not one document.
BATCH = 2_000
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "dpop"})


@dataclass(frozen=True)
class Result:
    """What came of one test."""

    case: Case
    decision: dict[str, Any]
    problems: tuple[str, ...]
    """Everything in which it differs from what had to come; empty where it passed."""

    @property
    def passed(self) -> bool:
        """Whether all of it came as it had to."""
        return not self.problems


@dataclass
class Run:
    """What came of all tests."""

    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Result]:
        """Those that did not pass."""
        return [result for result in self.results if not result.passed]


def read(engine: Engine, files: Iterable[Path]) -> list[Case]:
    """The cases of all files.

    Raises:
        ConfigurationError: with everything that is wrong with them.
    """
    reader = Reader(engine)
    cases = [case for file in files for case in reader.read(file)]
    if reader.errors:
        raise ConfigurationError(reader.errors)
    return cases


def run(engine: Engine, cases: list[Case]) -> Run:
    """Asks all of them, each as if it were the only one."""
    begun = time.perf_counter()
    done = Run()
    for start in range(0, len(cases), BATCH):
        part = cases[start : start + BATCH]
        decisions = engine.decide_many([case.asked for case in part])
        done.results += [
            Result(case, decision, tuple(compare(engine, case, decision)))
            for case, decision in zip(part, decisions, strict=True)
        ]
    done.seconds = time.perf_counter() - begun
    return done


def compare(engine: Engine, case: Case, decision: dict[str, Any]) -> Iterable[str]:
    """In what a decision differs from what is expected, in words."""
    expect, got = case.expect, outcome(decision)
    if got != expect.outcome:
        yield f"expected `{expect.outcome}`, got `{got}`"
        return
    refusal = decision["refusal"] or {}
    for what, wanted, found in (
        ("route", expect.route, decision["route"]),
        ("service", expect.service, decision["service"]),
        ("rule", expect.rule, refusal.get("rule")),
        ("status", expect.status, decision["status"]),
        ("target", expect.target, (decision.get("forward") or {}).get("target")),
    ):
        if wanted is not None and wanted != found:
            yield f"expected {what} `{wanted}`, got {f'`{found}`' if found is not None else 'none'}"
    tried = {one["rule"]: one for one in decision.get("shadow", ())}
    for name, wanted in expect.shadow.items():
        one = tried.get(name)
        if one is None:
            yield f"the rule in shadow `{name}` was not asked; the request is refused before it, or takes another route"
        elif wanted not in {one["outcome"], one["reason"]}:
            yield f"expected `{wanted}` of the rule in shadow `{name}`, got `{one['reason'] or one['outcome']}`"
    if expect.headers or expect.without:
        yield from _headers(engine, case, decision)


def _headers(engine: Engine, case: Case, decision: dict[str, Any]) -> Iterable[str]:
    seen = forwarded(decision)
    secret = CREDENTIALS | {provider.get("header") for provider in engine.providers}
    for name, wanted in case.expect.headers.items():
        values = seen.get(name.lower())
        if values is None:
            yield f"the service would see no `{name}`"
        elif values != [wanted]:
            shown = (
                "another value" if name.lower() in secret else " and ".join(f"`{value}`" for value in values)
            )
            yield f"the service would see {shown} in `{name}`, expected `{wanted}`"
    for name in case.expect.without:
        if name.lower() in seen:
            yield f"the service would see `{name}`"


def explanation(engine: Engine, case: Case) -> list[str]:
    """Why it came to that, in lines that can be pasted."""
    return list(explain.lines(explain.explain(engine, case.question)))
