"""What a request costs once its answer has ended: by a header of the answer, its bytes, or the service's time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from yett.config import units
from yett.config.base import listed, nearest, refuse

_HEADER = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
# They say something to clients, or to checks of the answer, and the one with the cost is taken out.
_RESERVED = re.compile(
    r"access-control-.*|age|allow|authorization|cache-control|connection|content-.*|cross-origin-.*|date|dpop-nonce|etag|expires"
    r"|last-modified|link|location|permissions-policy|ratelimit.*|referrer-policy|retry-after|set-cookie|strict-transport-security"
    r"|trailer|transfer-encoding|upgrade|vary|via|www-authenticate|x-content-type-options|x-frame-options|x-request-id"
)
_MOST = 1_000_000_000
_WAYS = ("header", "bytes", "time")
_KEYS = (*_WAYS, "missing", "keep", "reserve", "most")
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["after"],
    "properties": {
        "after": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "header": {"type": "string"},
                "missing": {"type": "integer", "minimum": 1},
                "keep": {"type": "boolean"},
                "bytes": {"type": "string"},
                "time": {"type": "string"},
                "reserve": {"type": "integer", "minimum": 1},
                "most": {"type": "integer", "minimum": 1},
            },
        }
    },
}
"""JSON Schema of `{after: …}`."""


@dataclass(frozen=True)
class AfterCost:
    """One of `header`, `bytes` (in bytes) and `time` (in milliseconds) says what is charged."""

    header: str | None = None
    missing: int = 1
    keep: bool = False
    bytes: int | None = None
    time: int | None = None
    reserve: int = 1
    most: int | None = None

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation, but `reserve`."""
        found: dict[str, Any] = {}
        if self.header is not None:
            found |= {"header": self.header.lower(), "missing": self.missing}
        if self.keep:
            found["keep"] = True
        if self.bytes is not None:
            found["bytes"] = self.bytes
        if self.time is not None:
            found["time_ms"] = self.time
        return found if self.most is None else {**found, "most": self.most}


def after_text(after: dict[str, Any]) -> str:
    """`then by the header x-cost (1 where it is missing), at most 50`; of the intermediate representation."""
    if "header" in after:
        kept = ", kept" if after.get("keep") else ""
        text = f"the header {after['header']} ({after['missing']} where it is missing{kept})"
    elif "bytes" in after:
        text = f"{after['bytes']} bytes of the answer"
    else:
        text = f"{after['time_ms']} ms of the service"
    return f"then by {text}" + (f", at most {after['most']}" if "most" in after else "")


def read(value: Any) -> AfterCost:
    """From what stands below `after`."""
    if not isinstance(value, dict):
        raise _refuse("write `{header: x-cost, missing: 1}`, `{bytes: 64KiB}` or `{time: 100ms}`")
    for key in value:
        if key not in _KEYS:
            hint = nearest(str(key), _KEYS) or f"; write {listed(_KEYS)}"
            raise _refuse(f"`{key}` is no part of a cost charged after the answer{hint}", str(key))
    ways = [key for key in _WAYS if key in value]
    if len(ways) != 1:
        raise _refuse(
            "a cost charged after the answer is read from one thing; write `header`, `bytes` or `time`"
        )
    if ways == ["header"]:
        _header(value)
    for key in ("missing", "keep"):
        if ways != ["header"] and key in value:
            raise _refuse(f"`{key}` belongs to a cost by header; remove it", key)
    found = AfterCost(
        header=value.get("header"),
        missing=_number(value, "missing") or 1,
        keep=value.get("keep", False),
        bytes=_bytes(value["bytes"]) if "bytes" in value else None,
        time=_time(value["time"]) if "time" in value else None,
        reserve=_number(value, "reserve") or 1,
        most=_number(value, "most"),
    )
    if found.most is not None and found.most < max(found.reserve, found.missing):
        raise _refuse("it costs less at most than at least; raise `most`", "most")
    return found


def _header(value: dict[str, Any]) -> None:
    name = value["header"]
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise refuse(
            "header_name_invalid",
            f"`{name}` is not the name of a header; use letters, digits and `-`",
            ("after", "header"),
        )
    if _RESERVED.fullmatch(name.lower()):
        raise _refuse(
            f"`{name}` says something else; let the service say the cost in a header of its own", "header"
        )
    if "missing" not in value:
        raise _refuse("say what an answer without the header costs, such as `missing: 1`", "header")
    if not isinstance(value.get("keep", False), bool):
        raise _refuse(f"`{value['keep']}`: write `true` or `false`", "keep")


def _number(value: dict[str, Any], key: str) -> int | None:
    found = value.get(key)
    if key not in value:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= _MOST:
        raise _refuse(f"`{found}` is not a cost; write a whole number of requests, such as `5`", key)
    return found


def _bytes(value: Any) -> int:
    found = units.size_bytes(value) if isinstance(value, str) else 0
    if not 0 < found <= 1 << 44:
        raise _refuse(f"`{value}` is not a size; write one such as `64KiB`", "bytes")
    return found


def _time(value: Any) -> int:
    found = units.milliseconds(value) if isinstance(value, str) else 0
    if not 0 < found <= 3_600_000:
        raise _refuse(f"`{value}` is not a time here; write `1ms` to `1h`, such as `100ms`", "time")
    return found


def _refuse(message: str, *at: str) -> Exception:
    return refuse("cost_invalid", message, ("after", *at))
