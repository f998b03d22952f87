"""The private keys that sign assertions of identity: made, and replaced by newer ones in time."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from yett.config.identity import MAX_KEYS, RingError, SigningKey, read_keys
from yett.control.keys_file import KeysError, alone, replace

HEAD = """\
# Private keys that sign assertions of identity: for all instances of the gateway, and for nobody else.
# Made with `yett keys assertion`; `yett keys assertion rotate` adds a key and removes those that are over.
"""
OVER = timedelta(hours=1)
"""How long a key stays that no longer signs; what it signed has been over for most of that time."""

Algorithm = Literal["EdDSA", "ES256"]


def create(file: Path, algorithm: Algorithm, now: datetime | None = None) -> SigningKey:
    """Makes a file with one key, which signs at once.

    Raises:
        KeysError: the file is there already, or cannot be written.
    """
    now = _second(now)
    with alone(file):
        if file.exists():
            raise KeysError(f"`{file}` is there already; add a key with `yett keys assertion rotate`")
        text = HEAD + _entry(algorithm, now, now)
        replace(file, text)
    return read_keys(text.encode())[0]


def rotate(
    file: Path, publish: timedelta, algorithm: Algorithm | None, now: datetime | None = None
) -> SigningKey:
    """Adds a key that signs once services know it, and removes keys that have not signed for an hour.

    Raises:
        KeysError: the last new key does not sign yet, or the file cannot be read or written.
    """
    now = _second(now)
    with alone(file):
        try:
            text = file.read_bytes()
            keys = read_keys(text)
        except OSError as error:
            raise KeysError(f"cannot read `{file}`: {(error.strerror or 'error').lower()}") from None
        except RingError as error:
            raise KeysError(f"`{file}` {error}") from None
        oldest = datetime.min.replace(tzinfo=UTC)
        keys.sort(key=lambda key: key.signs_from or oldest)
        newest = keys[-1]
        if newest.signs_from is not None and newest.signs_from > now:
            until = f"{newest.signs_from:%Y-%m-%dT%H:%M:%SZ}"
            raise KeysError(f"the last new key signs from {until}; rotate after that")
        blocks = _blocks(text.decode("ascii"), keys)
        left = [key for key, after in zip(keys, [*keys[1:], None], strict=True) if not _is_over(after, now)]
        if len(left) >= MAX_KEYS:
            raise KeysError(f"`{file}` has {len(left)} keys already; remove some")
        added = _entry(algorithm or newest.algorithm, now, now + publish)
        replace(file, HEAD + "".join(blocks[key.id] for key in left) + added)
    return read_keys(added.encode())[0]


def _second(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def _is_over(after: SigningKey | None, now: datetime) -> bool:
    """Whether the key before `after` signed its last assertion long ago."""
    return after is not None and after.signs_from is not None and after.signs_from + OVER <= now


def _blocks(text: str, keys: list[SigningKey]) -> dict[str, str]:
    """Each key as it is written, with its lines; comments stay behind."""
    pems = text.split("-----BEGIN PRIVATE KEY-----")[1:]
    by_index = {key.index: key for key in keys}
    blocks = {}
    for index, rest in enumerate(pems):
        body, _, _ = rest.partition("-----END PRIVATE KEY-----")
        key = by_index[index]
        pem = f"-----BEGIN PRIVATE KEY-----{body}-----END PRIVATE KEY-----\n"
        blocks[key.id] = _lines(key.id, key.created, key.signs_from) + pem
    return blocks


def _lines(key_id: str, created: datetime | None, signs_from: datetime | None) -> str:
    lines = f"\nKey-Id: {key_id}\n"
    for name, moment in (("Created", created), ("Signs-From", signs_from)):
        if moment is not None:
            lines += f"{name}: {moment:%Y-%m-%dT%H:%M:%SZ}\n"
    return lines


def _entry(algorithm: Algorithm, created: datetime, signs_from: datetime) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _lines(read_keys(pem)[0].id, created, signs_from) + pem.decode()


def write_public(file: Path, text: str) -> None:
    """Writes a file for services, which see the old one or the new one, never a part.

    Raises:
        KeysError: it cannot be written.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise KeysError(f"cannot write `{file}`: {(error.strerror or 'error').lower()}") from None
