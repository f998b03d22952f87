"""The accounts service: people log in with an address and a password.

FOR THE DEMO ONLY: it makes no session, and knows the people of a file. Passwords are kept as scrypt hashes (RFC 7914).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

SALT = secrets.token_bytes(16)


def _hash(password: str) -> bytes:
    return hashlib.scrypt(password.encode(), salt=SALT, n=1 << 10, r=8, p=1)


PEOPLE = {
    name: _hash(password)
    for name, password in json.loads(Path(os.environ["SHOP_PEOPLE"]).read_text(encoding="utf-8")).items()
}
NOBODY = _hash(secrets.token_urlsafe())


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Shop: log in</title>
<h1>Log in</h1>
<form id="login">
<p><label>Address <input name="email" type="email" autocomplete="username" required></label>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<p><button>Log in</button> <span id="said" role="status"></span>
</form>
<script>
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(event.target)));
  const answer = await fetch("/login", { method: "POST", headers: { "content-type": "application/json" }, body });
  const said = await answer.json();
  document.getElementById("said").textContent = answer.ok ? `Welcome, ${said.welcome}` : said.detail || said.error;
});
</script>
</html>
"""


async def page(_request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def login(request: Request) -> JSONResponse:
    sent = await request.json()
    # the same work and the same answer, whether there is such a person or not
    known = PEOPLE.get(str(sent.get("email", "")).strip().lower(), NOBODY)
    if not hmac.compare_digest(known, _hash(str(sent.get("password", "")))):
        return JSONResponse({"error": "address or password is wrong"}, status_code=401)
    return JSONResponse({"welcome": sent["email"]})


app = Starlette(routes=[Route("/login", page, methods=["GET"]), Route("/login", login, methods=["POST"])])
