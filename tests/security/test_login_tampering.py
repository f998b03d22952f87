"""A login whose parts are changed, replayed or taken from another browser; an address to return to elsewhere (THREATS 9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.browser import PAGE, Browser, changed, query
from tests.support.site import Site
from tests.support.waiting import eventually

SiteFactory = Callable[..., Site]


def under_way(here: Site, browser: Browser, who: str = "ann") -> str:
    """Where the provider sends the browser back to."""
    asked = browser.page("/app")
    assert asked.status_code == 302
    return browser.at_provider(asked.headers["location"], who)


def refused(browser: Browser, url: str, reason: str = "login_state_invalid") -> None:
    answer = browser.send("GET", url, {**PAGE, "accept": "application/json"})
    assert answer.status_code >= 400, url
    assert answer.json()["reason"] == reason, (url, answer.json())
    assert not any(name == "__Host-yett-staff" for name in browser.cookies)


def test_state_is_changed_or_missing(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    url = under_way(here, browser)
    state = query(url)["state"]
    ident, _, secret = state.partition(".")
    for value in (
        None,
        "",
        ident,
        secret,
        f"{ident}.",
        f"{ident}.{secret}x",
        f"{ident}.{secret[:-1]}",
        f"{ident}.{secret[::-1]}",
        f"x.{secret}",
        state.upper(),
        "x" * 5000,
    ):
        refused(browser, changed(url, state=value))
    for more in (f"&state={state}", "&code=other", "&iss=https%3A%2F%2Fevil.example"):
        refused(browser, url + more)
    assert here.origin.saw_nothing()
    # None of it has spent the login.
    assert browser.page(url).status_code == 303


def test_the_answer_comes_to_another_browser(site: SiteFactory) -> None:
    """Login CSRF: an attacker hands the victim an answer to a login of their own."""
    here = site()
    attacker, victim = here.browser(), here.browser()
    url = under_way(here, attacker, "mallory")
    refused(victim, url)
    victim.page("/app")
    refused(victim, url)
    assert victim.page("/app").status_code == 302


def test_an_answer_counts_once(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    asked = browser.page("/app")
    login = dict(browser.cookies)
    url = browser.at_provider(asked.headers["location"])
    assert browser.page(url).status_code == 303
    again = here.browser()
    refused(again, url)
    # Even with the cookie of the login, which a browser no longer has: the code is spent.
    again.jar["localhost"] = dict(login)
    refused(again, url, "login_failed")
    assert not [name for name in again.cookies if "login" in name]


def test_the_cookie_of_the_login_is_changed(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    url = under_way(here, browser)
    (name,) = [name for name in browser.cookies if "login" in name]
    value = browser.cookies[name]
    for bad in ("", "x", value[:-1], value[1:], value[:40] + ("A" if value[40] != "A" else "B") + value[41:]):
        browser.cookies[name] = bad
        refused(browser, url)
    del browser.cookies[name]
    browser.cookies["__Host-yett-staff"] = f"1.{value}"
    answer = browser.send("GET", "/app", {"accept": "application/json"})
    assert answer.json()["reason"] == "session_invalid"


def test_parts_of_two_logins_do_not_mix(site: SiteFactory) -> None:
    """The verifier (PKCE) and the nonce are those of the login that the code belongs to."""
    here = site()
    browser = here.browser()
    first, second = under_way(here, browser), under_way(here, browser)
    mixed = changed(first, code=query(second)["code"])
    refused(browser, mixed, "login_failed")


def test_a_code_of_another_client_is_injected(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    refused(browser, changed(under_way(here, browser), code="invented"), "login_failed")


@pytest.mark.parametrize("nonce", ["other", None])
def test_nonce_is_not_that_of_the_login(site: SiteFactory, nonce: str | None) -> None:
    """The provider is asked with another nonce, as by a page in between: its ID token is not for this login."""
    here = site()
    browser = here.browser()
    location = browser.page("/app").headers["location"]
    refused(browser, browser.at_provider(changed(location, nonce=nonce)), "login_failed")


def test_the_challenge_is_not_that_of_the_login(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    location = browser.page("/app").headers["location"]
    other = query(here.browser().page("/app").headers["location"])["code_challenge"]
    refused(browser, browser.at_provider(changed(location, code_challenge=other)), "login_failed")


def test_the_answer_is_another_providers(site: SiteFactory) -> None:
    """Mix-up (RFC 9207): `iss` is there and is the provider's."""
    here = site()
    browser = here.browser()
    url = under_way(here, browser)
    assert query(url)["iss"] == here.provider.issuer
    for iss in ("https://evil.example", here.provider.issuer + "/", here.provider.issuer.upper(), "", None):
        refused(browser, changed(url, iss=iss))
    assert browser.page(url).status_code == 303


def test_a_person_who_says_no(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    url = under_way(here, browser, who="")
    assert query(url)["error"] == "access_denied"
    refused(browser, url, "login_refused")
    assert not [name for name in browser.cookies if "login" in name]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example", "http:evil.example",
        "javascript:alert(1)", "/%5cevil.example", "/..//evil.example", "/app/../../evil", "app", "", " /app", "/app#x", "/app\r\nx",
        "/nothing-here", "/.yett/staff/logout", "/.yett/staff/callback", "https:/app", "@evil.example/app",
    ],
)  # fmt: skip
def test_an_address_to_return_to_elsewhere(site: SiteFactory, target: str) -> None:
    here = site()
    browser = here.browser()
    answer = browser.send(
        "GET", "/.yett/staff/login", {**PAGE, "accept": "application/json"}, params={"return_to": target}
    )
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert browser.cookies == {}


def test_a_login_over_another_host_ends_there(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    url = under_way(here, browser)
    answer = browser.send("GET", url, {**PAGE, "host": "gateway.test", "accept": "application/json"})
    assert answer.json()["reason"] == "login_state_invalid"


def test_a_session_is_named_anew_at_every_login(site: SiteFactory) -> None:
    """Session fixation: what a browser brings to the login is not what it has afterwards."""
    here = site()
    attacker, victim = here.browser(), here.browser()
    attacker.login(who="mallory")
    planted = attacker.cookies["__Host-yett-staff"]
    victim.cookies["__Host-yett-staff"] = planted
    asked = victim.page("/.yett/staff/login")
    victim.page(victim.at_provider(asked.headers["location"], "ann"))
    assert victim.cookies["__Host-yett-staff"] != planted
    assert victim.page("/app").status_code == 200
    assert attacker.page("/app").status_code == 200

    def callers() -> list[str]:
        return [line["subject"] for line in here.gateway.log_lines() if line.get("status") == 200]

    eventually(lambda: len(callers()) == 2, what="two log lines")
    assert callers() == ["ann", "mallory"]
