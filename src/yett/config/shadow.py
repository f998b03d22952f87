"""What is tried out: what it would do is reported, and nothing is enforced. The data plane gets it in a list of its own."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from yett.config.base import Model, refuse

LONGEST = timedelta(days=90)
"""How far ahead `until` may be before `yett lint` says so."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)


def _moment(value: Any) -> Any:
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError
        ends(value)
    except (ValueError, OverflowError):
        raise refuse(
            "date_invalid",
            f"`{value}` is neither a day nor a time (RFC 3339); write one such as `2027-01-31` or `2027-01-31T18:00:00Z`",
        ) from None
    return value


Until = Annotated[str, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]
"""`2027-01-31` (that day is the last one, UTC), or `2027-01-31T18:00:00Z`."""


def ends(until: str) -> datetime:
    """The first moment that is no longer meant.

    Raises:
        ValueError, OverflowError: there is no such day or time.
    """
    if len(until) == len("2027-01-31"):
        day = date.fromisoformat(until)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return datetime.fromisoformat(until.upper()).astimezone(UTC)


class Tried(Model):
    """What can be tried out before it is enforced."""

    mode: Literal["shadow"] | None = None
    """`shadow`: what it would do is reported, and nothing is enforced; needs `until`. Enforced where it is absent."""
    until: Until | None = None
    """Until when it is in shadow: a day or a time, at most 90 days ahead. After it `yett lint` fails; nothing begins to refuse."""

    @property
    def enforced(self) -> bool:
        """Whether it decides who gets in."""
        return self.mode is None

    @model_validator(mode="after")
    def _both(self) -> Tried:
        if self.mode is not None and self.until is None:
            raise refuse(
                "shadow_until",
                "say until when it is only tried out, so that nobody forgets it: `until: 2027-01-31`",
            )
        if self.mode is None and self.until is not None:
            raise refuse(
                "shadow_until",
                "`until` belongs to `mode: shadow`, and without that it is enforced, also afterwards; remove `until`, or add the mode",
                ("until",),
            )
        return self
