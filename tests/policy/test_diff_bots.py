"""`bot_filter` in `yett diff`: refusing less, and proving less of crawlers, widens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.diffs import kinds, without_it_more_get_in
from yett.policy.diff.bots import compare
from yett.policy.diff.change import Kind

Document = dict[str, Any]
GOOGLE: Document = {
    "name": "googlebot",
    "agents": ["Googlebot"],
    "domains": ["googlebot.com"],
    "allowed": True,
}
BING: Document = {"name": "bingbot", "agents": ["bingbot"], "domains": ["search.msn.com"], "allowed": False}
BASE: Document = {
    "enforce": True, "threshold": 6, "impostors": "refuse", "programs": "allow", "scanners": "refuse", "crawlers": [GOOGLE, BING],
}  # fmt: skip
W, N = Kind.WIDENS, Kind.NARROWS


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"enforce": False}, W),
        ({"enforce": False}, {}, N),
        ({}, {"threshold": 7}, W),
        ({}, {"threshold": 5}, N),
        ({}, {"impostors": "allow"}, W),
        ({}, {"scanners": "allow"}, W),
        ({}, {"programs": "refuse"}, N),
        ({"programs": "refuse"}, {}, W),
        ({}, {"undecided_passes": True}, W),
        ({"undecided_passes": True}, {}, N),
        ({}, {"resolvers": ["192.0.2.53:53"]}, W),
        ({"resolvers": ["192.0.2.53:53"]}, {}, W),
        ({}, {"except": ["192.0.2.0/24"]}, W),
        ({"except": ["192.0.2.0/24"]}, {}, N),
        ({}, {"crawlers": [GOOGLE]}, W),
        ({"crawlers": [GOOGLE]}, {}, N),
        ({"crawlers": [BING]}, {}, W),
        ({}, {"crawlers": [GOOGLE, {**BING, "allowed": True}]}, W),
        ({}, {"crawlers": [{**GOOGLE, "allowed": False}, BING]}, N),
        ({}, {"crawlers": [{**GOOGLE, "domains": ["googlebot.com", "x.example"]}, BING]}, W),
        ({}, {"crawlers": [{**GOOGLE, "agents": ["Google"]}, BING]}, W),
        ({}, {"crawlers": [{**GOOGLE, "addresses": ["192.0.2.0/24"]}, BING]}, W),
        ({}, {"crawlers": [BING, GOOGLE]}, W),
        ({}, {"unheard": 1}, W),
    ],
)
def test_parts(old: Document, new: Document, kind: Kind) -> None:
    assert kinds(compare, BASE, old, new) == {kind}


def test_all_of_it() -> None:
    without_it_more_get_in(compare, BASE)
