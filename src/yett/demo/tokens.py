"""Tokens from the demo's token endpoint, as a client gets them; and one that was tampered with."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from yett.backend import request_digest
from yett.config.identity import b64
from yett.demo import DemoError
from yett.demo.shop import CLIENTS, PORTS, Shop, find_directory
from yett.demo.story import Step

TIMEOUT_S = 10.0


def fetch_token(directory: Path | None, client: str, scope: str | None) -> str:
    """A token for a client of the running demo.

    Raises:
        DemoError: no demo runs, or the endpoint refuses.
    """
    shop_directory = find_directory(directory)
    state = shop_directory / ".state"
    try:
        running = json.loads((state / "running.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DemoError("no demo is running; start one with `yett demo` in another terminal") from None
    return ask_token(Shop(shop_directory, state, {**PORTS, **running["ports"]}), client, scope)


def ask_token(shop: Shop, client: str, scope: str | None = None) -> str:
    """A token for a client (RFC 6749 section 4.4).

    Raises:
        DemoError: the endpoint does not answer, or refuses.
    """
    if client not in CLIENTS:
        raise DemoError(f"`{client}` is no client of the demo; there are {', '.join(CLIENTS)}")
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    credential = base64.b64encode(f"{client}:{shop.client_secret(client)}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310
        f"{shop.issuer}/token",
        data=urllib.parse.urlencode(form).encode(),
        headers={"Authorization": f"Basic {credential}"},
    )
    # the endpoint is on this machine, whatever proxy the environment names
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return str(json.load(answer)["access_token"])
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace")
        raise DemoError(f"the token endpoint refused with {error.code}: {said}") from None
    except OSError as error:
        raise DemoError(
            f"the token endpoint on {shop.issuer} does not answer ({error}); is `yett demo` running?"
        ) from None


def forged(step: Step) -> str:
    """An assertion of identity with everything right but the key that signed it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    now = int(time.time())
    claims = {
        "iss": "https://shop.example/gateway", "aud": step.inside, "sub": "mallory", "kind": "user", "tenant": "acme",
        "scope": "billing.read", "iat": now, "exp": now + 30, "jti": b64(bytes(16)), "htm": step.method,
        "req": request_digest(step.method, step.path, b""),
    }  # fmt: skip
    header = {"alg": "EdDSA", "kid": "mallory", "typ": "yett-identity+jwt"}
    message = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    return f"{message}.{b64(Ed25519PrivateKey.generate().sign(message.encode()))}"


def tamper(token: str) -> str:
    """The token with the role `accountant` written into its claims, under its old signature."""
    head, claims, signature = token.split(".")
    found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    found["roles"] = ["accountant"]
    changed = base64.urlsafe_b64encode(json.dumps(found).encode()).decode().rstrip("=")
    return f"{head}.{changed}.{signature}"
