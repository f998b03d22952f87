"""People in browsers: login at a real OpenID provider, and a session in a sealed cookie or in the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import configs
from tests.support.browser import PAGE, query
from tests.support.openid_provider import signing_key
from tests.support.origin import reply
from tests.support.site import Site, endpoints, logout_token, session_key
from tests.support.waiting import eventually

SiteFactory = Callable[..., Site]


@pytest.fixture(params=["cookie", "server"])
def each_site(request: pytest.FixtureRequest, site: SiteFactory, tmp_path: Path) -> SiteFactory:
    """`site`, once for each place where sessions may be."""

    def begin(session: Any = None, config: Any = None, **options: Any) -> Site:
        if request.param == "server":
            session = {"store": "server", **(session or {})}
            config = {"state": {"directory": str(tmp_path / "state")}, **(config or {})}
        return site(session=session or {}, config=config, **options)

    return begin


def session_cookies(cookies: dict[str, str]) -> list[str]:
    return [name for name in cookies if name.startswith("__Host-yett-staff") and "login" not in name]


def test_a_person_logs_in_and_comes_back(each_site: SiteFactory, workers: int) -> None:
    here = each_site(workers=workers)
    browser = here.browser()
    asked = browser.page("/app?tab=1&x=%2F")
    assert asked.status_code == 302
    assert asked.headers["cache-control"] == "no-store"
    location = asked.headers["location"]
    assert location.startswith(f"{here.provider.issuer}/auth?")
    sent = query(location)
    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"] == here.callback()
    assert {"state", "nonce", "code_challenge"} <= set(sent)
    assert here.origin.saw_nothing()
    back = browser.page(browser.at_provider(location), **{"sec-fetch-site": "cross-site"})
    assert (back.status_code, back.headers["location"]) == (303, "/app?tab=1&x=%2F")
    assert back.headers["cache-control"] == "no-store"
    assert session_cookies(browser.cookies) == ["__Host-yett-staff"]
    assert not [name for name in browser.cookies if "login" in name]
    page = browser.page("/app?tab=1&x=%2F")
    assert (page.status_code, page.text) == (200, "ok")
    seen = here.origin.only
    assert "cookie" not in seen
    line = here.gateway.log_line(status=200)
    assert (line["subject"], line["kind"], line["authentication"]) == ("ann", "user", "oidc")


def test_scripts_get_401_and_never_a_redirect(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    for headers in (
        {"accept": "application/json"},
        {"accept": "*/*"},
        {**PAGE, "sec-fetch-mode": "cors"},
        {**PAGE, "x-requested-with": "XMLHttpRequest"},
        {**PAGE, "sec-fetch-dest": "iframe"},
    ):
        answer = browser.send("GET", "/app", headers)
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"] == 'Cookie realm="staff", login="/.yett/staff/login"'
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers
    for method in ("POST", "HEAD", "PUT", "DELETE"):
        assert browser.send(method, "/app", {**PAGE, "origin": here.base}).status_code == 401
    assert here.origin.saw_nothing()


def test_the_session_cookie_stays_here_and_others_pass(each_site: SiteFactory) -> None:
    here = each_site()
    here.reload(services={"origin": {**configs.service(here.origin), "forward_credential": True}})
    browser = here.browser()
    browser.login()
    browser.cookies["theme"] = "dark"
    browser.cookies["__Host-other"] = "1"
    assert browser.page("/app").status_code == 200
    assert here.origin.last["cookie"] == "theme=dark; __Host-other=1"
    assert browser.page("/open/x").status_code == 200
    assert here.origin.last["cookie"] == "theme=dark; __Host-other=1"


def test_a_service_cannot_set_a_session_cookie(site: SiteFactory) -> None:
    here = site()
    evil = "__Host-yett-staff=1.evil; Path=/; Secure; HttpOnly"
    # one without a name is sent back as its value alone
    nameless = f"={evil}"
    here.origin.behaviour = reply(headers=[("Set-Cookie", one) for one in (evil, nameless, "own=1")])
    browser = here.browser()
    answer = browser.page("/open/x")
    assert answer.headers.get_list("set-cookie") == ["own=1"]


def test_two_tabs_log_in_side_by_side(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    first, second = (browser.page(path).headers["location"] for path in ("/app?first", "/app?second"))
    assert len([name for name in browser.cookies if "login" in name]) == 2
    answers = [browser.page(browser.at_provider(location)) for location in (second, first)]
    assert [answer.headers["location"] for answer in answers] == ["/app?second", "/app?first"]
    assert browser.page("/app").status_code == 200


def test_logins_under_way_are_bounded(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    for number in range(9):
        assert browser.page(f"/app?{number}").status_code == 302
    assert len([name for name in browser.cookies if "login" in name]) == 4


def test_an_idle_session_ends(site: SiteFactory) -> None:
    here = site(session={"idle": "2s", "absolute": "1h"})
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)

    def ended() -> bool:
        browser.jar["localhost"] = dict(kept)
        return browser.fetch("/app").status_code == 401

    eventually(ended, 15, "the session to end")
    assert session_cookies(browser.cookies) == []
    browser.jar["localhost"] = dict(kept)
    assert browser.fetch("/app").json()["reason"] == "session_expired"
    browser.jar["localhost"] = dict(kept)
    assert browser.page("/app").status_code == 302


def test_a_session_that_is_used_is_renewed(site: SiteFactory) -> None:
    here = site(session={"idle": "8s", "absolute": "1h"})
    browser = here.browser()
    browser.login()
    first = browser.cookies["__Host-yett-staff"]

    def renewed() -> bool:
        answer = browser.fetch("/app")
        assert answer.status_code == 200
        return browser.cookies["__Host-yett-staff"] != first

    eventually(renewed, 15, "another cookie")
    assert browser.fetch("/app").status_code == 200


def test_a_session_ends_in_any_case(each_site: SiteFactory) -> None:
    here = each_site(session={"idle": "3s", "absolute": "3s"})
    browser = here.browser()
    browser.login()
    eventually(lambda: browser.fetch("/app").status_code == 401, 15, "the session to end")


def test_the_session_is_refreshed_once_for_all_requests(each_site: SiteFactory) -> None:
    from concurrent.futures import ThreadPoolExecutor

    here = each_site()
    here.provider.configure(ttl={"AccessToken": 4})
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    here.provider.seen()

    def one(_: int) -> int:
        other = here.browser()
        other.jar["localhost"] = dict(kept)
        status = other.fetch("/app").status_code
        if other.cookies != kept:
            changed.append(dict(other.cookies))
        return status

    changed: list[dict[str, str]] = []
    asked: list[str] = []

    def refreshed() -> bool:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(8))) == {200}
        asked.extend(here.provider.seen())
        return "POST /token" in asked

    eventually(refreshed, 15, "a refresh")
    assert asked.count("POST /token") == 1
    browser.jar["localhost"] = changed[-1] if changed else kept
    assert browser.fetch("/app").status_code == 200


def test_a_refresh_that_is_refused_ends_the_session(each_site: SiteFactory) -> None:
    here = each_site()
    here.provider.configure(ttl={"AccessToken": 4})
    browser = here.browser()
    browser.login()
    here.provider.forget()
    # Until the end of its access, and no longer.
    assert browser.fetch("/app").status_code == 200
    eventually(lambda: browser.fetch("/app").status_code == 401, 15, "the session to end")
    assert browser.page("/app").status_code == 302


def test_a_provider_that_is_down_keeps_sessions_to_the_end_of_their_access(each_site: SiteFactory) -> None:
    here = each_site(own_provider=True)
    here.provider.configure(ttl={"AccessToken": 6})
    browser = here.browser()
    browser.login()
    here.provider.close()
    assert browser.fetch("/app").status_code == 200
    eventually(lambda: browser.fetch("/app").status_code == 503, 30, "the end of the access")
    assert browser.fetch("/app").json()["reason"] == "identity_provider_unavailable"
    assert browser.fetch("/open/x").status_code == 200


def test_keys_are_exchanged_without_a_logout(each_site: SiteFactory) -> None:
    here = each_site()
    browser = here.browser()
    browser.login()
    old = here.config["identity_providers"]["staff"]["session"]["keys"][0]
    new = session_key(here.directory, "new.key")
    here.reload(identity_providers__staff__session__keys=[new, old])
    assert browser.page("/app").status_code == 200
    kept = dict(browser.cookies)
    here.reload(identity_providers__staff__session__keys=[new])
    assert browser.fetch("/app").json()["reason"] == "session_invalid"
    browser.jar["localhost"] = {}
    browser.login()
    assert browser.page("/app").status_code == 200
    browser.jar["localhost"] = kept
    assert browser.page("/app").status_code == 302


def test_a_change_of_the_claims_ends_sessions(each_site: SiteFactory) -> None:
    here = each_site()
    browser = here.browser()
    browser.login()
    here.reload(identity_providers__staff__claims={"roles": "groups"})
    assert browser.fetch("/app").json()["reason"] == "session_invalid"


def test_claims_of_the_id_token_decide(site: SiteFactory) -> None:
    here = site(claims={"roles": "roles"})
    here.provider.configure(
        claims={"openid": ["sub", "sid", "roles", "tenant"]},
        accounts={
            "ann": {"roles": ["admin"], "tenant": "acme"},
            "bob": {"roles": ["guest"], "tenant": "acme"},
        },
    )
    del here.config["routes"]["app"]["access"]
    here.reload(routes__app__authorize={"roles": "admin"})
    ann, bob = here.browser(), here.browser()
    ann.login(who="ann")
    bob.login(who="bob")
    assert ann.fetch("/app/x").status_code == 200
    answer = bob.fetch("/app/x")
    assert (answer.status_code, answer.json()["reason"]) == (403, "role_missing")


def test_logout_ends_it_here_and_at_the_provider(each_site: SiteFactory) -> None:
    here = each_site()
    browser = here.browser()
    browser.login()
    answer = browser.submit("/.yett/staff/logout")
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    sent = query(answer.headers["location"])
    assert sent["client_id"] == "gateway"
    assert sent["post_logout_redirect_uri"] == f"{here.base}/"
    assert "id_token_hint" in sent
    assert session_cookies(browser.cookies) == []
    assert browser.fetch("/app").status_code == 401
    script = here.browser()
    script.login()
    assert script.fetch("/.yett/staff/logout", "POST").status_code == 204
    assert script.fetch("/app").status_code == 401


def test_a_logout_needs_a_page_of_this_host(each_site: SiteFactory) -> None:
    here = each_site()
    browser = here.browser()
    browser.login()
    for origin, kind in (("https://evil.example", "cross-site"), ("null", "cross-site")):
        answer = browser.submit("/.yett/staff/logout", origin, kind)
        assert answer.status_code == 403
    assert browser.page("/.yett/staff/logout").status_code == 405
    assert browser.fetch("/app").status_code == 200


def test_without_a_logout_of_the_provider_it_ends_here_alone(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    given = {**endpoints(here.provider)}
    del given["end_session"]
    here.reload(identity_providers__staff__endpoints=given)
    answer = browser.submit("/.yett/staff/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_login_can_be_begun_by_a_link(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    answer = browser.page("/.yett/staff/login?return_to=/app%3Ftab%3D2")
    assert answer.status_code == 302
    back = browser.page(browser.at_provider(answer.headers["location"]))
    assert back.headers["location"] == "/app?tab=2"


def test_what_is_reserved_and_not_there_is_404(site: SiteFactory) -> None:
    here = site(config={})
    browser = here.browser()
    for path in (
        "/.yett/staff",
        "/.yett/staff/",
        "/.yett/staff/x",
        "/.yett/staff/login/x",
        "/.yett/other/login",
    ):
        assert browser.page(path).status_code == 404, path
    answer = browser.submit("/.yett/staff/callback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_other_hosts_know_no_login(site: SiteFactory) -> None:
    here = site()
    here.reload(routes__app__match__hosts="gateway.test", routes__page__match__hosts="gateway.test")
    assert here.browser().page("/.yett/staff/login").status_code == 404


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_every_algorithm_of_id_tokens(site: SiteFactory, algorithm: str) -> None:
    kind = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[algorithm]
    here = site(kind=kind)
    here.register(id_token_signed_response_alg=algorithm)
    browser = here.browser()
    assert browser.login().status_code == 303
    assert browser.page("/app").status_code == 200


def told(here: Site, token: str, kind: str = "application/x-www-form-urlencoded") -> httpx.Response:
    """The provider sends a logout token."""
    return here.browser().send(
        "POST", "/.yett/staff/backchannel-logout", {"content-type": kind}, content=f"logout_token={token}"
    )


@pytest.mark.parametrize("about", ["sid", "sub"])
def test_the_provider_ends_sessions_behind_the_browsers_back(
    each_site: SiteFactory, about: str, workers: int
) -> None:
    here = each_site(workers=workers)
    ann, bob = here.browser(), here.browser()
    ann.login(who="ann")
    bob.login(who="bob")
    assert ann.fetch("/app").status_code == 200
    sid = here.gateway.log_line(status=200)["session"]
    token = logout_token(here.provider, **({"sid": sid} if about == "sid" else {"sub": "ann"}))
    answer = told(here, token)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    for _ in range(8):
        assert ann.fetch("/app").status_code == 401
    assert bob.fetch("/app").status_code == 200
    again = told(here, token)
    assert (again.status_code, again.json()["reason"]) == (400, "logout_token_invalid")


def test_a_logout_at_the_provider_ends_the_session(each_site: SiteFactory) -> None:
    """The provider itself sends the logout token, over TLS."""
    here = each_site()
    browser, other = here.browser(), here.browser()
    browser.login()
    other.login(who="bob")
    kept = dict(browser.cookies)
    assert browser.fetch("/app").status_code == 200
    location = browser.submit("/.yett/staff/logout").headers["location"]
    # A copy that the gateway was not asked about: only the provider's word ends it.
    assert other.fetch("/app").status_code == 200
    page = browser.page(location)
    form = re.search(r'action="([^"]+)".*?name="xsrf" value="([^"]+)"', page.text, re.DOTALL)
    assert form, page.text
    browser.send("POST", form[1], PAGE, data={"xsrf": form[2], "logout": "yes"})
    assert here.gateway.log_line(matching=lambda line: "backchannel" in line["path"])["status"] == 200
    browser.jar["localhost"] = kept
    assert browser.fetch("/app").status_code == 401
    assert other.fetch("/app").status_code == 200


def test_a_logout_token_that_does_not_fit_ends_nothing(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    provider = here.provider
    for token in (
        "",
        "x",
        logout_token(provider, key=signing_key("first"), sub="ann"),
        logout_token(provider, sub="ann", iss="https://evil.example"),
        logout_token(provider, sub="ann", aud="other"),
        logout_token(provider, sub="ann", nonce="n"),
        logout_token(provider, sub="ann", events={}),
        logout_token(provider, sub="ann", exp=1, iat=1),
        logout_token(provider, sub="ann", jti=None),
        logout_token(provider),
        logout_token(provider, typ="at+jwt", sub="ann"),
        logout_token(provider, sub="ann").rsplit(".", 1)[0] + ".",
    ):
        answer = told(here, token)
        assert (answer.status_code, answer.json()["reason"]) == (400, "logout_token_invalid"), token
    large = told(here, "x" * 20_000)
    assert large.status_code == 400
    assert browser.fetch("/app").status_code == 200


def test_a_logout_reaches_copies_of_the_cookie(each_site: SiteFactory) -> None:
    here = each_site()
    browser, thief = here.browser(), here.browser()
    browser.login()
    thief.jar["localhost"] = dict(browser.cookies)
    assert thief.fetch("/app").status_code == 200
    browser.submit("/.yett/staff/logout")
    answer = thief.fetch("/app")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_expired")


def test_a_frame_of_the_provider_ends_the_session_of_its_browser(each_site: SiteFactory) -> None:
    here = each_site()
    browser, other = here.browser(), here.browser()
    browser.login()
    other.login(who="bob")
    assert browser.fetch("/app").status_code == 200
    sid = here.gateway.log_line(status=200)["session"]
    path = "/.yett/staff/frontchannel-logout"
    iss = here.provider.issuer
    for who, params in (
        (browser, {}),
        (browser, {"iss": iss}),
        (browser, {"iss": iss, "sid": "other"}),
        (browser, {"iss": "https://evil.example", "sid": sid}),
        (other, {"iss": iss, "sid": sid}),
        (here.browser(), {"iss": iss, "sid": sid}),
    ):
        assert who.send("GET", path, PAGE, params=params).status_code == 200
    assert browser.fetch("/app").status_code == 200
    assert other.fetch("/app").status_code == 200
    assert browser.send("GET", path, PAGE, params={"iss": iss, "sid": sid}).status_code == 200
    assert session_cookies(browser.cookies) == []
    assert browser.fetch("/app").status_code == 401


def test_endpoints_that_are_given_work_as_well(site: SiteFactory) -> None:
    here = site()
    here.reload(identity_providers__staff__endpoints=endpoints(here.provider))
    browser = here.browser()
    assert browser.login().status_code == 303
    assert browser.page("/app").status_code == 200


def test_a_provider_that_is_not_there_yet_is_503_and_comes_by_itself(site: SiteFactory) -> None:
    here = site(own_provider=True)
    here.provider.pause()
    here.reload(identity_providers__staff__hosts=["keys.example"])
    browser = here.browser()
    answer = browser.page("/app", accept="text/html, application/json;q=0.1")
    assert answer.status_code == 503
    assert browser.page("/open/x").status_code == 200
    here.provider.resume()
    eventually(lambda: browser.page("/app").status_code == 302, 40, "the provider's metadata")
