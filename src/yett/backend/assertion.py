"""Verifies assertions of identity: signature, time, audience, the request that it is for, and that it is new."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yett import _core
from yett.backend.caller import Caller
from yett.backend.keys import KeyFile, Keys, KeyUrl
from yett.backend.refused import Refused
from yett.backend.replays import MemoryReplays, Replays
from yett.backend.request import body_digest, request_digest

HEADER = "yett-identity"
TYPE = "yett-identity+jwt"
MAX_LENGTH = 16 * 1024
MAX_LIFETIME_S = 30
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class Parsed:
    """An assertion that was taken apart and not believed yet."""

    algorithm: str
    kid: str
    message: bytes
    payload: bytes
    signature: bytes


class Verifier:
    """Verifies the assertions for one service.

    Args:
        audience: the service's name in the gateway's configuration, or its `identity_assertion.audience`.
        issuer: `identity.issuer` of the gateway.
        keys: a URL, the path of a file, or `Keys`.
        leeway_s: how far the clocks of gateway and service may be apart.
        replays: what remembers used assertions; in this process where nothing is given.
        anonymous: whether callers of public routes are let in.
        reuse: whether assertions without an id are taken (`reuse` at the gateway); they can be used again while they live.
        body: whether an assertion without a digest of the body is refused (`body: digest` at the gateway).
    """

    def __init__(
        self,
        *,
        audience: str,
        issuer: str,
        keys: Keys | Path | str,
        leeway_s: int = 5,
        replays: Replays | None = None,
        anonymous: bool = False,
        reuse: bool = False,
        body: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not audience or not issuer:
            raise ValueError("`audience` and `issuer` have to be given")
        if not 0 <= leeway_s <= 60:
            raise ValueError(f"`{leeway_s}` is out of range; `leeway_s` is 0 to 60")
        self.audience, self.issuer, self.leeway_s = audience, issuer, leeway_s
        self.keys = keys if isinstance(keys, Keys) else _keys(keys)
        self.replays: Replays = MemoryReplays() if replays is None else replays
        self.anonymous, self.reuse, self.body = anonymous, reuse, body
        self._clock = clock

    def verify(
        self,
        assertion: str | None,
        *,
        method: str,
        path: str,
        query: bytes | str = b"",
        body: bytes | None = None,
    ) -> Caller:
        """Who calls. `path` is percent-decoded once, `query` as it was sent. May wait for keys.

        Raises:
            Refused: it is missing, or anything about it is not right.
        """
        parsed = self.parse(assertion)
        if self.keys.due(parsed.kid):
            self.keys.refresh()
        caller = self.check(parsed, method=method, path=path, query=query)
        if caller.body is not None or self.body:
            self.check_body(caller, b"" if body is None else body)
        return caller

    def parse(self, assertion: str | None) -> Parsed:
        """Takes an assertion apart; believes nothing. Raises `Refused`."""
        if not assertion:
            raise Refused("assertion_missing")
        match = _SHAPE.fullmatch(assertion) if len(assertion) <= MAX_LENGTH else None
        if match is None:
            raise Refused("assertion_invalid")
        header = _object(_decoded(match[1]))
        algorithm, kid = header.get("alg"), header.get("kid")
        if header.get("typ") != TYPE or "crit" in header:
            raise Refused("assertion_invalid")
        if not isinstance(kid, str) or not isinstance(algorithm, str):
            raise Refused("assertion_invalid")
        message = f"{match[1]}.{match[2]}".encode()
        return Parsed(algorithm, kid, message, _decoded(match[2]), _decoded(match[3]))

    def check(self, parsed: Parsed, *, method: str, path: str, query: bytes | str = b"") -> Caller:
        """Who calls, with the keys that are known. Raises `Refused`."""
        key = self.keys.find(parsed.kid)
        if key is None:
            raise Refused("assertion_key_unknown" if self.keys.available() else "keys_unavailable")
        # The key says what it signs with, never the assertion.
        if parsed.algorithm != key.algorithm:
            raise Refused("assertion_invalid")
        if not _core.verify_signature(key.algorithm, key.data, parsed.message, parsed.signature):
            raise Refused("assertion_signature_invalid")
        claims = _object(parsed.payload)
        if claims.get("iss") != self.issuer:
            raise Refused("assertion_issuer_mismatch")
        if claims.get("aud") != self.audience:
            raise Refused("assertion_audience_mismatch")
        expires = self._check_time(claims)
        expected = request_digest(method, path, query)
        said = claims.get("req")
        if (
            claims.get("htm") != method
            or not isinstance(said, str)
            or not hmac.compare_digest(said.encode(), expected.encode())
        ):
            raise Refused("assertion_request_mismatch")
        caller = _caller(claims)
        if caller.is_anonymous and not self.anonymous:
            raise Refused("caller_missing")
        # Last, so that nothing is remembered that would be refused anyway.
        self._check_new(claims, expires)
        return caller

    def check_body(self, caller: Caller, body: bytes) -> None:
        """Whether this is the body that was signed. Raises `Refused`."""
        said = caller.body
        if said is None or not hmac.compare_digest(said.encode(), body_digest(body).encode()):
            raise Refused("assertion_body_mismatch")

    def _check_time(self, claims: dict[str, Any]) -> int:
        issued, expires = claims.get("iat"), claims.get("exp")
        if type(issued) is not int or type(expires) is not int:
            raise Refused("assertion_invalid")
        now = self._clock()
        if not 0 < expires - issued <= MAX_LIFETIME_S:
            raise Refused("assertion_stale")
        if issued > now + self.leeway_s or expires + self.leeway_s <= now:
            raise Refused("assertion_stale")
        return expires

    def _check_new(self, claims: dict[str, Any], expires: int) -> None:
        assertion_id = claims.get("jti")
        if assertion_id is None and self.reuse:
            return
        if not isinstance(assertion_id, str) or not 16 <= len(assertion_id) <= 64:
            raise Refused("assertion_invalid")
        if not self.replays.first(assertion_id, expires + self.leeway_s):
            raise Refused("assertion_replayed")


def _keys(given: Path | str) -> Keys:
    return KeyUrl(given) if isinstance(given, str) and "://" in given else KeyFile(given)


def _decoded(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Refused("assertion_invalid") from None
    # One spelling only: the bits that do not count have to be zero.
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise Refused("assertion_invalid")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Refused("assertion_invalid") from None
    if not isinstance(found, dict):
        raise Refused("assertion_invalid")
    return found


def _caller(claims: dict[str, Any]) -> Caller:
    def text(name: str) -> str | None:
        value = claims.get(name)
        if value is not None and not isinstance(value, str):
            raise Refused("assertion_invalid")
        return value

    def words(name: str) -> tuple[str, ...]:
        value = claims.get(name, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise Refused("assertion_invalid")
        return tuple(value)

    subject, kind = text("sub"), text("kind")
    if not subject or kind not in {"user", "service", "device", "anonymous"}:
        raise Refused("assertion_invalid")
    time_, more, actor = claims.get("auth_time"), claims.get("claims", {}), claims.get("act")
    if (time_ is not None and type(time_) is not int) or not isinstance(more, dict):
        raise Refused("assertion_invalid")
    if actor is not None and not isinstance(actor, dict):
        raise Refused("assertion_invalid")
    return Caller(
        subject=subject, kind=kind, provider=text("idp"), client=text("client_id"), tenant=text("tenant"),
        scopes=frozenset((text("scope") or "").split(" ")) - {""}, roles=frozenset(words("roles")), methods=words("amr"),
        authenticated=time_, claims=more, actor=actor, request_id=text("request_id"), revision=text("rev"), body=text("body"),
    )  # fmt: skip
