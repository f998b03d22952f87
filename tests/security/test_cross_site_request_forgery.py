"""A foreign page sends a request with the session that the browser adds by itself (CSRF; THREATS 46 for WebSocket)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import configs
from tests.support.browser import PAGE
from tests.support.site import Site
from tests.support.websocket import WebSocketService

SiteFactory = Callable[..., Site]
FOREIGN: dict[str, dict[str, str]] = {
    "a foreign page": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a page of a sister host": {"origin": "https://other.localhost", "sec-fetch-site": "same-site"},
    "an opaque origin": {"origin": "null", "sec-fetch-site": "cross-site"},
    "an old browser on a foreign page": {"origin": "https://evil.example"},
    "nothing is said": {},
    "typed": {"sec-fetch-site": "none"},
    "the site alone lies": {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    "the origin alone lies": {"origin": "OWN", "sec-fetch-site": "cross-site"},
    "the same host over http": {"origin": "HTTP"},
    "another port": {"origin": "PORT"},
    "only a referer": {"referer": "OWN/app"},
}
OWN: dict[str, dict[str, str]] = {
    "a page of this host": {"origin": "OWN", "sec-fetch-site": "same-origin"},
    "an old browser": {"origin": "OWN"},
    "without an origin": {"sec-fetch-site": "same-origin"},
}


def said(here: Site, headers: dict[str, str]) -> dict[str, str]:
    words = {
        "OWN": here.base,
        "HTTP": here.base.replace("https", "http"),
        "PORT": f"https://localhost:{here.gateway.port + 1}",
    }
    out = {}
    for name, value in headers.items():
        word, _, rest = value.partition("/") if not value.startswith("http") else (value, "", "")
        out[name] = words.get(word, word) + (f"/{rest}" if rest else "")
    return out


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_writes_need_a_page_of_this_host(site: SiteFactory, method: str) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    for name, headers in FOREIGN.items():
        for accept in ("text/html", "*/*"):
            answer = browser.send(method, "/app", {"accept": accept, **said(here, headers)})
            assert answer.status_code == 403, name
    assert browser.send(method, "/app", {"accept": "*/*"}).json()["reason"] == "csrf_refused"
    assert here.origin.saw_nothing()
    for name, headers in OWN.items():
        assert browser.send(method, "/app", said(here, headers)).status_code == 200, name


def test_reading_is_possible_from_a_link(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    for method in ("GET", "HEAD"):
        assert browser.send(method, "/app", {**PAGE, "sec-fetch-site": "cross-site"}).status_code == 200


def test_a_token_needs_no_page(site: SiteFactory, issuer: Callable[..., Any]) -> None:
    """What no browser adds by itself is no CSRF; with the cookie beside it, the token is what counts."""
    here = site()
    tokens = issuer()
    here.reload(
        identity_providers__api=tokens.inline(here.directory),
        routes__page__authenticate={"any_of": ["staff", "api"]},
    )
    browser = here.browser()
    browser.login()
    headers = {"authorization": f"Bearer {tokens.token()}", "origin": "https://evil.example"}
    assert browser.send("POST", "/app", headers).status_code == 200
    assert browser.send("POST", "/app", {"origin": "https://evil.example"}).status_code == 403


def test_a_foreign_page_refreshes_nothing(site: SiteFactory) -> None:
    here = site()
    here.provider.configure(ttl={"AccessToken": 1})
    browser = here.browser()
    browser.login()
    here.provider.seen()
    assert browser.send("POST", "/app", {"origin": "https://evil.example"}).status_code == 403
    assert here.provider.seen() == []


@pytest.mark.parametrize("origins", [None, {"any_of": ["https://evil.example"]}])
def test_a_foreign_page_opens_no_websocket(
    site: SiteFactory, websocket: Callable[..., WebSocketService], origins: Any
) -> None:
    here = site()
    service = websocket()
    rules = {} if origins is None else {"origins": origins}
    route = configs.route(
        "/socket",
        methods="GET",
        access="authenticated",
        authenticate="staff",
        service="socket",
        websocket=rules,
    )
    here.reload(services__socket=service.config(), routes__socket=route)
    browser = here.browser()
    browser.login()
    opening = {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    for headers in (
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": here.base, "sec-fetch-site": "cross-site"},
        {},
    ):
        answer = browser.send("GET", "/socket", {**opening, **headers})
        assert answer.status_code == 403, headers
    assert (
        browser.send(
            "GET", "/socket", {**opening, "origin": here.base, "sec-fetch-site": "same-origin"}
        ).status_code
        == 101
    )
