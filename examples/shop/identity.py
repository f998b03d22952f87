"""A small OAuth 2.0 token endpoint (RFC 6749 section 4.4, client credentials) with its key set (RFC 7517).

FOR THE DEMO ONLY: it has one kind of grant, keeps its clients in a file, and speaks plain HTTP on the loopback.
Its signing key is made at start and never leaves the process, so a restart rotates it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs, unquote

from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ISSUER = os.environ["SHOP_ISSUER"]
CLIENTS = json.loads(Path(os.environ["SHOP_CLIENTS"]).read_text(encoding="utf-8"))
AUDIENCE = "shop-api"
LIFETIME_S = 300
FORM_LIMIT = 4096

KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


def _refuse(error: str, status: int = 400) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="demo"'
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def _client(request: Request) -> tuple[str, str] | None:
    """Name and secret of HTTP Basic (RFC 6749 section 2.3.1)."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(name), unquote(secret)


async def token(request: Request) -> JSONResponse:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_LIMIT:
            return _refuse("invalid_request", 413)
    try:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items() if len(values) == 1}
    except UnicodeDecodeError:
        return _refuse("invalid_request")
    presented = _client(request)
    if presented is None:
        return _refuse("invalid_client", 401)
    known = CLIENTS.get(presented[0])
    expected = known["secret"] if known else ""
    if not hmac.compare_digest(expected.encode(), presented[1].encode()) or known is None:
        return _refuse("invalid_client", 401)
    if form.get("grant_type") != "client_credentials":
        return _refuse("unsupported_grant_type")
    granted = form["scope"].split() if "scope" in form else known["scopes"]
    if not set(granted) <= set(known["scopes"]):
        return _refuse("invalid_scope")
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": presented[0],
        "client_id": presented[0],
        "tenant": known["tenant"],
        "roles": known["roles"],
        "scope": " ".join(granted),
        "iat": now,
        "exp": now + LIFETIME_S,
        "jti": str(uuid.uuid4()),
        **known.get("claims", {}),
        # the machine of who asks was looked at just now
        "device_checked": now,
    }
    text = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}, claims, KEY)
    answer = {
        "access_token": text,
        "token_type": "Bearer",
        "expires_in": LIFETIME_S,
        "scope": claims["scope"],
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def jwks(_: Request) -> JSONResponse:
    return JSONResponse({"keys": [KEY.as_dict(private=False)]})


app = Starlette(routes=[Route("/token", token, methods=["POST"]), Route("/jwks.json", jwks)])
