"""Guarded logins in two configurations: more attempts, shorter waits and more exceptions widen."""

from __future__ import annotations

from typing import Any

import pytest

from yett.config.filters.login_guard import text as explained
from yett.policy.diff.change import Change, Kind
from yett.policy.diff.logins import login_guard

LIMITS = {
    "accounts": 10,
    "failures": 20,
    "guesses": 10,
    "per_account": 30,
    "per_fingerprint": 30,
    "per_password": 10,
    "per_asn": 100,
}
ONE: dict[str, Any] = {
    "kind": "login", "account": {"form": "user"}, "password": {"form": "password"}, "window_ms": 600_000, "slow_ms": 2_000,
    "ban_ms": 900_000, "thresholds": LIMITS, "except": ["192.0.2.0/24"], "failed": {"status": [200]},
}  # fmt: skip
WORK: dict[str, Any] = {
    "at": 30, "difficulty": 2_000, "holds_ms": 600_000, "attempts": 5, "refuse_others": False,
}  # fmt: skip


def found(**changes: Any) -> list[Change]:
    new = {key: value for key, value in {**ONE, **changes}.items() if value is not None}
    return list(login_guard(ONE, new))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"kind": "other"}, Kind.WIDENS),
        ({"account": {"form": "email"}}, Kind.WIDENS),
        ({"failed": None}, Kind.WIDENS),
        ({"failed": {"status": [401]}}, Kind.WIDENS),
        ({"failed": {"status": [200, 204]}}, Kind.NARROWS),
        ({"failed": {"status": [200], "body": {"pointer": "/error"}}}, Kind.NARROWS),
        ({"failed": {"status": [], "body": {"pointer": "/error"}}}, Kind.WIDENS),
        ({"failed": {"status": [200], "else": 1}}, Kind.WIDENS),
        ({"passed": {"pointer": "/token"}}, Kind.NARROWS),
        ({"password": None}, Kind.WIDENS),
        ({"window_ms": 60_000}, Kind.WIDENS),
        ({"window_ms": 900_000}, Kind.NARROWS),
        ({"slow_ms": 0}, Kind.WIDENS),
        ({"slow_ms": 5_000}, Kind.NARROWS),
        ({"ban_ms": 0}, Kind.WIDENS),
        ({"ban_ms": 3_600_000}, Kind.NARROWS),
        *(({"thresholds": {**LIMITS, key: LIMITS[key] + 1}}, Kind.WIDENS) for key in LIMITS),
        *(({"thresholds": {**LIMITS, key: LIMITS[key] - 1}}, Kind.NARROWS) for key in LIMITS),
        ({"except": ["192.0.2.0/24", "198.51.100.0/24"]}, Kind.WIDENS),
        ({"except": []}, Kind.NARROWS),
        ({"shadow": True}, Kind.WIDENS),
        ({"something": "new"}, Kind.WIDENS),
    ],
)
def test_one_change_is_one_of_its_kind(changes: dict[str, Any], kind: Kind) -> None:
    assert [one.kind for one in found(**changes)] == [kind]


def test_the_same_is_no_change_and_out_of_shadow_narrows() -> None:
    assert found() == []
    assert [one.kind for one in login_guard({**ONE, "shadow": True}, ONE)] == [Kind.NARROWS]


def test_one_that_goes_widens_and_one_that_comes_narrows() -> None:
    (gone,) = login_guard(ONE, None)
    (come,) = login_guard(None, ONE)
    assert (gone.kind, come.kind) == (Kind.WIDENS, Kind.NARROWS)
    assert gone.text == (
        "nobody watches logins any more: login, account in form user; 10 accounts, 20 failures or 10 guesses of an address in 600 s: "
        "waits 2 s, refused, banned for 900 s"
    )


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({}, {"password": None}, "one password on many accounts is not seen any more"),
        ({"password": None}, {}, "one password on many accounts is seen now"),
        ({}, {"password": {"form": "pin"}}, "logins: the password is read from another place"),
        ({}, {"ban_ms": 60_000}, "how long an address is banned: 15m before, 1m now"),
        ({}, {"slow_ms": 0}, "how long a suspicious attempt waits: 2s before, 0s now"),
        ({}, {"slow_ms": 1_500}, "how long a suspicious attempt waits: 2s before, 1500ms now"),
    ],
)
def test_a_text_says_what_becomes_of_it(old: dict[str, Any], new: dict[str, Any], text: str) -> None:
    sides = [{key: value for key, value in {**ONE, **one}.items() if value is not None} for one in (old, new)]
    assert [one.text for one in login_guard(*sides)] == [text]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"at": 20}, Kind.WIDENS),
        ({"at": 40}, Kind.WIDENS),
        ({"difficulty": 1_000}, Kind.WIDENS),
        ({"difficulty": 4_000}, Kind.NARROWS),
        ({"holds_ms": 900_000}, Kind.WIDENS),
        ({"holds_ms": 60_000}, Kind.NARROWS),
        ({"attempts": 6}, Kind.WIDENS),
        ({"attempts": 4}, Kind.NARROWS),
        ({"refuse_others": True}, Kind.NARROWS),
        ({"secret": "routes.login.login_guard.challenge.secret"}, Kind.WIDENS),
        ({"something": "new"}, Kind.WIDENS),
        ({}, None),
    ],
)
def test_one_change_of_what_browsers_calculate(changes: dict[str, Any], kind: Kind | None) -> None:
    pair = {**ONE, "challenge": WORK}, {**ONE, "challenge": {**WORK, **changes}}
    assert [one.kind for one in login_guard(*pair)] == ([kind] if kind else [])
    if kind and kind is not Kind.WIDENS or "refuse_others" in changes:
        assert [one.kind for one in login_guard(*reversed(pair))] == [Kind.WIDENS], "and back"


def test_work_in_place_of_a_refusal_widens_and_no_work_in_place_of_it_does_too() -> None:
    """Who calculates gets in where there was a refusal; who need not calculate tries for nothing."""
    with_work = {**ONE, "challenge": WORK}
    (come,), (gone,) = login_guard(ONE, with_work), login_guard(with_work, ONE)
    assert (come.kind, gone.kind) == (Kind.WIDENS, Kind.WIDENS)
    assert come.text == (
        "browsers that calculate get in where they were refused: from a score of 30 on browsers derive up to 2000 keys for 5 attempts in 600 s"
    )


def test_less_or_something_else_that_a_success_has_widens() -> None:
    body = {"pointer": "/state", "value": "fine"}
    for after in (
        None,
        {"pointer": "/state"},
        {"pointer": "/state", "value": "ok"},
        {"pointer": "/", "value": "fine"},
    ):
        new = {**ONE, **({"passed": after} if after else {})}
        assert [one.kind for one in login_guard({**ONE, "passed": body}, new)] == [Kind.WIDENS]
    assert '; passed with /state "fine"' in explained({**ONE, "passed": body})
    assert "; failed with /error; passed with /ok true" in explained(
        {
            **ONE,
            "failed": {"status": [], "body": {"pointer": "/error"}},
            "passed": {"pointer": "/ok", "value": True},
        }
    )


def test_another_value_of_answers_widens() -> None:
    body = {"pointer": "/status", "value": "denied"}
    for after in (
        {"pointer": "/status", "value": "no"},
        {"pointer": "/state", "value": "denied"},
        {"pointer": "/status"},
    ):
        old, new = ({**ONE, "failed": {"status": [200], "body": one}} for one in (body, after))
        assert [one.kind for one in login_guard(old, new)] == [Kind.WIDENS]
