"""A token against foreign pages that is forged, of another session or of nobody; and one that is taken for what it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support import configs
from tests.support.browser import Browser
from tests.support.site import Site

SiteFactory = Callable[..., Site]
COOKIE = "__Host-yett-staff~csrf"
METHODS = {"any_of": ["GET", "POST"]}


def guarded(site: SiteFactory, token: str, **changes: Any) -> Site:
    own = {"access": "authenticated", "authenticate": "staff", "csrf": {"token": token}}
    routes = {
        "app": configs.route("/app", METHODS, **own),
        "plain": configs.route("/plain", METHODS, access="authenticated", authenticate="staff"),
    }
    return site(config={"routes": routes}, **changes)


def logged_in(here: Site, who: str = "ann") -> Browser:
    browser = here.browser()
    browser.login(who=who)
    assert browser.page("/app").status_code == 200
    return browser


def write(browser: Browser, path: str = "/app", token: str | None = None, **said: str) -> httpx.Response:
    """As a browser that says nothing of the page, unless `said` has it."""
    fields = {name.replace("_", "-"): value for name, value in said.items()}
    return browser.send("POST", path, {**fields, **({"x-csrf-token": token} if token is not None else {})})


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


REFUSED, INVALID = (403, "csrf_refused"), (403, "csrf_token_invalid")


def test_a_token_stands_for_what_the_browser_does_not_say(site: SiteFactory) -> None:
    here = guarded(site, "needed")
    ann, bob = logged_in(here), logged_in(here, "bob")
    token, other = ann.cookies[COOKIE], bob.cookies[COOKIE]
    assert len(token) == 43 and token != other
    here.origin.forget()
    assert reason(write(ann)) == REFUSED
    for wrong in (
        other,
        "",
        token[:-1],
        token + "A",
        token.swapcase(),
        "A" * 43,
        ann.cookies["__Host-yett-staff"],
    ):
        assert reason(write(ann, token=wrong)) == INVALID, wrong
    # Its cookie alone, which the browser adds by itself, is none.
    assert COOKIE in ann.cookies and reason(write(ann, token="")) == INVALID
    # A foreign page stays one, also where it has come by a token.
    for said in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        assert reason(write(ann, token=token, **said)) == REFUSED, said
    # On a route that takes none it is nothing.
    assert reason(write(ann, "/plain", token)) == REFUSED
    assert here.origin.saw_nothing()
    assert write(ann, token=token).status_code == 200
    assert write(ann, sec_fetch_site="same-origin").status_code == 200
    assert write(bob, token=other).status_code == 200
    for seen in here.origin.requests:
        assert "cookie" not in seen
    text = here.gateway.log_text().decode()
    assert token not in text and other not in text


def test_always(site: SiteFactory) -> None:
    """Not even the host's own pages write without it."""
    here = guarded(site, "always")
    ann = logged_in(here)
    token = ann.cookies[COOKIE]
    here.origin.forget()
    own = {"origin": here.base, "sec_fetch_site": "same-origin"}
    assert reason(write(ann, **own)) == INVALID
    assert reason(write(ann, token="A" * 43, **own)) == INVALID
    assert here.origin.saw_nothing()
    assert write(ann, token=token, **own).status_code == 200
    assert write(ann, token=token).status_code == 200
    # It is given once.
    assert "set-cookie" not in ann.page("/app").headers
    ann.cookies[COOKIE] = "B" * 43
    assert ann.page("/app").status_code == 200 and ann.cookies[COOKIE] == token


def test_it_goes_with_the_session(site: SiteFactory) -> None:
    here = guarded(site, "needed")
    ann = logged_in(here)
    token = ann.cookies[COOKIE]
    ann.cookies.clear()
    ann.login()
    assert ann.page("/app").status_code == 200
    assert ann.cookies[COOKIE] != token
    assert reason(write(ann, token=token)) == INVALID
    assert write(ann, token=ann.cookies[COOKIE]).status_code == 200
    assert ann.submit("/.yett/staff/logout").status_code in {302, 303}
    assert COOKIE not in ann.cookies


@pytest.mark.parametrize("token", ["needed", "always"])
def test_nobody_else_is_asked_for_one(site: SiteFactory, token: str) -> None:
    """Without a session there is no token: what is no session is refused as ever."""
    here = guarded(site, token)
    stranger = here.browser()
    answer = write(stranger, token="A" * 43, accept="*/*")
    assert reason(answer) == (401, "credential_missing")
    assert here.origin.saw_nothing()
