"""`none: "reason"` in place of something that could be missed: nothing is done, and why stands in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import GetJsonSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema

from yett.config.base import listed, on_routes, refuse
from yett.config.types import _TEXT_BAD

if TYPE_CHECKING:
    from yett.config.base import Location
    from yett.config.merge import Merger, Policy


class Unlimited(dict[str, Any]):
    """No limits, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


def reason_of(limits: Mapping[str, Any]) -> str | None:
    """Why there are none, where the file says so."""
    return limits.reason if isinstance(limits, Unlimited) else None


def or_none(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Takes `{none: "reason"}` in place of limits."""
    if isinstance(value, Unlimited):
        return value
    if not isinstance(value, dict) or "none" not in value:
        return handler(value)
    reason = value["none"]
    others = [name for name in value if name != "none"]
    if others:
        raise refuse(
            "limit_none",
            f"`none` says that there is no limit, and there is {listed(others)}; keep one",
            ("none",),
        )
    if not isinstance(reason, str) or not reason.strip() or len(reason) > 200 or _TEXT_BAD.search(reason):
        raise refuse(
            "limit_none",
            'say in one line why no limit is needed: `{none: "reason"}`; no limit can have this name',
            ("none",),
        )
    return Unlimited(reason)


class OrNone:
    """For editors: `{none: "reason"}` may stand in place of the mapping."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        none = {
            "type": "object", "required": ["none"], "additionalProperties": False,
            "properties": {"none": {"type": "string", "minLength": 1, "maxLength": 200}},
        }  # fmt: skip
        return {"anyOf": [handler(schema), none]}


def merged(merger: Merger, policy: Policy, said: list[tuple[Mapping[str, Any], Location]]) -> None:
    """Why a route has no rate limit. A route of a group with limits cannot say that it needs none."""
    before: list[str] = []
    for limits, where in said:
        reason = reason_of(limits)
        if reason is not None and before:
            message = f"the group limits with {listed(before)}; a route of it cannot do without"
            merger.fault((*where, "rate_limit"), "limit_loosened", message, True)
        policy.unlimited = reason or policy.unlimited
        before += limits
    if before:
        policy.unlimited = None


def not_asked(policies: list[Policy]) -> list[str]:
    """Routes on which callers are not limited, or requests not validated, in sentences."""
    return [
        *on_routes("callers are not limited", ((policy.unlimited, policy.name) for policy in policies)),
        *on_routes("requests are not validated", ((policy.unvalidated, policy.name) for policy in policies)),
    ]
