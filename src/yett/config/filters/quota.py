"""So many requests in each hour, day, week or month, by caller; what was used survives a restart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from yett.config.base import Model, refuse
from yett.config.filters.authorize import Rule
from yett.config.rates.measure import Cost, Key, LimitKey, key_document
from yett.config.rates.repeats import Idempotency
from yett.config.types import Name, Text

_MOST = 1_000_000_000_000_000
_PART = {"type": "string", "pattern": r"^\d{1,3} ?%$"}
_PERCENT = re.compile(r"(\d{1,3}) ?%", re.ASCII)


def _amount(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
        raise refuse(
            "amount_invalid",
            f"`{value}` is not an amount; write a whole number of requests, 1 to {_MOST}, such as `100000`",
        )
    return value


def _warn(value: Any) -> Any:
    listed = value if isinstance(value, list | tuple) else [value]
    found: list[int] = []
    for one in listed:
        match = _PERCENT.fullmatch(one) if isinstance(one, str) else None
        if match is None or not 1 <= int(match[1]) <= 100:
            raise refuse(
                "warn_invalid", f"`{one}` is no threshold; write `1%` to `100%`, such as `[80%, 95%]`"
            )
        if int(match[1]) in found:
            raise refuse("warn_invalid", f"`{one}` stands twice; remove one")
        found.append(int(match[1]))
    return tuple(f"{one}%" for one in sorted(found))


Amount = Annotated[
    int, BeforeValidator(_amount), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _MOST})
]
"""Requests in a period."""
Thresholds = Annotated[
    tuple[str, ...],
    BeforeValidator(_warn),
    WithJsonSchema({"anyOf": [_PART, {"type": "array", "items": _PART}], "examples": [["80%", "95%"]]}),
]
"""Parts of the amount."""


class QuotaClass(Rule):
    """A class of callers, by the parts of a rule of `authorize`, and the amount that they have in place of the others."""

    amount: Amount
    """Requests in a period, such as `100000`."""

    @model_validator(mode="after")
    def _whole(self) -> QuotaClass:
        if self.is_empty():
            raise refuse(
                "class_empty",
                "the class names nobody; write `callers`, `scopes`, `roles`, `claims` or `when`",
            )
        return self


class Quota(Model):
    """So many requests in each period of the calendar, for each caller or for all callers of a route together."""

    amount: Amount
    """Requests in a period, such as `100000`."""
    period: Literal["hour", "day", "week", "month"]
    """What it is for: each `hour`, `day`, `week` (from Monday) or `month` of the calendar."""
    zone: Text
    """The IANA time zone in which periods begin and end, such as `Europe/Berlin` or `UTC`."""
    key: Key | None = None
    """Whose it is, as in `rate_limit`: `principal` (the default), `partner`, `tenant`, `client`, `{cel: TEXT}`, `route` …"""
    cost: Cost | None = None
    """What a request counts for, as in `rate_limit`; 1 otherwise."""
    idempotency: Idempotency | None = None
    """Repeats of a request with the same `Idempotency-Key` that count for nothing, as in `rate_limit`."""
    classes: dict[Name, QuotaClass] = Field(default_factory=dict)
    """Classes of callers with an amount of their own."""
    warn: Thresholds = ()
    """Parts of the amount at which it is logged and counted, once each period: `[80%, 95%]`."""
    shared: Literal["exact", "local"] | None = None
    """How instances share it: it is counted in the Redis of `state` (`exact`, the default with a Redis), or each machine counts for
    itself (`local`)."""
    state_loss: Literal["refuse", "local"] = "refuse"
    """What happens while Redis does not answer, or where use could not be written down for 10 s: requests are refused, or (`local`)
    counted in memory alone."""

    def is_shared(self, redis: bool) -> bool:
        """Whether instances share it; `redis` says whether they have one."""
        return (self.shared or ("exact" if redis else "local")) == "exact"

    def compiled(
        self, name: str, scope: str, sources: dict[str, str], redis: bool
    ) -> Iterator[dict[str, Any]]:
        """The quotas in the intermediate representation; `sources` has the names of the classes there, `redis` says whether
        instances have one."""
        shared: dict[str, Any] = {
            **({"shared": True} if self.is_shared(redis) else {}),
            "scope": scope, "period": self.period, "zone": self.zone, "key": key_document(self.key or LimitKey("principal")),
            "state_loss": self.state_loss,
            **({"cost": self.cost.compiled()} if self.cost is not None else {}),
            **({"idempotency": self.idempotency.compiled()} if self.idempotency is not None else {}),
            **({"warn": [int(one.rstrip("%")) for one in self.warn]} if self.warn else {}),
        }  # fmt: skip
        others = {"except": sorted(sources.values())} if sources else {}
        yield {"name": name, "amount": self.amount, **shared, **others}
        for label, item in self.classes.items():
            yield {"name": f"{name}.{label}", "amount": item.amount, **shared, "class": sources[label]}


def named(value: Any) -> Any:
    """Refuses a quota that stands where quotas by name belong."""
    if isinstance(value, dict) and any(
        key in {"amount", "period", "zone", "key"} and not isinstance(part, dict)
        for key, part in value.items()
    ):
        raise refuse(
            "limit_unnamed",
            "a quota has a name, which stands in answers and in the log; write it around this: `per-partner: {amount: …, period: …}`",
        )
    return value


Quotas = Annotated[dict[Name, Quota], BeforeValidator(named)]
"""Quotas by name."""
