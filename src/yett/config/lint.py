"""What the linter is told not to report, and why."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from yett.config.base import Model, listed, nearest, refuse
from yett.config.types import Items, OrOne, Text, one_or_list

ANY = "any"
SECTIONS = (
    "listeners", "identity_providers", "security_events", "services", "roles", "groups", "routes",
    "admin", "access_log", "decision_log", "state", "identity", "dpop", "process", "defaults", "environment",
)  # fmt: skip
"""What a place begins with."""


def _places(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, place in enumerate(value):
        section, _, name = place.partition(".")
        if place == ANY and len(value) == 1:
            continue
        if place == ANY:
            raise refuse("lint_place_invalid", "`any` stands alone: `at: any`", (index,))
        if section not in SECTIONS:
            hint = (
                nearest(section, SECTIONS) or f"; write `any`, or one that begins with {listed(SECTIONS, 20)}"
            )
            raise refuse(
                "lint_place_invalid", f"`{place}` is not a place such as `routes.orders`{hint}", (index,)
            )
        if section in SECTIONS[:7] and not name:
            raise refuse(
                "lint_place_invalid",
                f"`{place}` says not which; write one such as `{section}.name`",
                (index,),
            )
    return value


def _day(value: Any) -> Any:
    try:
        date.fromisoformat(value if isinstance(value, str) and len(value) == 10 else "")
    except ValueError:
        raise refuse("date_invalid", f"`{value}` is not a day; write one such as `2027-01-31`") from None
    return value


Day = Annotated[str, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""`2027-01-31`."""
_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


class Ignore(Model):
    """Findings that are accepted."""

    at: Annotated[Items, AfterValidator(_places), WithJsonSchema(_LIST)]
    """Where: `routes.orders`, `groups.billing` with its routes, `access_log` … (one or a list), or `any`."""
    reason: Text
    """Why."""
    until: Day | None = None
    """The last day on which it counts (UTC); without it, it counts for good."""

    @property
    def last_day(self) -> date | None:
        """`until`."""
        return date.fromisoformat(self.until) if self.until else None


class Lint(Model):
    """What the linter is told."""

    ignore: dict[Text, Annotated[tuple[Ignore, ...], BeforeValidator(one_or_list), OrOne()]] = Field(
        default_factory=dict
    )
    """By rule: which of its findings are accepted, why, and until when; one, or a list."""
