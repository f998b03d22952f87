"""google/cel-spec's conformance tests, for the parts of the language that are on; docs/concepts/conditions.md says what is off."""

from __future__ import annotations

import re

import pytest

from tests.support.cel_spec import Case, Unsupported, answers, cases, same

ON = (
    "basic",
    "comparisons",
    "conversions",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "parse",
    "plumbing",
    "string",
    "timestamps",
)
MESSAGE = re.compile(r"[A-Z]\w*\s*(//[^\n]*\n\s*)*\{|TestAllTypes")
OFF = {
    # names with dots in them: what a rule may read is declared as a tree
    "fields/qualified_identifier_resolution/qualified_ident",
    "fields/qualified_identifier_resolution/map_field_select",
    "fields/qualified_identifier_resolution/qualified_identifier_resolution_unchecked",
    "fields/qualified_identifier_resolution/ident_with_longest_prefix_check",
    # names that are not declared: an error at load, whatever stands beside them
    "basic/variables/unbound_is_runtime_error",
}


def is_off(case: Case) -> bool:
    """Messages, dotted names, undeclared names."""
    return (
        case.id in OFF
        or "/receiver_function_names/" in case.id
        or MESSAGE.search(case.expression) is not None
    )


@pytest.fixture(scope="module")
def outcomes():
    """For each case that is on: what is wanted, and what came out."""
    chosen = [case for case in cases() if case.file in ON and not is_off(case)]
    questions = [case.question() for case in chosen]
    return dict(zip(chosen, answers(questions), strict=True)) if chosen else {}


def test_enough_of_them_are_on(outcomes):
    assert len(outcomes) > 1050


@pytest.mark.parametrize("file", ON)
def test_all_of_what_is_on_comes_out_as_specified(outcomes, file):
    wrong = []
    for case, got in outcomes.items():
        if case.file != file:
            continue
        assert "broken" not in got, (case.id, got)
        right = "error" in got if case.fails else same(case.wanted(), got.get("value"))
        if not right:
            wrong.append((case.id, case.expression, got))
    assert not wrong


def test_what_is_off_fails_and_never_comes_out_as_something_else():
    """A part of the language that is off is an error, not another meaning."""
    asked, questions = [], []
    for case in cases():
        if case.file not in ON or not is_off(case) or case.fails:
            continue
        try:
            questions.append(case.question())
        except Unsupported:
            continue
        asked.append(case)
    assert len(asked) > 60
    strange = [
        (case.id, got)
        for case, got in zip(asked, answers(questions), strict=True)
        if "error" not in got and not same(case.wanted(), got["value"])
    ]
    assert not strange
