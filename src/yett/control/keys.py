"""The keys file of an `api_key` provider: making keys, hashing them, listing them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import string
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_ALPHABET = string.ascii_lowercase + string.digits
ID_LENGTH = 12
# 43 characters of 62 carry 256 bits
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
SALT_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
HEAD = """\
# API keys: keyed hashes, never the keys themselves. Made with `yett keys create`; an entry that is
# removed is refused after the next reload.
version: 1
salt: {salt}
keys:
"""


class KeysError(Exception):
    """The keys file or what was asked for is not right; the message is for the person who asked."""


@dataclass(frozen=True)
class NewKey:
    """What a key is to carry."""

    name: str
    scopes: Sequence[str] = field(default_factory=tuple)
    roles: Sequence[str] = field(default_factory=tuple)
    tenant: str | None = None
    expires: datetime | None = None


def checksum(text: str) -> str:
    """Six digits of base 62 of the CRC-32 of the text, by which a scanner knows a leaked key."""
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def hashed(key: str, salt: bytes, extra: bytes) -> str:
    """What is kept of a key: hex of HMAC-SHA-256(salt || pepper, key). The key is random, so no slow hash."""
    return hmac.new(salt + extra, key.encode(), hashlib.sha256).hexdigest()


def pepper(file: Path | None, variable: str | None) -> bytes:
    """The provider's pepper, from where its `pepper:` says.

    Raises:
        KeysError: both are given, or it is not there.
    """
    if file is not None and variable is not None:
        raise KeysError("give one of --pepper-file and --pepper-env")
    if file is not None:
        try:
            # as `{file: …}` is read: without the line end that an editor leaves
            found = file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise KeysError(f"cannot read `{file}`: {error.strerror}") from None
    elif variable is not None:
        found = os.environ.get(variable, "").encode()
    else:
        return b""
    if not found:
        raise KeysError("the pepper is empty; put at least 16 random bytes there")
    return found


def parse_expiry(text: str, now: datetime | None = None) -> datetime | None:
    """`90d`, `12h`, `30m`, a date, a time with its zone, or `never`.

    Raises:
        KeysError: it is none of them, or in the past.
    """
    now = now or datetime.now(UTC)
    if text == "never":
        return None
    if match := re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text):
        return (now + int(match[1]) * UNITS[match[2]]).replace(microsecond=0)
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        raise KeysError(f"`{text}` is no expiry; write `90d`, `12h`, `2027-01-31` or `never`") from None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until.astimezone(UTC)
    if until <= now:
        raise KeysError(f"`{text}` is in the past")
    return until.replace(microsecond=0)


def create(file: Path, new: NewKey, extra: bytes = b"") -> str:
    """Makes a key, appends its hash to the file (made when it is not there) and returns the key.

    Raises:
        KeysError: the name is taken, a value is not allowed, or the file cannot be read or written.
    """
    if not NAME.fullmatch(new.name):
        raise KeysError(f"`{new.name}` is no name; use letters, digits, `.`, `_` and `-`, at most 63")
    for word in [*new.scopes, *new.roles, *([new.tenant] if new.tenant else [])]:
        if not WORD.fullmatch(word):
            raise KeysError(
                f"`{word}` is not allowed here; use visible ASCII without spaces, quotes and backslashes"
            )
    with alone(file):
        text = file.read_text(encoding="utf-8") if file.exists() else None
        if text is None:
            text = HEAD.format(salt=secrets.token_hex(SALT_BYTES))
        before = _parse(file, text)
        if new.name in before["keys"]:
            raise KeysError(
                f"`{new.name}` is in {file} already; use another name, for example `{new.name}-2`"
            )
        ids = {entry.get("id") for entry in before["keys"].values()}
        key_id = next(found for found in iter(_random_id, None) if found not in ids)
        body = f"yett_{key_id}_" + "".join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH))
        key = body + checksum(body)
        entry = _entry(new, key_id, hashed(key, bytes.fromhex(before["salt"]), extra))
        after = _appended(file, text, before, new.name, entry)
        replace_file(file, after)
    return key


def listing(file: Path, now: datetime | None = None) -> list[dict[str, Any]]:
    """One row for each key, without its hash.

    Raises:
        KeysError: the file cannot be read.
    """
    now = now or datetime.now(UTC)
    try:
        found = _parse(file, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeysError(f"cannot read `{file}`: {error.strerror}") from None
    rows = []
    for name, entry in sorted(found["keys"].items()):
        expires = entry.get("expires")
        gone = expires is not None and datetime.fromisoformat(str(expires)) <= now
        rows.append(
            {
                "name": name,
                "id": entry.get("id", ""),
                "scopes": entry.get("scopes", []),
                "roles": entry.get("roles", []),
                "tenant": entry.get("tenant"),
                "expires": expires,
                "state": "expired" if gone else "valid",
            }
        )
    return rows


def _random_id() -> str:
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))


def _entry(new: NewKey, key_id: str, digest: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": key_id, "hash": digest}
    if new.scopes:
        entry["scopes"] = list(new.scopes)
    if new.roles:
        entry["roles"] = list(new.roles)
    if new.tenant:
        entry["tenant"] = new.tenant
    if new.expires is not None:
        entry["expires"] = f"{new.expires:%Y-%m-%dT%H:%M:%SZ}"
    return entry


def _appended(file: Path, text: str, before: dict[str, Any], name: str, entry: dict[str, Any]) -> str:
    """The text with one entry more, comments kept; proved by reading it again."""
    # JSON scalars and lists are YAML
    lines = "".join(f"    {field}: {json.dumps(value)}\n" for field, value in entry.items())
    start = text if text.endswith("\n") else text + "\n"
    if not before["keys"]:
        start = re.sub(r"^keys:[ ]*\{[ ]*\}[ ]*$", "keys:", start, flags=re.MULTILINE)
    after = f'{start}  "{name}":\n{lines}'
    wanted = {**before, "keys": {**before["keys"], name: entry}}
    try:
        found = _parse(file, after)
    except KeysError:
        found = None
    if found != wanted:
        raise KeysError(f"cannot append to `{file}`: let `keys:` be its last part, indented by two spaces")
    return after


def _parse(file: Path, text: str) -> dict[str, Any]:
    from yett import _core

    try:
        value = json.loads(_core.parse_yaml(text.encode()))["value"]
    except _core.YamlError as error:
        line, column, message = error.args
        raise KeysError(f"{file}:{line}:{column}: {message}") from None
    salt = value.get("salt") if isinstance(value, dict) else None
    if not isinstance(salt, str) or not re.fullmatch(r"[0-9a-f]{64}", salt) or value.get("version") != 1:
        raise KeysError(f"`{file}` is no keys file: it needs `version: 1` and a `salt` of 64 hex digits")
    value["keys"] = value.get("keys") or {}
    if not isinstance(value["keys"], dict) or not all(isinstance(e, dict) for e in value["keys"].values()):
        raise KeysError(f"`keys` in `{file}` has to map names to keys")
    return dict(value)


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Two commands at once do not lose a key of each other."""
    try:
        directory = os.open(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeysError(f"cannot open the directory of `{file}`: {error.strerror}") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise KeysError(f"cannot write `{file}`: {error.strerror}") from None
    finally:
        os.close(directory)


def replace_file(file: Path, text: str) -> None:
    """Writes the whole file or leaves the old one; a new one is for its owner only."""
    target = file.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.chmod(mode)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
