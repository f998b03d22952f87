"""`csrf` in `yett diff`: whatever lets one more request through widens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.diffs import kinds
from yett.policy.diff.browsers import csrf
from yett.policy.diff.change import Kind

Document = dict[str, Any]
BASE: Document = {"origins": ["https://a.test"], "referer": False}
NEEDED, ALWAYS = {"token": "needed"}, {"token": "always"}
FORM = {"token": "always", "form": "csrf"}
W, N = Kind.WIDENS, Kind.NARROWS


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"origins": ["https://a.test", "https://b.test"]}, W),
        ({}, {"origins": []}, N),
        ({}, {"referer": True}, W),
        # What a page of somebody else sent passes where nobody looks at it, from a program without cookies.
        ({"referer": True}, {}, W),
        ({}, NEEDED, W),
        (NEEDED, {}, N),
        (NEEDED, ALWAYS, N),
        (ALWAYS, NEEDED, W),
        (ALWAYS, {}, W),
        (ALWAYS, FORM, W),
        (FORM, ALWAYS, N),
        (FORM, {**FORM, "form": "token"}, W),
        ({}, {"unheard": 1}, W),
    ],
)
def test_parts(old: Document, new: Document, kind: Kind) -> None:
    assert kinds(csrf, BASE, old, new) == {kind}


def test_all_of_it() -> None:
    """A session asks for a page of the same host by itself."""
    narrow: Document = {"origins": [], "referer": False}
    assert [[one.kind for one in csrf(*pair)] for pair in ((BASE, None), (None, BASE), (narrow, None), (None, narrow))] == [
        [W], [W], [W], [N],
    ]  # fmt: skip
    assert not list(csrf(BASE, dict(BASE)))
