"""The gateway's public keys: from a file or by URL, kept in memory, fetched again at a bounded rate."""

from __future__ import annotations

import base64
import json
import logging
import re
import ssl
import threading
import time
import urllib.request
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_LOG = logging.getLogger("yett.backend")
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 64
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")


@dataclass(frozen=True)
class PublicKey:
    """One key: what it signs with, and its bytes (RFC 8032, or an uncompressed point of SEC 1)."""

    algorithm: Literal["EdDSA", "ES256"]
    data: bytes


class KeysError(ValueError):
    """A key set that cannot be used."""


def read_key_set(text: bytes) -> dict[str, PublicKey]:
    """The keys of a JWK set (RFC 7517 section 5) by id; kinds that sign no assertions are left out.

    Raises:
        KeysError: it is no key set, or it holds private keys.
    """
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeysError("this is no JWK set") from None
    if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
        raise KeysError(f"this is no JWK set of at most {_MAX_KEYS} keys")
    found: dict[str, PublicKey] = {}
    for key in keys:
        if not isinstance(key, dict) or "d" in key:
            raise KeysError("the key set holds a private key, which is no longer one")
        kid, key_type, curve = key.get("kid"), key.get("kty"), key.get("crv")
        if not isinstance(kid, str) or key.get("use", "sig") != "sig":
            continue
        if key_type == "OKP" and curve == "Ed25519":
            found[kid] = PublicKey("EdDSA", _coordinate(key, "x"))
        elif key_type == "EC" and curve == "P-256":
            found[kid] = PublicKey("ES256", b"\x04" + _coordinate(key, "x") + _coordinate(key, "y"))
    return found


def _coordinate(key: dict[str, Any], name: str) -> bytes:
    value = key.get(name)
    try:
        data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if len(data) != 32:
        raise KeysError(f"a key's `{name}` is not 32 bytes")
    return data


class Keys(ABC):
    """Keys in memory, and when to read them again. `find` never waits; `refresh` may."""

    def __init__(self, refresh_s: float, min_interval_s: float, stale_s: float) -> None:
        self.refresh_s, self.min_interval_s, self.stale_s = refresh_s, min_interval_s, stale_s
        self._keys: dict[str, PublicKey] = {}
        self._read_at = self._tried_at = float("-inf")
        self._fetching = threading.Lock()

    @abstractmethod
    def _read(self) -> bytes:
        """The key set. May raise `OSError` or `ValueError`."""

    def find(self, kid: str) -> PublicKey | None:
        """The key of this id, if it is known and the set is not too old."""
        return self._keys.get(kid) if self.available() else None

    def available(self) -> bool:
        """Whether there is a set that still counts."""
        return time.monotonic() - self._read_at < self.stale_s

    def due(self, kid: str) -> bool:
        """Whether a refresh is worth waiting for: the key is not known, and the last try is a while ago.

        A set that is merely old is read again beside the request.
        """
        now = time.monotonic()
        if now - self._tried_at < self.min_interval_s:
            # The first set may be under way.
            return self._read_at == float("-inf") and self._fetching.locked()
        if self.find(kid) is None:
            return True
        if now - self._read_at >= self.refresh_s and not self._fetching.locked():
            self._tried_at = now
            threading.Thread(target=self.refresh, args=(True,), daemon=True).start()
        return False

    def refresh(self, forced: bool = False) -> None:
        """Reads the set again, one at a time; a failure is logged and leaves the keys as they are."""
        with self._fetching:
            if not forced and time.monotonic() - self._tried_at < self.min_interval_s:
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = read_key_set(self._read())
                self._read_at = time.monotonic()
            except (OSError, ValueError) as error:
                _LOG.warning("the gateway's keys cannot be read: %s", error)


class KeyFile(Keys):
    """Keys from a file that `yett identity jwks --output` writes; looked at again every few seconds."""

    def __init__(self, path: str | Path, *, refresh_s: float = 10.0, min_interval_s: float = 1.0) -> None:
        super().__init__(refresh_s, min_interval_s, float("inf"))
        self.path = Path(path)

    def _read(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(_MAX_BYTES)


class KeyUrl(Keys):
    """Keys by URL. Redirects and proxies are not followed; a set that cannot be had again counts on for `stale_s`."""

    def __init__(
        self,
        url: str,
        *,
        plaintext: str | None = None,
        context: ssl.SSLContext | None = None,
        timeout_s: float = 3.0,
        min_interval_s: float = 10.0,
        stale_s: float = 86_400.0,
    ) -> None:
        if not url.startswith("https://") and not (plaintext and url.startswith("http://")):
            raise ValueError(
                f"`{url}` is not https; anyone on the way could put in keys: use https, or say why not with `plaintext`"
            )
        super().__init__(300.0, min_interval_s, stale_s)
        self.url, self.timeout_s = url, timeout_s
        # Nothing else: no handler for redirects, proxies or other schemes.
        self._opener = urllib.request.OpenerDirector()
        self._opener.add_handler(urllib.request.HTTPHandler())
        if url.startswith("https://"):
            self._opener.add_handler(
                urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
            )

    def _read(self) -> bytes:
        with self._opener.open(self.url, timeout=self.timeout_s) as answer:
            body: bytes = answer.read(_MAX_BYTES + 1)
            if answer.status != 200 or len(body) > _MAX_BYTES:
                raise KeysError(f"the answer has status {answer.status} and at least {len(body)} bytes")
            said = _MAX_AGE.search(answer.headers.get("cache-control", ""))
            self.refresh_s = min(max(float(said[1]) if said else 300.0, self.min_interval_s), 86_400.0)
            return body
