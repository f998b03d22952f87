"""What a token says of itself, for explanations: nothing of it is verified here, and no value that identifies a person."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

_HEADER = ("alg", "kid", "typ")
_CLAIMS = ("iss", "aud", "client_id", "azp", "scope", "scp", "token_use")
_TIMES = ("exp", "nbf", "iat")
# Longer ones are shortened: an explanation is read by people.
_LONG = 120


def _part(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def moment(seconds: Any, now_ms: int) -> str:
    """`2026-11-28T12:00:00Z (3 min ago)`; what is no number of seconds, as it stands."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds < 253402300800:
        return f"{_short(seconds)} (no whole number of seconds since 1970)"
    away = seconds - now_ms // 1000
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ} ({_span(away)})"


def _span(seconds: int) -> str:
    size = abs(seconds)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if size >= unit:
            text = f"{size // unit} {name}"
            break
    else:
        text = "0 s"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def describe(authorization: str, now_ms: int) -> list[str]:
    """Lines of what a bearer token says: header, issuer, audience, times; of everything else only the names."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in {"bearer", "dpop"}:
        return [f"the scheme is {_short(scheme)}"]
    parts = token.strip().split(".")
    if len(parts) != 3:
        return [
            f"the token has {len(parts)} part{'s' if len(parts) != 1 else ''}, so it is opaque and no JWT"
        ]
    head, claims = _part(parts[0]), _part(parts[1])
    if head is None or claims is None:
        return ["the token looks like a JWT, and its header or claims cannot be read"]
    lines = [_line(name, _short(head[name])) for name in _HEADER if name in head]
    lines += [_line(name, _short(claims[name])) for name in _CLAIMS if name in claims]
    lines += [_line(name, moment(claims[name], now_ms)) for name in _TIMES if name in claims]
    others = sorted(set(claims) - {*_CLAIMS, *_TIMES})
    if others:
        lines.append(_line("and", ", ".join(_short(name) for name in others)))
    return lines


def _line(name: str, text: str) -> str:
    return f"{name:<10}{text}"
