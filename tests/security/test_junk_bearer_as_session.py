"""A junk or foreign bearer never counts as a session, nor does a session rescue one (THREATS 8, CVE-2022-29226)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.browser import PAGE
from tests.support.site import Site

SiteFactory = Callable[..., Site]
JUNK = [
    "Bearer",
    "Bearer x",
    "Bearer a.b.c",
    "Basic dTpw",
    "bearer eyJhbGciOiJub25lIn0.e30.",
    "Session x",
    "x",
]


@pytest.mark.parametrize("value", JUNK)
def test_a_junk_bearer_is_refused(site: SiteFactory, value: str) -> None:
    here = site()
    browser = here.browser()
    answer = browser.send("GET", "/app", {**PAGE, "authorization": value, "accept": "application/json"})
    assert answer.status_code == 401
    browser.login()
    for headers in (PAGE, {**PAGE, "accept": "application/json"}):
        answer = browser.send("GET", "/app", {**headers, "authorization": value})
        assert answer.status_code == 401, "the session must not stand in for a credential that is refused"
        assert "location" not in answer.headers
    assert browser.page("/app").status_code == 200
    assert len(here.origin.requests) == 1


@pytest.mark.parametrize(
    "value", ["", "x", "1.", "1.x", "4.x", "9.x", "1.eyJhbGciOiJub25lIn0.e30.", "1." + "A" * 3000, '"1.x"']
)
def test_a_junk_cookie_is_no_session(site: SiteFactory, value: str) -> None:
    here = site()
    browser = here.browser()
    browser.cookies["__Host-yett-staff"] = value
    answer = browser.fetch("/app")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_invalid")
    assert browser.page("/app").status_code == 302
    assert here.origin.saw_nothing()


def test_tokens_of_the_provider_are_no_session(site: SiteFactory) -> None:
    """An ID token (THREATS 45) or access token in the cookie's place."""
    here = site()
    browser = here.browser()
    browser.login()
    answer = browser.submit("/.yett/staff/logout")
    hint = answer.headers["location"].split("id_token_hint=")[1].split("&")[0]
    for value in (hint, f"1.{hint}"):
        browser.cookies["__Host-yett-staff"] = value
        assert browser.fetch("/app").json()["reason"] == "session_invalid"
    answer = browser.send("GET", "/app", {"accept": "application/json", "authorization": f"Bearer {hint}"})
    assert answer.status_code == 401
    assert here.origin.saw_nothing()


def test_a_changed_session_is_no_session(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    whole = browser.cookies["__Host-yett-staff"]
    for at in (3, 10, 30, 60, len(whole) // 2, len(whole) - 3):
        letter = "A" if whole[at] != "A" else "B"
        browser.cookies["__Host-yett-staff"] = whole[:at] + letter + whole[at + 1 :]
        assert browser.fetch("/app").json()["reason"] == "session_invalid", at
    browser.cookies["__Host-yett-staff"] = whole
    assert browser.fetch("/app").status_code == 200
