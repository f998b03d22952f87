"""A person in a real Chromium: logs in, writes through a form, comes back later, logs out; foreign pages write nothing."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from tests.support import configs
from tests.support.chromium import Chromium, chromium
from tests.support.origin import Stage
from tests.support.site import Site
from tests.support.waiting import eventually

PAGE = """<!doctype html><title>Notes</title><h1>Notes</h1><ul>{notes}</ul>
<form method="post" action="/app"><input name="note" id="note"><button id="save">Save</button></form>
<form method="post" action="/.yett/staff/logout"><button id="out">Sign out</button></form>"""
PLAIN = """<!doctype html><title>Plain</title><form method="post" action="/plain">
<input type="hidden" name="csrf" value="{token}"><input name="note" value="{note}"><button id="save">Save</button></form>"""
FOREIGN = """<!doctype html><title>Prizes</title><form id="form" method="post" action="{target}" target="_self">
<input name="note" value="stolen"></form>"""


class Notes:
    """A service with a page of notes, and, for another host, a page that would like to write one."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.target = ""

    def __call__(self, stage: Stage) -> None:
        body = stage.read_body()
        if stage.request.target.startswith("/prizes"):
            self.answer(stage, FOREIGN.format(target=self.target))
        elif stage.request.target.startswith("/plain") and stage.request.method == "GET":
            token = stage.request["x-csrf-token"] if "right" in stage.request.target else "A" * 43
            self.answer(stage, PLAIN.format(token=token, note="tea"))
        elif stage.request.method == "POST":
            self.notes.append(urllib.parse.parse_qs(body.decode())["note"][0])
            stage.send(b"HTTP/1.1 303 See Other\r\nLocation: /app\r\nContent-Length: 0\r\n\r\n")
        else:
            self.answer(stage, PAGE.format(notes="".join(f"<li>{note}</li>" for note in self.notes)))

    def answer(self, stage: Stage, text: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(text.encode())}\r\n\r\n"
        stage.send(head.encode() + text.encode())


def log_in(page: Chromium, url: str) -> None:
    page.go(url)
    eventually(lambda: page.title == "Sign in", 30, "the provider's page")
    page.write("#login", "ann")
    page.click("#go")
    eventually(lambda: page.title == "Notes", 30, "the page")


def test_a_day_in_chromium(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site()
    notes = Notes()
    here.origin.behaviour = notes
    methods = {"any_of": ["GET", "POST"]}
    here.reload(
        routes={
            "app": configs.route(
                "/app", methods, "gateway.test", access="authenticated", authenticate="staff"
            ),
            "api": configs.route(
                "/api",
                methods,
                "gateway.test",
                access="authenticated",
                authenticate="staff",
                csrf={"token": "always"},
            ),
            "plain": configs.route(
                "/plain",
                methods,
                "gateway.test",
                access="authenticated",
                authenticate="staff",
                csrf={"token": "always", "form": "csrf"},
            ),
            "sister": configs.route("/prizes", "GET", {"any_of": ["sister.gateway.test", "evil.example"]}),
        }
    )
    base = f"https://gateway.test:{here.gateway.port}"
    here.register(redirect_uris=[f"{base}/.yett/staff/callback"], post_logout_redirect_uris=[f"{base}/"])
    here.reload(identity_providers__staff__after_logout="/")
    notes.target = f"{base}/app"
    hosts = dict.fromkeys(["gateway.test", "sister.gateway.test", "evil.example"], "127.0.0.1")
    with chromium(tmp_path, hosts) as page:
        log_in(page, f"{base}/app?from=mail")
        assert page.url == f"{base}/app?from=mail"
        (cookie,) = [one for one in page.cookies() if one["name"].startswith("__Host-yett")]
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (
            True,
            True,
            "Lax",
            "/",
        )
        assert "yett" not in page.run("return document.cookie")

        page.write("#note", "milk")
        page.click("#save")
        eventually(lambda: "milk" in page.text, 30, "the note")
        assert notes.notes == ["milk"]
        page.reload()
        assert "milk" in page.text
        status = page.await_(
            "fetch('/app', {method: 'POST', body: new URLSearchParams({note: 'eggs'}), redirect: 'manual'})"
            ".then(answer => arguments[0](answer.type))"
        )
        assert (status, notes.notes) == ("opaqueredirect", ["milk", "eggs"])
        # A token that the page's own script reads and sends; without it not even the host's own page writes there.
        send = (
            "const done = arguments[0]; const token = (document.cookie.match(/~csrf=([^;]+)/) || [])[1];"
            "fetch('/api', {method: 'POST', headers: token ? {'X-CSRF-Token': token} : {}, redirect: 'manual',"
            " body: new URLSearchParams({note: 'ham'})}).then(answer => done(answer.status || answer.type))"
        )
        assert (page.await_(send), notes.notes) == (403, ["milk", "eggs"])
        page.await_("fetch('/api').then(answer => arguments[0](answer.status))")
        assert "~csrf=" in page.run("return document.cookie")
        assert (page.await_(send), notes.notes.pop()) == ("opaqueredirect", "ham")
        # A form without a script, with the token that the service was told; and one with another.
        page.go(f"{base}/plain?wrong")
        page.click("#save")
        eventually(lambda: "csrf_token_invalid" in page.text, 30, "the refusal")
        assert notes.notes == ["milk", "eggs"]
        page.go(f"{base}/plain?right")
        page.click("#save")
        eventually(lambda: page.title == "Notes", 30, "the page")
        assert notes.notes.pop() == "tea"
        shot = Path(os.environ.get("YETT_SCREENSHOTS", tmp_path)) / "login.png"
        page.screenshot(shot)
        assert shot.stat().st_size > 1000

        for foreign in ("sister.gateway.test", "evil.example"):
            page.go(f"https://{foreign}:{here.gateway.port}/prizes")
            assert page.title == "Prizes"
            page.run("document.getElementById('form').submit()")
            eventually(lambda: page.url == f"{base}/app", 30, "the answer to a foreign page")
            assert "csrf_refused" in page.text or "credential_missing" in page.text, page.text
        # The sister host is of the same site, so the browser adds the cookie, and it is the origin that tells.
        assert here.gateway.log_line(reason="csrf_refused")["status"] == 403
        assert notes.notes == ["milk", "eggs"]

        page.go(f"{base}/app")
        assert page.title == "Notes"
        page.click("#out")
        eventually(lambda: page.url == f"{base}/", 30, "the end of the logout")
        assert not [one for one in page.cookies() if one["name"].startswith("__Host-yett")]
        page.go(f"{base}/app")
        eventually(
            lambda: page.title == "Sign in", 30, "the provider's page, since it has logged her out as well"
        )
