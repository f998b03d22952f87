"""Keys that we handed out: `yett_<id>_<secret><checksum>`, hashed at rest."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from yett.config.base import Model, refuse
from yett.config.headers import FieldName
from yett.config.types import Items, Name, PublicFile, Secret, Text

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


class KeyEntry(Model):
    """One key, hashed."""

    id: Annotated[str, BeforeValidator(_id)]
    hash: Hex
    scopes: Items = ()
    roles: Items = ()
    tenant: Text | None = None
    expires: Annotated[str, BeforeValidator(_expires)] | None = None

    def expires_at(self) -> int | None:
        """Unix seconds."""
        return int(datetime.fromisoformat(self.expires).astimezone(UTC).timestamp()) if self.expires else None


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
