"""Requests per caller or per route: a rate and a burst (GCRA)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WrapValidator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.types import Name
from yett.config.unlimited import OrNone, or_none


def _burst(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(
            "burst_invalid", f"`{value}` is not a burst; write a whole number of requests, such as `100`"
        )
    if value == 0:
        raise refuse("burst_zero", "a burst of 0 refuses everything; write at least 1")
    if not 0 < value <= 1_000_000_000:
        raise refuse("burst_invalid", f"`{value}` is out of range; write 1 to 1000000000")
    return value


Burst = Annotated[int, BeforeValidator(_burst)]
"""Requests that may come at once, at least 1."""


class RateLimit(Model):
    """A rate and a burst for each caller, or for all callers of a route together."""

    rate: units.Rate
    """Requests in the long run, such as `50/s`."""
    burst: Burst
    """Requests that may come at once."""
    key: Literal["principal", "route"]
    """Whose bucket: each verified caller's, or one for everyone."""

    def compiled(self, name: str, scope: str) -> dict[str, Any]:
        """The limit in the intermediate representation."""
        return limit(name, scope, self.rate, self.burst, self.key)


def limit(name: str, scope: str, rate: str, burst: int, key: str) -> dict[str, Any]:
    """A limit in the intermediate representation."""
    count, period = units.rate(rate)
    return {"name": name, "scope": scope, "count": count, "period_ms": period, "burst": burst, "key": key}


def named(value: Any) -> Any:
    """Refuses a limit that stands where limits by name belong."""
    if isinstance(value, dict) and any(
        key in {"rate", "burst", "key"} and not isinstance(part, dict) for key, part in value.items()
    ):
        raise refuse(
            "limit_unnamed",
            "a limit has a name, which stands in answers and in the log; write it around this: `per-caller: {rate: …, burst: …}`",
        )
    return value


RateLimits = Annotated[dict[Name, RateLimit], BeforeValidator(named), WrapValidator(or_none), OrNone()]
"""Limits by name, or `{none: "reason"}`."""
