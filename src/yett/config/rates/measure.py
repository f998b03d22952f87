"""Whose bucket a request is charged to, and what it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from yett.config.base import nearest, refuse
from yett.config.rates import after as after_answer
from yett.config.rates.after import AfterCost

CALLER = ("principal", "client", "key", "token", "session", "partner", "tenant")
"""Keys that need verified callers."""
KNOWN = (*CALLER, "route")
_KEYS = f"{', '.join(f'`{name}`' for name in KNOWN)}, `{{header: x-name}}` or `{{cel: …}}`"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,32}", re.ASCII)
_MOST = 1_000_000_000


@dataclass(frozen=True)
class LimitKey:
    """Whose bucket; `what` is one of `KNOWN`, `header` or `cel`."""

    what: str
    value: str = ""


def key_document(key: LimitKey) -> Any:
    """The key in the intermediate representation."""
    if key.what == "header":
        return {"header": key.value.lower()}
    return {"value": key.value} if key.what == "cel" else key.what


def key_text(key: Any) -> str:
    """A key of the intermediate representation, in words."""
    if isinstance(key, dict):
        what, value = next(iter(key.items()))
        return f"header {value}" if what == "header" else f"`{value}`"
    return str(key)


def _key(value: Any) -> Any:
    if isinstance(value, LimitKey):
        return value
    if isinstance(value, str) and value in KNOWN:
        return LimitKey(value)
    if isinstance(value, str):
        hint = nearest(value, KNOWN) or f"; write {_KEYS}; addresses are limited by `address_limit`"
        raise refuse("key_unknown", f"`{value}` is no key of a limit{hint}")
    if isinstance(value, dict) and len(value) == 1:
        what, text = next(iter(value.items()))
        if what == "header" and isinstance(text, str) and _HEADER.fullmatch(text):
            return LimitKey("header", text)
        if what == "header":
            raise refuse(
                "header_name_invalid", f"`{text}` is not the name of a header; use letters, digits and `-`"
            )
        if what == "cel" and isinstance(text, str) and text.strip():
            return LimitKey("cel", text)
    raise refuse("key_unknown", f"write {_KEYS}")


Key = Annotated[
    LimitKey,
    BeforeValidator(_key),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(KNOWN)},
                {
                    "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
                    "properties": {"header": {"type": "string"}, "cel": {"type": "string"}},
                },
            ]
        }
    ),
]  # fmt: skip
"""Whose bucket."""


@dataclass(frozen=True)
class LimitCost:
    """What a request costs, in requests."""

    default: int = 1
    methods: dict[str, int] = field(default_factory=dict)
    cel: str | None = None
    after: AfterCost | None = None

    @property
    def most(self) -> int:
        """The highest that is known beforehand."""
        return max([self.default, *self.methods.values()])

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "default": self.default,
            **({"methods": dict(sorted(self.methods.items()))} if self.methods else {}),
            **({"value": self.cel} if self.cel else {}),
            **({"after": self.after.compiled()} if self.after else {}),
        }


def _number(value: Any, at: tuple[str, ...] = ()) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise refuse(
            "cost_invalid", f"`{value}` is not a cost; write a whole number of requests, such as `5`", at
        )
    return value


def _cost(value: Any) -> LimitCost:
    if isinstance(value, LimitCost):
        return value
    if isinstance(value, dict) and set(value) == {"cel"}:
        if not isinstance(value["cel"], str) or not value["cel"].strip():
            raise refuse(
                "cost_invalid", "write an expression that comes to a whole number of requests", ("cel",)
            )
        return LimitCost(cel=value["cel"])
    if isinstance(value, dict) and set(value) == {"after"}:
        found_after = after_answer.read(value["after"])
        return LimitCost(found_after.reserve, after=found_after)
    if isinstance(value, dict) and value:
        for name in value:
            if name != "default" and (
                not isinstance(name, str) or not _METHOD.fullmatch(name) or name == "HEAD"
            ):
                raise refuse(
                    "method_invalid",
                    f"`{name}` is not a method here; write one such as `GET`, or `default`",
                    (str(name),),
                )
        costs = {name: _number(cost, (name,)) for name, cost in value.items()}
        found = LimitCost(costs.pop("default", 1), costs)
    else:
        found = LimitCost(_number(value))
    if found.most == 0:
        raise refuse("cost_invalid", "nothing costs anything, so nothing is limited; write a cost above 0")
    return found


read_cost = _cost
"""What a request costs, from what stands in a configuration."""

Cost = Annotated[
    LimitCost,
    BeforeValidator(_cost),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "minProperties": 1},
                {
                    "type": "object", "additionalProperties": False, "required": ["cel"],
                    "properties": {"cel": {"type": "string"}},
                },
                after_answer.SCHEMA,
            ]
        }
    ),
]  # fmt: skip
"""What a request costs."""
