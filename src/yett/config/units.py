"""Durations, sizes, rates and percentages: text with a unit, parsed once."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator

from yett.config.base import refuse

_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = {
    "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
}  # fmt: skip
_PERIOD = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"(\d{1,12}) ?([A-Za-z]+)", re.ASCII)
_RATE = re.compile(r"(\d{1,12})/([smhd])", re.ASCII)
_SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%", re.ASCII)


@lru_cache(maxsize=4096)
def _scaled(text: str, units: tuple[tuple[str, int], ...]) -> int | None:
    match = _NUMBER.fullmatch(text)
    scale = dict(units).get(match[2]) if match else None
    return int(match[1]) * scale if match and scale else None


@lru_cache(maxsize=4096)
def milliseconds(text: str) -> int:
    """`10s` is 10000. Takes what the type `Duration` has accepted."""
    return _scaled(text, tuple(_DURATION.items())) or 0


def duration_ms(text: str) -> int | None:
    """`10s` is 10000; nothing for what is no duration."""
    return _scaled(text, tuple(_DURATION.items()))


@lru_cache(maxsize=4096)
def size_bytes(text: str) -> int:
    """`1MiB` is 1048576. Takes what the type `Size` has accepted."""
    return _scaled(text, tuple(_SIZE.items())) or 0


@lru_cache(maxsize=4096)
def rate(text: str) -> tuple[int, int]:
    """`50/s` is (50, 1000): requests, and the period in milliseconds."""
    match = _RATE.fullmatch(text)
    return (int(match[1]), _PERIOD[match[2]]) if match else (0, 1000)


def share(text: str) -> int:
    """`5%` is 500: parts of 10,000."""
    match = _SHARE.fullmatch(text)
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else 0


def _duration(value: Any) -> Any:
    if not isinstance(value, str) or _scaled(value, tuple(_DURATION.items())) is None:
        raise refuse(
            "duration_invalid",
            f"`{value}` is not a duration; write a whole number with a unit, such as `500ms`, `10s`, `2m` or `1h`",
        )
    if milliseconds(value) > 366 * 86_400_000:
        raise refuse("duration_invalid", f"`{value}` is more than a year; write at most `366d`")
    return value


def _positive_duration(value: Any) -> Any:
    if milliseconds(_duration(value)) == 0:
        raise refuse("duration_zero", f"`{value}` is no time at all; write a longer duration")
    return value


def _size(value: Any) -> Any:
    if not isinstance(value, str) or _scaled(value, tuple(_SIZE.items())) is None:
        raise refuse(
            "size_invalid",
            f"`{value}` is not a size; write a whole number with a unit, such as `64KiB`, `1MiB` or `10MB`",
        )
    if not 0 < size_bytes(value) <= 1 << 44:
        raise refuse(
            "size_invalid", f"`{value}` is out of range; write a size above nothing and up to `16384GiB`"
        )
    return value


def _rate(value: Any) -> Any:
    if not isinstance(value, str) or not _RATE.fullmatch(value):
        raise refuse(
            "rate_invalid",
            f"`{value}` is not a rate; write requests and a period, such as `50/s`, `100/m` or `10/h`",
        )
    if rate(value)[0] == 0:
        raise refuse(
            "rate_zero", "a rate of nothing refuses everything; write at least `1/h`, or leave the route out"
        )
    if rate(value)[0] > 1_000_000_000:
        raise refuse("rate_invalid", f"`{value}` is out of range; write at most `1000000000/s`")
    return value


def _share(value: Any) -> Any:
    if not isinstance(value, str) or not _SHARE.fullmatch(value):
        raise refuse("share_invalid", f"`{value}` is not a percentage; write one such as `5%` or `0.5%`")
    if not 0 < share(value) <= 10_000:
        raise refuse("share_invalid", f"`{value}` is out of range; write more than `0%` and at most `100%`")
    return value


def _schema(pattern: str, example: str) -> Any:
    from pydantic import WithJsonSchema

    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[str, BeforeValidator(_positive_duration), _schema(r"^\d+ ?(ms|s|m|h|d)$", "10s")]
"""A whole number with `ms`, `s`, `m`, `h` or `d`, above 0."""
AnyDuration = Annotated[str, BeforeValidator(_duration), _schema(r"^\d+ ?(ms|s|m|h|d)$", "10s")]
"""As `Duration`; 0 is allowed."""
Size = Annotated[str, BeforeValidator(_size), _schema(r"^\d+ ?(B|KiB|MiB|GiB|KB|MB|GB)$", "1MiB")]
"""A whole number with `B`, `KiB`, `MiB`, `GiB`, `KB`, `MB` or `GB`."""
Rate = Annotated[str, BeforeValidator(_rate), _schema(r"^\d+/[smhd]$", "50/s")]
"""Requests per `s`, `m`, `h` or `d`."""
Share = Annotated[str, BeforeValidator(_share), _schema(r"^\d{1,3}(\.\d{1,2})?%$", "5%")]
"""A percentage with at most two decimals."""
