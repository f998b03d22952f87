"""A person in a real Chromium whom a guarded login asks to calculate first: before the form, and after it was sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support import configs
from tests.support.chromium import chromium
from tests.support.gateway import Gateway
from tests.support.login_service import FORM
from tests.support.origin import Origin, Stage
from tests.support.waiting import eventually

PAGE = """<!doctype html><title>Sign in</title><form method="post" action="{action}">
<input id="user" name="user"><input id="password" name="password" type="password"><button id="go">Sign in</button></form>"""


def service(stage: Stage) -> None:
    """Two forms, and what becomes of what they send."""
    body, status = stage.read_body(), b"200 OK"
    text = PAGE.format(action="/apart/in" if stage.request.target == "/apart" else "/login")
    if stage.request.method == "POST":
        fields = parse_qs(body.decode())
        good = fields["password"] == ["right"]
        text = f"<!doctype html><title>{'Welcome' if good else 'No'}</title>"
        status = b"200 OK" if good else b"401 Unauthorized"
    head = f"Content-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n"
    stage.send(b"HTTP/1.1 " + status + b"\r\n" + (head + text).encode())


def test_a_browser_calculates(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    listener_tls: dict[str, Any],
    client_tls: Any,
    tmp_path: Path,
) -> None:
    asked = origin()
    asked.behaviour = service
    guard = {"account": {"form": "user"}, "slow": "0s", "challenge": {"difficulty": 400, "attempts": 2}}
    methods = {"any_of": ["GET", "POST"]}
    config = {
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
        "services": {"origin": configs.service(asked)},
        "routes": {
            "login": configs.route("/login", methods, login_guard=guard, security_headers="strict"),
            "apart": configs.route("/apart/in", "POST", login_guard=guard),
            "form": configs.route("/apart", "GET"),
        },
    }
    gate = gateway(config)
    base = f"https://gateway.test:{gate.port}"

    def fail(path: str) -> None:
        for number in range(5):
            fields = {"Content-Type": FORM, "User-Agent": "tool"}
            body = f"user=leaked-{number}&password=wrong".encode()
            reply = gate.request("POST", path, fields, body, tls=client_tls, server_name="gateway.test")
            assert reply.status == 401

    with chromium(tmp_path, {"gateway.test": "127.0.0.1"}) as page:
        fail("/login")
        page.go(f"{base}/login")
        eventually(lambda: page.title == "Sign in", 30, "the form, after the calculation")
        (cookie,) = [one for one in page.cookies() if one["name"] == "__Host-yett-~proof"]
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        page.write("#user", "ann")
        page.write("#password", "right")
        page.click("#go")
        eventually(lambda: page.title == "Welcome", 30, "the answer of the service")

        fail("/apart/in")
        page.go(f"{base}/apart")
        page.write("#user", "bob")
        page.write("#password", "right")
        sent = len(asked.requests)
        page.click("#go")
        eventually(lambda: "send it once more" in page.text, 30, "the page, after the calculation")
        assert len(asked.requests) == sent, "what was sent is not passed on"
        assert page.run("return document.activeElement.id") == "go"
        shot = Path(os.environ.get("YETT_SCREENSHOTS", tmp_path)) / "challenge.png"
        page.screenshot(shot)
        assert shot.stat().st_size > 1000
        page.click("#go")
        eventually(lambda: page.title == "Sign in", 30, "the form again")
        page.run("for (const id of ['user', 'password']) document.getElementById(id).value = ''")
        page.write("#user", "bob")
        page.write("#password", "right")
        page.click("#go")
        eventually(lambda: page.title == "Welcome", 30, "the answer of the service")
    line = gate.log_line(
        matching=lambda one: one.get("login", {}).get("answer") == "proved" and one["route"] == "apart"
    )
    assert line["login"]["outcome"] == "passed"
