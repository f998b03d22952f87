"""Lists of addresses: networks that stand here, and files that are read anew when they change."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from yett.config.base import Model, refuse
from yett.config.types import Networks, Text


class AddressList(Model):
    """Addresses that filters name: networks, a file, or both."""

    networks: Networks = ()
    """Networks on it: one, or a list."""
    file: Text | None = None
    """A file with an address, network or range in each line; read anew when it changes. Relative to this file."""
    unavailable: Literal["refuse", "empty"] = "refuse"
    """What it is while its file was never read: unknown, so that whoever it decides about is refused; or `empty`."""

    @model_validator(mode="after")
    def _something(self) -> AddressList:
        if not self.networks and self.file is None:
            raise refuse("address_list_empty", "nobody is on this list; write `networks`, `file` or both")
        if self.file is None and "unavailable" in self.model_fields_set:
            raise refuse(
                "key_unused",
                "networks are always there; remove `unavailable`, or name a `file`",
                ("unavailable",),
            )
        return self

    def compiled(self, name: str, directory: Path) -> dict[str, Any]:
        """Its part of the intermediate representation; the file stays a path, and the data plane reads it."""
        return {
            "name": name,
            **({"networks": list(self.networks)} if self.networks else {}),
            **({"file": str((directory / self.file).absolute())} if self.file else {}),
            **({"unavailable": "empty"} if self.unavailable == "empty" else {}),
        }


def compiled(lists: dict[str, AddressList], directory: Path) -> dict[str, Any]:
    """All of them, where there are any."""
    found = [one.compiled(name, directory) for name, one in sorted(lists.items())]
    return {"address_lists": found} if found else {}


def weakened(lists: dict[str, AddressList]) -> list[str]:
    """What lets in more than it could, in sentences."""
    return [
        f"address list `{name}` is empty until its file was read once (fail-open where it denies)"
        for name, one in lists.items()
        if one.unavailable == "empty"
    ]
