"""Limits in `yett diff`: cheaper, faster, more at once, or for others widens; the other way round narrows."""

from __future__ import annotations

from typing import Any

import pytest

from yett.policy.diff.change import Kind
from yett.policy.diff.limits import classes, concurrency, limits

Document = dict[str, Any]
RATE: Document = {
    "name": "a", "scope": "route:r", "count": 10, "period_ms": 1000, "burst": 20, "key": "principal",
    "cost": {"default": 2, "methods": {"POST": 5}},
}  # fmt: skip
AT_ONCE: Document = {"name": "a", "scope": "route:r", "requests": 4, "key": "route", "fair": "tenant"}
CALENDAR = {"minutes": [0], "zone": "UTC", "minutes_long": 5}


def kinds(changes: Any) -> set[Kind]:
    return {change.kind for change in changes}


def rates(**changes: Any) -> set[Kind]:
    return kinds(limits("rate_limits", [RATE], [{**RATE, **changes}]))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"cost": {"default": 2, "methods": {"POST": 6}}}, Kind.NARROWS),
        ({"cost": {"default": 3, "methods": {"POST": 5}}}, Kind.NARROWS),
        ({"cost": {"default": 5}}, Kind.NARROWS),
        ({"cost": {"default": 2}}, Kind.WIDENS),
        ({"cost": {"default": 2, "methods": {"POST": 5, "GET": 1}}}, Kind.WIDENS),
        ({"cost": {"default": 2, "value": "5"}}, Kind.WIDENS),
        ({"jitter_s": 10}, Kind.MOVES),
        ({"burst": 19}, Kind.NARROWS),
        ({"burst": 21}, Kind.WIDENS),
        ({"class": "route r: rate_limit.a.x"}, Kind.WIDENS),
        ({"except": ["route r: rate_limit.a.x"]}, Kind.WIDENS),
        ({"during": CALENDAR}, Kind.WIDENS),
        ({"outside": [CALENDAR]}, Kind.WIDENS),
        ({"somewhen": 1}, Kind.WIDENS),
        ({"shared": {"mode": "cached", "state_loss": "local"}}, Kind.NARROWS),
        ({"shared": {"mode": "exact", "state_loss": "refuse"}}, Kind.NARROWS),
    ],
)
def test_rates(change: Document, kind: Kind) -> None:
    assert rates(**change) == {kind}


def test_another_key_is_another_limit() -> None:
    assert rates(key={"header": "x-device"}) == {Kind.WIDENS, Kind.NARROWS}
    assert rates() == set()


def test_who_is_in_a_class() -> None:
    one = {"source": "route r: rate_limit.a.x", "when": "true"}
    assert kinds(classes([one], [{**one, "when": "false"}])) == {Kind.WIDENS}
    assert kinds(classes([one], [])) == kinds(classes([], [one])) == {Kind.MOVES}, "it shows in the limits"
    assert kinds(classes([one], [one])) == set()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"requests": 3}, Kind.NARROWS),
        ({"requests": 5}, Kind.WIDENS),
        ({"fair": "client"}, Kind.WIDENS),
        ({"fair": None}, Kind.WIDENS),
        ({"else": 1}, Kind.WIDENS),
    ],
)
def test_requests_at_once(change: Document, kind: Kind) -> None:
    new = {key: value for key, value in {**AT_ONCE, **change}.items() if value is not None}
    assert kinds(concurrency([AT_ONCE], [new])) == {kind}


def test_a_limit_that_comes_or_goes() -> None:
    assert kinds(concurrency([AT_ONCE], [])) == kinds(limits("rate_limits", [RATE], [])) == {Kind.WIDENS}
    assert kinds(concurrency([], [AT_ONCE])) == kinds(limits("rate_limits", [], [RATE])) == {Kind.NARROWS}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (("exact", "refuse"), ("cached", "refuse"), {Kind.WIDENS}),
        (("cached", "refuse"), ("exact", "refuse"), {Kind.NARROWS}),
        (("exact", "refuse"), ("exact", "local"), {Kind.WIDENS}),
        (("exact", "local"), ("exact", "fail_open"), {Kind.WIDENS}),
        (("exact", "fail_open"), ("exact", "refuse"), {Kind.NARROWS}),
        (("exact", "refuse"), None, {Kind.WIDENS}),
        (None, ("exact", "fail_open"), {Kind.NARROWS, Kind.WIDENS}),
    ],
)
def test_how_instances_share_a_limit(old: Any, new: Any, found: set[Kind]) -> None:
    """Each instance for itself lets through the limit times the instances; what is lost with Redis is said as well."""
    one, other = (
        {**RATE, "shared": dict(zip(("mode", "state_loss"), what, strict=True))} if what else RATE
        for what in (old, new)
    )
    assert kinds(limits("rate_limits", [one], [other])) == found
