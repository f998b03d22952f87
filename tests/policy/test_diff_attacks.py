"""`attack_filter` in `yett diff`: looking for less widens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.diffs import kinds, without_it_more_get_in
from yett.policy.diff.attacks import compare
from yett.policy.diff.change import Kind

Document = dict[str, Any]
BASE: Document = {"enforce": True, "threshold": 5, "classes": ["sql", "xss"], "examined": 1024}
W, N = Kind.WIDENS, Kind.NARROWS
SPARED: Document = {"in": "query", "name": "q", "classes": ["sql"]}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"enforce": False}, W),
        ({"enforce": False}, {}, N),
        ({}, {"classes": ["sql"]}, W),
        ({}, {"classes": ["sql", "xss", "ssrf"]}, N),
        ({"threshold": 3}, {"threshold": 5}, W),
        ({"threshold": 5}, {"threshold": 3}, N),
        ({}, {"exceptions": [SPARED]}, W),
        ({"exceptions": [SPARED]}, {}, N),
        ({"exceptions": [SPARED]}, {"exceptions": [{**SPARED, "classes": ["sql", "xss"]}]}, W),
        ({}, {"beyond_passes": True}, W),
        ({"beyond_passes": True}, {}, N),
        ({}, {"examined": 2048}, W),
        ({}, {"examined": 512}, N),
        ({"beyond_passes": True}, {"beyond_passes": True, "examined": 512}, W),
        ({"beyond_passes": True}, {"beyond_passes": True, "examined": 2048}, N),
        ({}, {"unheard": 1}, W),
    ],
)
def test_parts(old: Document, new: Document, kind: Kind) -> None:
    assert kinds(compare, BASE, old, new) == {kind}


def test_all_of_it() -> None:
    without_it_more_get_in(compare, BASE)
