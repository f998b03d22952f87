"""Threat: whoever can log in logs out again and again, until nothing more can be revoked."""

from __future__ import annotations

from collections.abc import Callable

from tests.security.test_revocation import revoke
from tests.support.site import Site

SiteFactory = Callable[..., Site]


def test_logouts_leave_room_for_operators(site: SiteFactory) -> None:
    here = site()
    here.reload(process__revocations=4)
    answers = []
    for _ in range(3):
        browser = here.browser()
        browser.login()
        assert browser.page("/app").status_code == 200
        answers.append(browser.submit("/.yett/staff/logout").status_code)
    assert answers == [303, 303, 503]
    # who is told that it failed can ask again, and is still known
    assert browser.page("/app").status_code == 200
    for subject in ("bob", "ann"):
        assert revoke(here.gateway, subject=subject)["acknowledged"]
    assert browser.page("/app").status_code != 200
    assert not revoke(here.gateway, subject="eve")["acknowledged"]
