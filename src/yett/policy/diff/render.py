"""Differences for people, programs and pull requests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from yett.config.words import code, one_line
from yett.policy.diff.change import Change, Kind
from yett.policy.markdown import cell


def lines(changes: list[Change], allowed: Collection[str]) -> Iterator[str]:
    """One a line, its id and example below; then the counts."""
    for one in changes:
        note = " (allowed)" if one.id in allowed else ""
        yield f"{one.kind.value.upper():<8}{one_line(one.text)}{note}"
        if one.kind is Kind.WIDENS:
            yield f"        id: {one.id}"
            yield f"        example: {one_line(one.example or 'none was found among samples')}"
    if changes:
        yield ""
    yield summary(changes)


def summary(changes: list[Change]) -> str:
    """`2 widen, 1 narrows, 0 move`"""
    counts = [sum(one.kind is kind for one in changes) for kind in Kind]
    words = [
        f"{counts[0]} widen{'s' if counts[0] == 1 else ''}",
        f"{counts[1]} narrow{'s' if counts[1] == 1 else ''}",
    ]
    return (
        ", ".join([*words, f"{counts[2]} move{'s' if counts[2] == 1 else ''}"])
        if changes
        else "no difference"
    )


def markdown(changes: list[Change], allowed: Collection[str]) -> Iterator[str]:
    """A comment for a pull request."""
    refused = [one for one in changes if one.kind is Kind.WIDENS and one.id not in allowed]
    verdict = (
        f"**{len(refused)} widening{'s' if len(refused) != 1 else ''} refused**"
        if refused
        else "**nothing widens**"
    )
    yield f"### Access: {verdict}"
    yield ""
    if not changes:
        yield "No difference."
        return
    yield "| | what | example |"
    yield "|---|---|---|"
    for one in changes:
        mark = {"widens": "widens", "narrows": "narrows", "moves": "moves"}[one.kind.value]
        mark = f"**{mark}**" if one in refused else f"{mark}, allowed" if one.kind is Kind.WIDENS else mark
        what = cell(one.text) + (f"<br>{cell(code(one.id))}" if one.kind is Kind.WIDENS else "")
        yield f"| {mark} | {what} | {cell(one.example or '')} |"
    if refused:
        yield ""
        yield "To allow one on purpose: `yett diff OLD NEW --allow-widening ID`."


def document(changes: list[Change], allowed: Collection[str]) -> dict[str, Any]:
    """For programs."""
    return {
        "ok": not any(one.kind is Kind.WIDENS and one.id not in allowed for one in changes),
        "changes": [
            {
                "kind": one.kind.value, "id": one.id, "text": one.text, "route": one.route, "example": one.example,
                "allowed": one.id in allowed,
            }
            for one in changes
        ],
    }  # fmt: skip
