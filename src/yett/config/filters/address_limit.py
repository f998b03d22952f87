"""Requests per client address, charged before anything is checked, so that refused ones count too."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from yett.config import units
from yett.config.filters.rate_limit import Burst, limit, named
from yett.config.shadow import Tried
from yett.config.types import Name


class AddressLimit(Tried):
    """A rate and a burst for each client address (IPv6 by /64)."""

    rate: units.Rate
    """Requests in the long run, such as `20/s`."""
    burst: Burst
    """Requests that may come at once."""

    def compiled(self, name: str, scope: str) -> dict[str, Any]:
        """The limit in the intermediate representation."""
        return limit(name, scope, self.rate, self.burst, "address")


AddressLimits = Annotated[dict[Name, AddressLimit], BeforeValidator(named)]
