"""Assertions of identity under test: keys of a gateway, and an independent reading of what it signs (joserfc)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from tests.support.origin import Seen
from yett.config.identity import key_set, read_keys
from yett.control import assertion_keys

ISSUER = "https://gateway.test"


def make_keys(directory: Path, algorithm: Any = "EdDSA") -> Path:
    """A file with one key."""
    file = directory / "identity.keys.pem"
    assertion_keys.create(file, algorithm)
    return file


def identity(keys: Path, **more: Any) -> dict[str, Any]:
    """The `identity` of a configuration."""
    return {"issuer": ISSUER, "keys": {"file": str(keys)}, **more}


def public_keys(file: Path) -> str:
    return key_set(read_keys(file.read_bytes()))


def read(text: str, keys: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an assertion whose signature holds under one of these keys."""
    with warnings.catch_warnings():
        # RFC 9864 renames EdDSA; the libraries of services know the old name.
        warnings.simplefilter("ignore", SecurityWarning)
        found = jws.deserialize_compact(
            text.encode(), KeySet.import_key_set(json.loads(keys)), algorithms=["EdDSA", "ES256"]
        )
    return dict(found.headers()), json.loads(found.payload)


def claims(seen: Seen, keys: str) -> dict[str, Any]:
    """What the service was told with this request."""
    return read(seen["yett-identity"], keys)[1]
