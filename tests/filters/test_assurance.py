"""How surely, and how lately, a person has to have logged in (RFC 9470)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.support import configs
from tests.support.browser import Browser, query
from tests.support.gateway import Gateway
from tests.support.site import Site

SiteFactory = Callable[..., Site]


def stepping(site: SiteFactory, **assurance: Any) -> tuple[Site, Browser]:
    """A site with a page that needs no more than a login, and one that does."""
    # A provider that asks anew at every login, and so gives what is asked for.
    here = site(parameters={"prompt": "login"})
    here.provider.configure(acr_values=["pwd", "mfa", "hardware"])
    strict = configs.route("/strict", access="authenticated", authenticate="staff", assurance=assurance)
    here.reload(routes__strict=strict)
    browser = here.browser()
    browser.login()
    assert browser.page("/app").status_code == 200
    return here, browser


def test_a_browser_is_led_to_a_stronger_login(site: SiteFactory) -> None:
    here, browser = stepping(site, acr=["mfa", "hardware"])
    asked = browser.page("/strict?x=1")
    assert asked.status_code == 302
    assert query(asked.headers["location"])["acr_values"] == "mfa hardware"
    here.origin.forget()
    back = browser.page(browser.at_provider(asked.headers["location"]))
    assert (back.status_code, back.headers["location"]) == (303, "/strict?x=1")
    assert browser.page("/strict?x=1").status_code == 200
    assert browser.page("/app").status_code == 200


def test_a_script_is_told_what_would_do(site: SiteFactory) -> None:
    here, browser = stepping(site, acr=["mfa", "hardware"], max_age="5m")
    here.origin.forget()
    answer = browser.fetch("/strict")
    assert (answer.status_code, answer.json()["reason"]) == (401, "insufficient_user_authentication")
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Cookie realm="staff", login="/.yett/staff/login"')
    assert 'error="insufficient_user_authentication"' in challenge
    assert challenge.endswith('acr_values="mfa hardware", max_age="300"')
    assert browser.fetch("/strict", "POST").status_code == 401
    assert here.origin.requests == []


def test_a_login_that_is_not_what_was_asked_for_is_refused(site: SiteFactory) -> None:
    """Nobody goes round in circles, and nobody gets in."""
    here, browser = stepping(site, acr="retina")
    asked = browser.page("/strict")
    back = browser.page(browser.at_provider(asked.headers["location"]), accept="text/html")
    assert back.status_code == 401
    assert "location" not in back.headers
    assert browser.fetch("/strict").status_code == 401


def test_an_old_login_has_to_be_renewed(site: SiteFactory) -> None:
    here, browser = stepping(site, max_age="1h")
    first = browser.page("/strict")
    if first.status_code == 302:
        # The provider tells `auth_time` where it is asked for `max_age`.
        assert query(first.headers["location"])["max_age"] == "3600"
        back = browser.page(browser.at_provider(first.headers["location"]))
        assert back.status_code == 303
    assert browser.page("/strict").status_code == 200


def test_tokens_are_judged_as_well(
    gateway: Callable[..., Gateway], origin: Callable[..., Any], issuer: Callable[..., Any], tmp_path: Any
) -> None:
    service, tokens = origin(), issuer()
    config = configs.protected(service, tokens, tmp_path, assurance={"acr": ["mfa", "gold"], "max_age": "5m"})
    front = gateway(config)
    now = int(time.time())

    def ask(**claims: Any) -> Any:
        return front.get("/x", {"Authorization": f"Bearer {tokens.token(**claims)}"})

    for claims in (
        {},
        {"acr": "mfa"},
        {"acr": "pwd", "auth_time": now},
        {"auth_time": now},
        {"acr": "mfa", "auth_time": now - 400},
        {"acr": "mfa", "auth_time": now + 400},
        {"acr": "MFA", "auth_time": now},
    ):
        answer = ask(**claims)
        assert (answer.status, answer.reason) == (401, "insufficient_user_authentication"), claims
        assert 'acr_values="mfa gold", max_age="300"' in answer["www-authenticate"]
    assert service.saw_nothing()
    assert ask(acr="gold", auth_time=now - 200).status == 200


def test_group_and_route_both_apply(
    gateway: Callable[..., Gateway], origin: Callable[..., Any], issuer: Callable[..., Any], tmp_path: Any
) -> None:
    service, tokens = origin(), issuer()
    config = {
        "identity_providers": {"id": tokens.inline(tmp_path)},
        "services": {"origin": configs.service(service)},
        "groups": {
            "strong": {
                "authenticate": "id",
                "access": "authenticated",
                "hosts": "any",
                "assurance": {"acr": ["mfa", "gold"]},
            }
        },
        "routes": {
            "one": {
                "group": "strong",
                "match": {"path": "/one", "methods": "GET"},
                "assurance": {"acr": ["gold", "silver"], "max_age": "1m"},
                "service": "origin",
            }
        },
    }
    front = gateway(config)
    now = int(time.time())

    def ask(acr: str) -> int:
        token = tokens.token(acr=acr, auth_time=now)
        return front.get("/one", {"Authorization": f"Bearer {token}"}).status

    assert [ask(acr) for acr in ("mfa", "silver", "gold")] == [401, 401, 200]
