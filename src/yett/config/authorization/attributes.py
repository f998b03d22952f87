"""Attributes of callers and their circumstances: declared claims, times, the device."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from yett.config.base import Model, refuse
from yett.config.types import OneOrAny, Text, quantified
from yett.config.units import Duration, milliseconds

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_RANGE = ("at_least", "at_most")


class ClaimTest(Model):
    """What a declared claim has to be. `kind` is its form in the data plane, without regard to the claim's type."""

    values: tuple[str | int, ...] = ()
    quantifier: str = "any_of"
    boolean: bool | None = None
    at_least: int | None = None
    at_most: int | None = None

    @property
    def needs(self) -> set[str]:
        """The types of claims that it can be asked of."""
        if self.boolean is not None:
            return {"bool"}
        if self.at_least is not None or self.at_most is not None:
            return {"int"}
        if all(isinstance(value, int) for value in self.values):
            return {"int"}
        return {"string_list"} if self.quantifier == "all_of" else {"string", "string_list"}

    def compiled(self, kind: str) -> dict[str, Any]:
        """Its form in the intermediate representation, for a claim of this type."""
        if self.boolean is not None:
            return {"is": self.boolean}
        if kind == "int" and self.values:
            return {"numbers": list(self.values)}
        if kind == "int":
            return {"range": {key: getattr(self, key) for key in _RANGE if getattr(self, key) is not None}}
        words = {"any_of": "has_any", "all_of": "has_all", "none_of": "has_none"}
        return {self.quantifier if kind == "string" else words[self.quantifier]: list(self.values)}


def _claim_test(value: Any) -> Any:
    if isinstance(value, ClaimTest):
        return value
    if isinstance(value, bool):
        return ClaimTest(boolean=value)
    if isinstance(value, int):
        return ClaimTest(values=(value,))
    if isinstance(value, dict) and value and set(value) <= set(_RANGE):
        for key, bound in value.items():
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise refuse("claim_test_invalid", f"`{bound}` is not a whole number", (key,))
        return ClaimTest(**value)
    if isinstance(value, dict) and len(value) == 1:
        items = value.get("any_of")
        if (
            isinstance(items, list)
            and items
            and all(isinstance(i, int) and not isinstance(i, bool) for i in items)
        ):
            return ClaimTest(values=tuple(items))
    if isinstance(value, str) or (isinstance(value, dict) and set(value) <= {"any_of", "all_of", "none_of"}):
        quantifier, items = quantified(value, ("any_of", "all_of", "none_of"))
        return ClaimTest(values=items, quantifier=quantifier)
    raise refuse(
        "claim_test_invalid",
        "write a value, `{any_of: [a, b]}`, `{all_of: [a, b]}`, `{none_of: [a, b]}`, or for numbers `{at_least: 2}` and `{at_most: 5}`",
    )


_LIST = {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1}
Claims = Annotated[
    dict[Text, Annotated[ClaimTest, BeforeValidator(_claim_test)]],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": ["string", "integer", "boolean"]},
                    {
                        "type": "object", "additionalProperties": False, "minProperties": 1,
                        "properties": {
                            "any_of": _LIST, "all_of": _LIST, "none_of": _LIST,
                            "at_least": {"type": "integer"}, "at_most": {"type": "integer"},
                        },
                    },
                ]
            },
        }
    ),
]  # fmt: skip
"""Declared claims and what they have to be."""


def _days(value: Any) -> Any:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse("days_invalid", "write days such as `mon-fri`, or `[mon, wed]`")
    found: list[int] = []
    for index, item in enumerate(items):
        first, dash, last = str(item).partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise refuse(
                "days_invalid",
                f"`{item}` is not a day; write {', '.join(DAYS)}, or `mon-fri`",
                () if isinstance(value, str) else (index,),
            )
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
    return tuple(dict.fromkeys(found))


def _clock(value: Any) -> Any:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise refuse(
            "time_invalid", f'`{value}` is not a time of the day; write one such as `"08:00"`, in quotes'
        )
    return value


Clock = Annotated[str, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"})]


class Times(Model):
    """A time of the week in a time zone."""

    days: Annotated[
        tuple[int, ...],
        BeforeValidator(_days),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = (0, 1, 2, 3, 4, 5, 6)
    """`mon-fri`, or a list of days; every day otherwise."""
    from_: Clock
    """From this time on."""
    until: Clock
    """Until this time, which is no longer inside; before `from` where it is on the next day."""
    zone: Text
    """An IANA time zone such as `Europe/Berlin`."""

    model_config = {
        **Model.model_config,
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
    }

    @model_validator(mode="after")
    def _differ(self) -> Times:
        if self.from_ in {self.until, "24:00"}:
            raise refuse(
                "time_invalid",
                "it begins and ends at the same time; for a whole day write `00:00` and `24:00`",
            )
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        begin, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (self.from_, self.until))
        return {"days": sorted(self.days), "from_min": begin, "to_min": end, "zone": self.zone}


class Device(Model):
    """What is known of the device. Whatever is absent refuses."""

    posture: OneOrAny | None = None
    """Values of the claim `device_posture`, such as `compliant`."""
    age: Duration | None = None
    """The greatest age of the posture: the claim `device_checked` says when it was checked, in seconds since 1970."""
    certificate: bool = False
    """Whether the connection has to carry a verified client certificate."""

    @model_validator(mode="after")
    def _some(self) -> Device:
        if self.posture is None and self.age is None and not self.certificate:
            raise refuse(
                "device_empty", "`device` asks for nothing; write `posture`, `age` or `certificate: true`"
            )
        if self.age is not None and milliseconds(self.age) % 1000:
            raise refuse("out_of_range", f"`{self.age}`: write whole seconds, such as `15m`")
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            **({"posture": list(self.posture)} if self.posture else {}),
            **({"age_ms": milliseconds(self.age)} if self.age else {}),
            **({"certificate": True} if self.certificate else {}),
        }
