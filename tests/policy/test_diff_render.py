"""What `yett diff` prints of names and conditions that somebody else wrote: one line each, and nothing but text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from yett.config.words import code, one_line
from yett.policy import needed
from yett.policy.diff import render, rules
from yett.policy.diff.change import Change, example, widens
from yett.policy.markdown import SPAN

FORGED = "principal.subject == 'a'\n0 widen, 0 narrow, 0 move\r\x1b[2K\u2028\u202e"
ESCAPED = r"principal.subject == 'a'\n0 widen, 0 narrow, 0 move\r\x1b[2K\u2028\u202e"


def of(condition: str) -> Change:
    """The widening of a condition that is not asked for any more."""
    found, *_ = rules.rules([{"source": "route a", "when": condition}], [], ["GET"])
    return example(found, f"GET https://a.test/`{condition}")


def test_a_condition_is_one_line() -> None:
    for form in (render.lines, render.markdown):
        shown = list(form([of(FORGED)], []))
        assert all(line.isprintable() for line in shown), shown
        assert ESCAPED in "\n".join(shown)


def test_an_id_is_one_line() -> None:
    change = widens("routes.a.claims.x\n::warning::y", "t", 1, 2)
    assert change.id.startswith(r"routes.a.claims.x\n::warning::y@")


@pytest.mark.parametrize("form", ["a`b", "`", "a``b`c", "`a`", "``", "a`", "x"])
def test_a_value_ends_where_it_ends(form: str) -> None:
    """By the rule of CommonMark 6.1: the fence is the next run of as many backticks, a space on both sides is dropped."""
    shown = code(form)
    span = SPAN.fullmatch(shown)
    assert span is not None
    inside = span[2][1:-1] if span[2][:1] == span[2][-1:] == " " and span[2].strip() else span[2]
    assert inside == form


@pytest.mark.parametrize(
    "condition",
    [
        "principal.subject != '` @team ![x](http://evil.example/a.png) `'",
        "a == '`|`' || b == '|'",
        "<img src=x> ``` [x](y)",
        "a == '`' || '<b>'\n| **nothing widens** |",
        "a \\` <b>",
    ],
)
def test_no_value_leaves_its_code_or_its_cell(condition: str) -> None:
    row = next(line for line in render.markdown([of(condition)], []) if "holds" in line)
    assert len(re.split(r"(?<!\\)\|", row)) == 5, row
    outside = SPAN.sub("", row.replace("\\|", "")).replace("<br>", "").replace("**widens**", "")
    assert not re.search(r"[<>@\[\]*]", outside), outside
    assert one_line(condition).replace("|", "\\|") in row


def test_what_is_missing_is_quoted_so_too() -> None:
    decision: dict[str, Any] = {"request": {"method": "GET"}}
    assert needed.lacked({"when": "a == '`'"}, "when", decision, {}) == "that ``a == '`'`` holds"
