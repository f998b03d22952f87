"""Who may come in by address: lists of those who may, and of those who may not."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from yett.config.base import Model, refuse
from yett.config.types import OneOrAny


class AddressFilter(Model):
    """Lists by name, of `address_lists`."""

    allow: OneOrAny = ()
    """Lists, one of which has to have the client's address: one, or `{any_of: […]}`; everybody may otherwise."""
    deny: OneOrAny = ()
    """Lists, none of which may have it; they win."""

    @model_validator(mode="after")
    def _something(self) -> AddressFilter:
        if not self.allow and not self.deny:
            raise refuse(
                "address_filter_empty", "nobody is let in or kept out here; write `allow`, `deny` or both"
            )
        return self

    def compiled(self, source: str) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "source": source,
            **({"allow": sorted(self.allow)} if self.allow else {}),
            **({"deny": sorted(self.deny)} if self.deny else {}),
        }
