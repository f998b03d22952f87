"""Times that come again, as crontab(5) writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from yett.config.base import refuse

_FIELDS: tuple[tuple[str, str, int, int, tuple[str, ...]], ...] = (
    ("minutes", "minute", 0, 59, ()),
    ("hours", "hour", 0, 23, ()),
    ("days", "day of the month", 1, 31, ()),
    (
        "months", "month", 1, 12,
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    ("weekdays", "day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)  # fmt: skip
_ITEM = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,2}))?", re.ASCII)


@dataclass(frozen=True)
class CronTime:
    """Minutes at which something begins: for each field the values; none is every one."""

    text: str
    fields: tuple[tuple[int, ...], ...]

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {name: list(values) for (name, *_), values in zip(_FIELDS, self.fields, strict=True) if values}


def _cron(value: Any) -> Any:
    if isinstance(value, CronTime):
        return value
    parts = value.split() if isinstance(value, str) else []
    if len(parts) != len(_FIELDS):
        raise refuse(
            "cron_invalid",
            f'`{value}` is not five fields: minute, hour, day of the month, month, day of the week, such as `"0 * * * *"`',
        )
    fields = tuple(_field(part, *known[1:]) for part, known in zip(parts, _FIELDS, strict=True))
    return CronTime(" ".join(parts), fields)


def _field(text: str, what: str, least: int, most: int, names: tuple[str, ...]) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item.lower())
        if match is None:
            raise refuse(
                "cron_invalid",
                f"`{item}` is not a {what}; write `*`, `5`, `1-5`, `*/10` or several with commas",
            )
        first, last, step = match[1], match[2], int(match[3] or 1)
        begin = least if first is None else _value(first, what, least, most, names)
        end = most if first is None else _value(last, what, least, most, names) if last else begin
        if first is not None and last is None and match[3]:
            end = most
        if end < begin or step == 0:
            raise refuse(
                "cron_invalid",
                f"`{item}` has no {what} in it; write the earlier one first, and a step of at least 1",
            )
        found |= set(range(begin, end + 1, step))
    if most == 7:
        found = {value % 7 for value in found}
    whole = 7 if most == 7 else most - least + 1
    return () if len(found) == whole else tuple(sorted(found))


def _value(text: str, what: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if least == 1 else 0)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise refuse("cron_invalid", f"`{text}` is no {what}; write {least} to {most}")
    return int(text)


Cron = Annotated[
    CronTime, BeforeValidator(_cron), WithJsonSchema({"type": "string", "examples": ["0 * * * *"]})
]
"""A time that comes again."""
