"""Quotas in two configurations: what is larger, or another period, widens."""

from __future__ import annotations

from typing import Any

import pytest

from yett.policy.diff.change import Change, Kind
from yett.policy.diff.quotas import quotas

ONE: dict[str, Any] = {
    "name": "per-partner", "scope": "group:orders", "amount": 100, "period": "month", "zone": "UTC", "key": "partner",
    "state_loss": "refuse",
}  # fmt: skip


def found(**changes: Any) -> list[Change]:
    return list(quotas([ONE], [{**ONE, **changes}]))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"amount": 101}, Kind.WIDENS),
        ({"amount": 99}, Kind.NARROWS),
        ({"period": "week"}, Kind.WIDENS),
        ({"zone": "Europe/Berlin"}, Kind.WIDENS),
        ({"cost": {"default": 2}}, Kind.NARROWS),
        ({"cost": {"default": 1, "methods": {"GET": 0}}}, Kind.WIDENS),
        ({"warn": [80]}, Kind.MOVES),
        ({"state_loss": "local"}, Kind.WIDENS),
        ({"except": ["group orders: quota.per-partner.apps"]}, Kind.WIDENS),
        ({"something": "new"}, Kind.WIDENS),
    ],
)
def test_one_change_is_one_of_its_kind(changes: dict[str, Any], kind: Kind) -> None:
    assert [one.kind for one in found(**changes)] == [kind]


def test_the_same_is_no_change_and_back_is_the_other_way() -> None:
    assert found() == []
    (back,) = quotas([{**ONE, "state_loss": "local"}], [ONE])
    assert back.kind is Kind.NARROWS


def test_one_that_goes_widens_and_one_that_comes_narrows() -> None:
    (gone,) = quotas([ONE], [])
    assert gone.kind is Kind.WIDENS
    assert gone.text == "the quota `per-partner` (group:orders) is gone: 100 each month (UTC), by partner"
    (made,) = quotas([], [{**ONE, "warn": [80, 95]}])
    assert made.kind is Kind.NARROWS
    assert made.text == "the quota `per-partner`: 100 each month (UTC), by partner, told at 80%, 95%"


def test_another_place_or_key_begins_anew() -> None:
    assert {one.kind for one in found(scope="route:list")} == {Kind.WIDENS, Kind.NARROWS}
    assert {one.kind for one in found(key="tenant")} == {Kind.WIDENS, Kind.NARROWS}
