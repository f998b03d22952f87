"""Repeats of a request with the same Idempotency-Key, which cost once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from yett.config import units
from yett.config.base import Location, Model, refuse

if TYPE_CHECKING:
    from yett.config.filters.quota import Quota
    from yett.config.filters.rate_limit import RateLimit
    from yett.config.merge import Merger


def _repeats(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or value not in (1, 2):
        shown = str(value).lower() if isinstance(value, bool) else value
        message = f"`{shown}` is out of range; at most 2 repeats cost nothing: write 1 or 2"
        raise refuse("out_of_range", message)
    return value


def _within(value: Any) -> Any:
    if not 1000 <= units.milliseconds(value) <= 60_000:
        raise refuse("out_of_range", f"`{value}` is out of range; write `1s` to `60s`")
    return value


class Idempotency(Model):
    """Repeats of a request with the same `Idempotency-Key`, by the same caller and with the same body, which cost nothing."""

    repeats: Annotated[
        int, BeforeValidator(_repeats), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 2})
    ] = 2
    """How many, 1 or 2; further ones cost as others do."""
    within: Annotated[units.Duration, BeforeValidator(_within)] = "60s"
    """How long after the request that was charged, at most `60s`."""

    def compiled(self) -> dict[str, Any]:
        """In the intermediate representation."""
        return {"repeats": self.repeats, "within_ms": units.milliseconds(self.within)}


def check(merger: Merger, public: bool, item: RateLimit | Quota, place: Location, enforced: bool) -> None:
    """Repeats are those of a caller, and told by bodies."""
    if item.idempotency is None:
        return
    if public:
        message = "a public route knows no callers, and repeats are those of one; remove `idempotency`"
        merger.fault((*place, "idempotency"), "limit_without_caller", message, True)
    elif not enforced:
        message = (
            "repeats are told by their bodies, and for a limit that is tried out nothing is read; remove it, or `mode: shadow` of "
            "the limit"
        )
        merger.fault((*place, "idempotency"), "key_unused", message, True)


def repeats_text(limit: dict[str, Any]) -> str:
    """`2 repeats with the same Idempotency-Key within 60 s cost nothing`."""
    said = limit["idempotency"]
    many = "1 repeat" if said["repeats"] == 1 else f"{said['repeats']} repeats"
    costs = "costs" if said["repeats"] == 1 else "cost"
    return f"{many} with the same Idempotency-Key within {said['within_ms'] / 1000:g} s {costs} nothing"
