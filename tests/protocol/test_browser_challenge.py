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


# What is shown: whether it is wider than the window, whether the button is seen, the ground, and the least contrast of a text to what is
# behind it (WCAG 2, 1.4.3).
SHOWN = """
const light = (color) => {
  const [r, g, b] = color.match(/[0-9.]+/g).map((one) => one / 255).map((one) => one > 0.04045 ? ((one + 0.055) / 1.055) ** 2.4 : one / 12.92);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (part) => {
  for (let at = part; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!color.endsWith(', 0)')) return color;
  }
};
const contrast = (part) => {
  const [high, low] = [getComputedStyle(part).color, behind(part)].map(light).sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const button = document.getElementById('go').getBoundingClientRect();
return {
  overflows: document.documentElement.scrollWidth > innerWidth,
  button: button.height >= 44 && button.left >= 0 && button.right <= innerWidth && button.bottom <= innerHeight,
  ground: light(getComputedStyle(document.body).backgroundColor),
  contrast: Math.min(...[...document.querySelectorAll('h1, p, button')].map(contrast)),
};"""


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
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark"), (320, "light")):
            page.look(width, 800 if width > 500 else 660, scheme)
            shown = page.run(SHOWN)
            assert not shown["overflows"] and shown["button"], (width, scheme, shown)
            assert shown["contrast"] >= 4.5 and (shown["ground"] < 0.1) is (scheme == "dark"), (
                width,
                scheme,
                shown,
            )
            shot = Path(os.environ.get("YETT_SCREENSHOTS", tmp_path)) / f"challenge-{width}-{scheme}.png"
            page.screenshot(shot)
            # one of nothing but the ground has 5,000 to 8,000 bytes
            assert shot.stat().st_size > 20_000, (width, scheme)
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
