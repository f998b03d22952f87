"""The keys of an `api_key` provider: made, rotated, ended, withdrawn, listed."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from yett.control import keys_file
from yett.control.keys_file import KeysError

__all__ = ["KeysError", "NewKey", "create", "expire", "listing", "parse_expiry", "pepper", "revoke", "rotate"]

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
KINDS = ("service", "device")
MAX_PREVIOUS = 4
"""Earlier keys of one name that are good at the same time."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class NewKey:
    """What a key is to carry."""

    name: str
    scopes: Sequence[str] = field(default_factory=tuple)
    roles: Sequence[str] = field(default_factory=tuple)
    tenant: str | None = None
    expires: datetime | None = None
    partner: str | None = None
    kind: str = "service"
    allowed_addresses: Sequence[str] = field(default_factory=tuple)


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
    _check(new)
    with keys_file.alone(file):
        text = file.read_text(encoding="utf-8") if file.exists() else None
        if text is None:
            text = keys_file.HEAD.format(salt=secrets.token_hex(SALT_BYTES))
        before = keys_file.parse(file, text)
        if new.name in before["keys"]:
            raise KeysError(
                f"`{new.name}` is in {file} already; `yett keys rotate` gives it a new key, or use another name"
            )
        key, found = _fresh(before, extra)
        keys_file.replace(file, keys_file.appended(file, text, new.name, found | _entry(new)))
    return key


def rotate(
    file: Path, name: str, until: datetime | None, extra: bytes = b"", expires: datetime | None = None
) -> tuple[str, datetime | None]:
    """Gives a name a new key. The one before stays good until then, or until its own end if that is sooner; without
    `until` it goes at once. The key, and that moment.

    `expires` is the end of the new key; without it, it lives as long as the one before was to.

    Raises:
        KeysError: nobody has that name, or the file cannot be changed.
    """
    now = datetime.now(UTC)
    made: list[tuple[str, datetime | None]] = []

    def change(document: dict[str, Any], entry: Entry) -> Entry:
        key, found = _fresh(document, extra)
        own = _moment(entry.get("expires"))
        end = until if own is None or until is None else min(own, until)
        previous = [one for one in entry.get("previous", []) if (_moment(one.get("expires")) or now) > now]
        if end is not None and end > now:
            previous.append({"id": entry["id"], "hash": entry["hash"], "expires": _text(end)})
        if len(previous) > MAX_PREVIOUS:
            raise KeysError(
                f"`{name}` has {MAX_PREVIOUS} earlier keys that are still good; end them first: "
                f"`yett keys revoke --name {name} --id ID`"
            )
        after = entry | found
        after.pop("previous", None)
        if expires is not None:
            after["expires"] = _text(expires)
        elif own is not None and own <= now:
            raise KeysError(f"`{name}` has ended; say when the new key is to: `--expires 90d`")
        if previous:
            after["previous"] = previous
        made.append((key, end))
        return after

    _change(file, name, change)
    return made[0]


def expire(file: Path, name: str, until: datetime | None) -> None:
    """Sets when the key of a name ends; earlier keys of it end then at the latest. `None`: never.

    Raises:
        KeysError: nobody has that name, or the file cannot be changed.
    """

    def change(_: dict[str, Any], entry: Entry) -> Entry:
        after = {key: value for key, value in entry.items() if key != "expires"}
        if until is not None:
            previous = after.pop("previous", [])
            after["expires"] = _text(until)
            if previous:
                ends = [min(_moment(one["expires"]) or until, until) for one in previous]
                after["previous"] = [
                    {**one, "expires": _text(end)} for one, end in zip(previous, ends, strict=True)
                ]
        return after

    _change(file, name, change)


def revoke(file: Path, name: str, key_id: str | None = None) -> list[str]:
    """Takes the keys of a name out of the file, or only the earlier one with this id; the ids that went.

    Raises:
        KeysError: there is no such key, or the file cannot be changed.
    """
    gone: list[str] = []

    def change(_: dict[str, Any], entry: Entry) -> Entry | None:
        previous = entry.get("previous", [])
        if key_id is None or (key_id == entry.get("id") and not previous):
            gone.extend([str(entry.get("id")), *(str(one.get("id")) for one in previous)])
            return None
        if key_id == entry.get("id"):
            raise KeysError(
                f"`{key_id}` is the current key of `{name}`, which has earlier ones; rotate it with `--overlap 0`, "
                "or leave `--id` out to withdraw all of them"
            )
        left = [one for one in previous if one.get("id") != key_id]
        if len(left) == len(previous):
            raise KeysError(f"`{name}` has no key with the id `{key_id}`; `yett keys show --name {name}`")
        gone.append(key_id)
        after = {key: value for key, value in entry.items() if key != "previous"}
        return after | ({"previous": left} if left else {})

    _change(file, name, change)
    return gone


