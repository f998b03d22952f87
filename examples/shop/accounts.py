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
from starlette.responses import JSONResponse
from starlette.routing import Route

SALT = secrets.token_bytes(16)


def _hash(password: str) -> bytes:
    return hashlib.scrypt(password.encode(), salt=SALT, n=1 << 10, r=8, p=1)


PEOPLE = {
    name: _hash(password)
    for name, password in json.loads(Path(os.environ["SHOP_PEOPLE"]).read_text(encoding="utf-8")).items()
}
NOBODY = _hash(secrets.token_urlsafe())


async def login(request: Request) -> JSONResponse:
    sent = await request.json()
    # the same work and the same answer, whether there is such a person or not
    known = PEOPLE.get(str(sent.get("email", "")).strip().lower(), NOBODY)
    if not hmac.compare_digest(known, _hash(str(sent.get("password", "")))):
        return JSONResponse({"error": "address or password is wrong"}, status_code=401)
    return JSONResponse({"welcome": sent["email"]})


app = Starlette(routes=[Route("/login", login, methods=["POST"])])
