"""Requests that one caller, or all callers of a route together, may have under way; where asked, shared fairly by tenants."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from yett.config.base import refuse
from yett.config.rates.measure import Key, LimitKey, key_document
from yett.config.shadow import Tried
from yett.config.types import Name


def _requests(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1_000_000:
        raise refuse(
            "requests_invalid",
            f"`{value}` is not a number of requests at once; write 1 to 1000000, such as `10`",
        )
    return value


class ConcurrencyLimit(Tried):
    """So many requests at once for each caller, or for all callers of a route together."""

    requests: Annotated[int, BeforeValidator(_requests)]
    """Requests that may be under way at once, at least 1."""
    key: Key | None = None
    """Whose they are, as in `rate_limit`; `principal` where nothing is said."""
    fair: Literal["tenant", "partner", "client", "principal"] | None = None
    """Who shares them equally: none has more than its part while others have requests under way."""

    def compiled(self, name: str, scope: str) -> dict[str, Any]:
        """The limit in the intermediate representation."""
        key = key_document(self.key or LimitKey("principal"))
        found = {"name": name, "scope": scope, "requests": self.requests, "key": key}
        return {**found, **({"fair": self.fair} if self.fair else {})}


ConcurrencyLimits = dict[Name, ConcurrencyLimit]
"""Limits by name."""
