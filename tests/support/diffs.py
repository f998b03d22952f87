"""What every part of `yett diff` that compares one filter of two routes has to say of the filter as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from yett.policy.diff.change import Change, Kind

Document = dict[str, Any]
Compare = Callable[[Document | None, Document | None], Iterable[Change]]


def kinds(compare: Compare, base: Document, old: Document, new: Document) -> set[Kind]:
    """Of what is told between two changes of `base`."""
    return {one.kind for one in compare({**base, **old}, {**base, **new})}


def without_it_more_get_in(compare: Compare, base: Document) -> None:
    """Taking it away widens, adding it narrows, and the same is no change."""
    assert {one.kind for one in compare(base, None)} == {Kind.WIDENS}
    assert {one.kind for one in compare(None, base)} == {Kind.NARROWS}
    assert not list(compare(base, dict(base)))