def listing(
    file: Path, now: datetime | None = None, used: dict[str, int] | None = None
) -> list[dict[str, Any]]:
    """One row for each name, without hashes. `used` maps ids to Unix seconds of their last use.

    Raises:
        KeysError: the file cannot be read.
    """
    now = now or datetime.now(UTC)
    rows = []
    for name, entry in sorted(keys_file.read(file)["keys"].items()):
        row = {
            "name": name,
            "id": entry.get("id", ""),
            "kind": entry.get("kind", "service"),
            "scopes": entry.get("scopes", []),
            "roles": entry.get("roles", []),
            "tenant": entry.get("tenant"),
            "partner": entry.get("partner"),
            "allowed_addresses": entry.get("allowed_addresses", []),
            "expires": entry.get("expires"),
            "state": _state(entry, now),
            "previous": [
                {"id": one.get("id", ""), "expires": one.get("expires"), "state": _state(one, now)}
                for one in entry.get("previous", [])
            ],
        }
        if used is not None:
            for one in [row, *row["previous"]]:
                moment = used.get(one["id"])
                one["last_used"] = None if moment is None else _text(datetime.fromtimestamp(moment, UTC))
        rows.append(row)
    return rows


def _state(entry: Entry, now: datetime) -> str:
    end = _moment(entry.get("expires"))
    return "expired" if end is not None and end <= now else "valid"


def _moment(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise KeysError(f"`{text}` is not a moment; write one such as `2027-01-01T00:00:00Z`") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _change(file: Path, name: str, change: Callable[[dict[str, Any], Entry], Entry | None]) -> None:
    with keys_file.alone(file):
        document = keys_file.read(file)
        if name not in document["keys"]:
            from yett.config.base import nearest

            raise KeysError(f"nobody in {file} is called `{name}`{nearest(name, document['keys'])}")
        text = file.read_text(encoding="utf-8")
        entry = change(document, document["keys"][name])
        keys_file.replace(file, keys_file.changed(file, text, name, entry))


def _check(new: NewKey) -> None:
    if not NAME.fullmatch(new.name):
        raise KeysError(f"`{new.name}` is no name; use letters, digits, `.`, `_` and `-`, at most 63")
    for word in [*new.scopes, *new.roles, *(one for one in (new.tenant, new.partner) if one)]:
        if not WORD.fullmatch(word):
            raise KeysError(
                f"`{word}` is not allowed here; use visible ASCII without spaces, quotes and backslashes"
            )
    if new.kind not in KINDS:
        raise KeysError(
            f"`{new.kind}` is no kind of caller; write `service` or `device` (a key is never a user)"
        )
    for network in new.allowed_addresses:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise KeysError(f"`{network}` is not a network, such as `203.0.113.0/24`: {error}") from None


def _fresh(document: dict[str, Any], extra: bytes) -> tuple[str, Entry]:
    """A key, and the id and hash that are kept of it."""
    ids = {
        one.get("id") for entry in document["keys"].values() for one in [entry, *entry.get("previous", [])]
    }
    key_id = next(found for found in iter(_random_id, None) if found not in ids)
    body = f"yett_{key_id}_" + "".join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH))
    key = body + checksum(body)
    return key, {"id": key_id, "hash": hashed(key, bytes.fromhex(document["salt"]), extra)}


def _random_id() -> str:
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))


def _entry(new: NewKey) -> Entry:
    entry: Entry = {}
    if new.kind != "service":
        entry["kind"] = new.kind
    for field_, items in (
        ("scopes", new.scopes),
        ("roles", new.roles),
        ("allowed_addresses", new.allowed_addresses),
    ):
        if items:
            entry[field_] = list(items)
    for field_, value in (("tenant", new.tenant), ("partner", new.partner)):
        if value:
            entry[field_] = value
    if new.expires is not None:
        entry["expires"] = _text(new.expires)
    return entry
