"""Keys that we handed out: `yett_<id>_<secret><checksum>`, hashed at rest."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from yett.config.base import Model, refuse
from yett.config.headers import FieldName
from yett.config.machine import Scopes
from yett.config.types import Items, Name, Networks, PublicFile, Secret, Text, one_or_list

_ID = re.compile(r"[a-z0-9]{12}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _id(value: Any) -> Any:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise refuse(
            "key_entry_invalid",
            "the id of a key is 12 lower case letters and digits; make keys with `yett keys create`",
        )
    return value


def _hex(value: Any) -> Any:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise refuse(
            "key_entry_invalid",
            "a value of 64 hexadecimal digits is needed here; make keys with `yett keys create`",
        )
    return value


def _expires(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise refuse(
            "key_entry_invalid", f"`{value}` is not a moment; write one such as `2027-01-01T00:00:00Z`"
        )
    return value


Hex = Annotated[str, BeforeValidator(_hex)]


Moment = Annotated[str, BeforeValidator(_expires)]


def seconds(moment: str | None) -> int | None:
    """Unix seconds."""
    return int(datetime.fromisoformat(moment).astimezone(UTC).timestamp()) if moment else None


class EarlierKey(Model):
    """A key that was rotated out, and is good until it ends."""

    id: Annotated[str, BeforeValidator(_id)]
    hash: Hex
    expires: Moment


class KeyEntry(Model):
    """One key, hashed."""

    id: Annotated[str, BeforeValidator(_id)]
    hash: Hex
    kind: Literal["service", "device"] = "service"
    scopes: Scopes = ()
    roles: Items = ()
    tenant: Text | None = None
    partner: Text | None = None
    allowed_addresses: Networks = ()
    expires: Moment | None = None
    previous: Annotated[tuple[EarlierKey, ...], BeforeValidator(one_or_list)] = ()

    def ids(self) -> tuple[str, ...]:
        """Of all its keys."""
        return (self.id, *(one.id for one in self.previous))

    def compiled(self, name: str) -> list[dict[str, Any]]:
        """What the data plane reads: one for each key, alike but for id, hash and end."""
        shared: dict[str, Any] = {
            "name": name,
            "scopes": list(self.scopes),
            "roles": list(self.roles),
            "tenant": self.tenant,
            **({"kind": self.kind} if self.kind != "service" else {}),
            **({"partner": self.partner} if self.partner else {}),
            **({"allowed_addresses": list(self.allowed_addresses)} if self.allowed_addresses else {}),
        }
        keys = [
            (self.id, self.hash, self.expires),
            *((one.id, one.hash, one.expires) for one in self.previous),
        ]
        return [
            {**shared, "id": key_id, "hash": digest, "expires": seconds(end)} for key_id, digest, end in keys
        ]


class KeysFile(Model):
    """A keys file, as `yett keys create` writes it."""

    version: Literal[1]
    salt: Hex
    keys: dict[Name, KeyEntry] = Field(default_factory=dict)


class ApiKey(Model):
    """Keys that we handed out, in one header."""

    type: Literal["api_key"]
    keys: Annotated[
        PublicFile, Field(description="The keys file: names, hashes, scopes, roles, tenant, expiry.")
    ]
    header: FieldName = "x-api-key"
    """The one header that carries the key."""
    pepper: Secret | None = None
    """A secret that is part of every hash, kept apart from the keys file."""

    @property
    def credential(self) -> str:
        """The header that carries it."""
        return self.header.lower()
