"""API keys made from the description of their form, independently of the product's code."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import string
import zlib
from pathlib import Path
from typing import Any

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


class KeyFile:
    """A keys file: `yett_<id>_<secret><checksum>`, each hashed with HMAC-SHA-256(salt || pepper, key)."""

    def __init__(self, directory: Path, name: str = "keys.yaml", pepper: bytes = b"") -> None:
        self.path = directory / name
        self.pepper = pepper
        self.salt = secrets.token_bytes(32)
        self.keys: dict[str, dict[str, Any]] = {}

    @staticmethod
    def assemble(identifier: str, secret: str) -> str:
        text = f"yett_{identifier}_{secret}"
        number, checksum = zlib.crc32(text.encode()), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            checksum = ALPHABET[digit] + checksum
        return text + checksum

    def add(self, name: str, **fields: Any) -> str:
        identifier = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
        key = self.assemble(identifier, "".join(secrets.choice(ALPHABET) for _ in range(43)))
        digest = hmac.digest(self.salt + self.pepper, key.encode(), hashlib.sha256).hex()
        self.keys[name] = {"id": identifier, "hash": digest, **fields}
        self.write()
        return key

    def remove(self, name: str) -> None:
        del self.keys[name]
        self.write()

    def write(self) -> None:
        self.path.write_text(json.dumps({"version": 1, "salt": self.salt.hex(), "keys": self.keys}))
