"""A token against foreign pages that is forged, of another session or of nobody; and one that is taken for what it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support import configs
from tests.support.browser import Browser
from tests.support.site import Site
from tests.support.waiting import eventually

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


# Forms without a script

TOLD = "x-csrf-token"
FORM = "application/x-www-form-urlencoded"


def with_form(site: SiteFactory, token: str, **more: Any) -> Site:
    csrf = {"token": token, "form": "csrf_token"}
    own = {"access": "authenticated", "authenticate": "staff", "csrf": csrf, **more}
    open_ = {"access": "public", "csrf": {"origins": "https://other.example"}}
    return site(
        config={
            "routes": {
                "app": configs.route("/app", METHODS, **own),
                "open": configs.route("/open", METHODS, **open_),
            }
        }
    )


def form(
    browser: Browser, body: bytes, target: str = "/app", kind: str = FORM, **said: str
) -> httpx.Response:
    fields = {name.replace("_", "-"): value for name, value in said.items()}
    return browser.send("POST", target, {"content-type": kind, **fields}, content=body)


def multipart(token: str, name: str = "csrf_token") -> tuple[str, bytes]:
    part = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{token}\r\n--x--\r\n'
    return "multipart/form-data; boundary=x", part.encode()


@pytest.mark.parametrize("token", ["needed", "always"])
def test_a_form_has_the_token_that_the_service_was_told(site: SiteFactory, token: str) -> None:
    here = with_form(site, token)
    ann, bob = logged_in(here), logged_in(here, "bob")
    # As the service sees it, which writes it into its page.
    own, other = (seen[TOLD] for seen in here.origin.requests[-2:])
    assert (own, other) == (ann.cookies[COOKIE], bob.cookies[COOKIE])
    here.origin.forget()
    key = configs.write_secret(here.directory, "records.key", b"0123456789abcdef0123456789abcdef")
    records = here.directory / "decisions.jsonl"
    here.reload(decision_log={"file": str(records), "hash_key": {"file": key}})
    kind, parts = multipart(own)
    wrong = [
        f"amount=1&csrf_token={other}", f"csrf_token={own}&csrf_token={own}", f"csrf_token={own}&csrf_token={other}",
        f"csrf_token={own}&CSRF_TOKEN=x", f"csrf_token={own}&csrf%5Btoken%5D=x", f"csrf_token={own}A", "csrf_token=", "a=%zz",
        f"token={own}", f"csrf_token[]={own}", f"csrf_token={own}&csrf_token[0]=x", f"csrf_token={own}&csrf_token%00=x",
        f"a=1;csrf_token={other}&csrf_token={own}",
    ]  # fmt: skip
    for body in wrong:
        assert reason(form(ann, body.encode())) == INVALID, body
    good = f"amount=1&csrf_token={own}".encode()
    for query in (f"csrf_token={own}", "CSRF_TOKEN=x", "a=1&csrf.token[0]=x"):
        assert reason(form(ann, good, f"/app?{query}")) == INVALID, query
    assert reason(form(ann, multipart(other)[1], kind=kind)) == INVALID
    assert reason(form(ann, multipart(own, "CSRF_token")[1], kind=kind)) == INVALID
    # A header field goes before, and is no second chance.
    assert reason(form(ann, good, x_csrf_token=other)) == INVALID
    assert reason(form(ann, good, origin="https://evil.example")) == REFUSED
    assert reason(form(ann, good, sec_fetch_site="cross-site")) == REFUSED
    assert form(ann, good + b"&more=" + b"x" * 66_000).status_code == 413
    none = {"text/plain": good, "application/json": b'{"csrf_token": "' + own.encode() + b'"}'}
    for other_kind, body in none.items():
        assert form(ann, body, kind=other_kind).status_code == 403, other_kind
    assert form(ann, good, content_encoding="gzip").status_code == 403
    assert here.origin.saw_nothing()
    answer = form(ann, good)
    assert answer.status_code == 200
    assert here.origin.last.body == good and here.origin.last[TOLD] == own
    assert form(ann, parts, kind=kind).status_code == 200
    assert form(ann, good, origin=here.base, sec_fetch_site="same-origin").status_code == 200
    text = here.gateway.log_text().decode()
    assert own not in text and other not in text
    # What a page sent is in no record, so there is none of a refusal for it, or for a body that was waited for.
    eventually(lambda: records.read_bytes().count(b"\n") >= 3, what="the records")
    assert all('"decision":"allow"' in line for line in records.read_text().splitlines())


def test_nobody_else_says_to_the_service_what_the_token_is(site: SiteFactory) -> None:
    here = with_form(site, "needed")
    ann = logged_in(here)
    ann.page("/app", **{"x-csrf-token": "A" * 43, "x_csrf_token": "B" * 43})
    seen = here.origin.last
    assert seen.all(TOLD) == [ann.cookies[COOKIE]] and "x_csrf_token" not in seen
    here.origin.forget()
    stranger = here.browser()
    body = b"csrf_token=" + b"A" * 43
    assert reason(form(stranger, body, accept="*/*")) == (401, "credential_missing")
    assert here.origin.saw_nothing()


def test_a_form_is_read_after_the_limits(site: SiteFactory) -> None:
    here = with_form(site, "always", rate_limit={"one": {"rate": "1/h", "burst": 4, "key": "principal"}})
    ann = logged_in(here)
    here.origin.forget()
    answers = [reason(form(ann, b"csrf_token=none", sec_fetch_site="same-origin")) for _ in range(6)]
    assert answers[0] == INVALID and answers[-1] == (429, "rate_limited")
    assert here.origin.saw_nothing()
