"""A session of one tenant on a route of another, of one host on another, of one provider on another (THREATS 10)."""

from __future__ import annotations

from collections.abc import Callable

from tests.support import configs
from tests.support.browser import FETCH
from tests.support.site import CLIENT, Site, staff

SiteFactory = Callable[..., Site]


def test_a_session_of_another_tenant(site: SiteFactory) -> None:
    none = {"none": "no tenant's own"}
    routes = {
        "start": configs.route("/app", access="authenticated", authenticate="staff", tenant=none),
        "tenant": configs.route(
            "/tenants/{tenant}/x", access="authenticated", authenticate="staff", tenant="path.tenant"
        ),
    }
    here = site(claims={"tenant": "tenant"}, config={"routes": routes})
    here.provider.configure(
        claims={"openid": ["sub", "sid", "tenant"]},
        accounts={"ann": {"tenant": "acme"}, "bob": {"tenant": "globex"}},
    )
    ann, bob, carol = here.browser(), here.browser(), here.browser()
    ann.login(who="ann")
    bob.login(who="bob")
    carol.login(who="carol")
    assert ann.fetch("/tenants/acme/x").status_code == 200
    for browser, path, reason in (
        (bob, "/tenants/acme/x", "tenant_mismatch"),
        (ann, "/tenants/globex/x", "tenant_mismatch"),
        (carol, "/tenants/acme/x", "tenant_missing"),
    ):
        answer = browser.fetch(path)
        assert (answer.status_code, answer.json()["reason"]) == (403, reason)
    assert len(here.origin.requests) == 1


def test_a_session_of_another_host(site: SiteFactory) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    assert browser.fetch("/app").status_code == 200
    for host in ("gateway.test", f"gateway.test:{here.gateway.port}", f"localhost:{here.gateway.port + 1}"):
        answer = browser.send("GET", "/app", {**FETCH, "host": host})
        assert (answer.status_code, answer.json()["reason"]) == (401, "session_invalid"), host
    assert len(here.origin.requests) == 1


def test_a_session_of_another_provider(site: SiteFactory) -> None:
    """Two clients of one provider, even with the same key: each session is its own provider's."""
    here = site()
    other = staff(
        here.provider, here.directory, session=here.config["identity_providers"]["staff"]["session"]
    )
    here.reload(
        identity_providers__customers=other,
        routes__customers=configs.route("/customers", access="authenticated", authenticate="customers"),
    )
    browser = here.browser()
    browser.login()
    assert browser.fetch("/app").status_code == 200
    assert browser.fetch("/customers").json()["reason"] == "credential_missing"
    browser.cookies["__Host-yett-customers"] = browser.cookies["__Host-yett-staff"]
    assert browser.fetch("/customers").json()["reason"] == "session_invalid"
    assert other["client"]["id"] == CLIENT
    assert len(here.origin.requests) == 1
