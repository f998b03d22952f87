"""What an answer of a service has to be before any of it leaves; a clean 502 stands in for what does not fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from yett.config.base import Model, listed, refuse
from yett.config.filters.request_validation import ContentTypes, JsonLimits, Unknown
from yett.config.types import PublicFile, Text, quantified
from yett.config.units import Size, size_bytes

if TYPE_CHECKING:
    from yett.config.merge import Policy
    from yett.config.validation.openapi import Operation

LEAKS = ("addresses", "cards", "private_keys", "stack_traces", "tokens")
_STREAMS = frozenset(
    {"text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq", "application/stream+json"}
)  # fmt: skip
_STREAMS_BEGIN = ("application/grpc", "multipart/x-mixed-replace")
_STATUS = re.compile(r"[1-5]([0-9][0-9]|XX)", re.ASCII)


def _statuses(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, dict) and isinstance(value.get("any_of"), list):
        value = {**value, "any_of": _texts(value["any_of"])}
    if isinstance(value, list):
        value = _texts(value)
    return tuple(item.lower() for item in quantified(value, ("any_of",), _status)[1])


def _texts(items: list[Any]) -> list[Any]:
    return [str(item) if type(item) is int else item for item in items]


def _status(item: str) -> None:
    if not _STATUS.fullmatch(item.upper()):
        message = f"`{item}` is no status; write one such as `200`, or `4XX` for all of a hundred"
        raise refuse("status_invalid", message)


def _leaks(value: Any) -> Any:
    if value == "none":
        return ()
    return quantified(value, ("any_of",), _leak)[1]


def _leak(item: str) -> None:
    if item not in LEAKS:
        known = ", ".join(f"`{name}`" for name in LEAKS)
        raise refuse("leak_unknown", f"`{item}` is not looked for; write one or more of {known}, or `none`")


def _size(value: str) -> str:
    if not 0 < size_bytes(value) <= 1 << 30:
        raise refuse("out_of_range", f"`{value}` is out of range; write at least `1B` and at most `1GiB`")
    return value


_STATUS_SCHEMA = {
    "anyOf": [
        {"type": ["string", "integer"]},
        {
            "type": "object", "required": ["any_of"], "additionalProperties": False,
            "properties": {"any_of": {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1}},
        },
    ]
}  # fmt: skip
_LEAK_SCHEMA = {
    "anyOf": [
        {"enum": [*LEAKS, "none"]},
        {
            "type": "object", "required": ["any_of"], "additionalProperties": False,
            "properties": {"any_of": {"type": "array", "items": {"enum": list(LEAKS)}, "minItems": 1}},
        },
    ]
}  # fmt: skip


class ResponseValidation(Model):
    """What an answer of a service has to be."""

    mode: Literal["enforce", "report", "strip"] = "enforce"
    """`enforce`: 502 in place of what does not fit; `strip`: properties that the schema does not know are taken out first;
    `report`: it passes, and an event says so."""
    openapi: PublicFile | None = None
    """An OpenAPI description (3.0 or 3.1): what its `operation` says of answers is what counts."""
    operation: Text | None = None
    """The `operationId` in it, or method and path, such as `GET /orders`."""
    unknown_properties: Unknown = "allow"
    """Whether properties that a schema of the description does not name are refused."""
    statuses: Annotated[tuple[str, ...], BeforeValidator(_statuses), WithJsonSchema(_STATUS_SCHEMA)] = ()
    """Statuses that pass, such as `200` or `4XX`; all if nothing is said. Beside `openapi`: further ones."""
    content_types: ContentTypes | None = None
    """What bodies may be; anything if nothing is said."""
    json_schema: PublicFile | None = None
    """JSON Schema (2020-12) of JSON answers with a status of 2xx: a file, JSON or YAML."""
    formats: bool = True
    """Whether `format` of the schema is checked; otherwise it is a remark."""
    json_limits: JsonLimits = JsonLimits.unsaid()
    """Bounds of JSON answers."""
    size: Annotated[Size, AfterValidator(_size)] = "1MiB"
    """A body that is looked at; it is held whole."""
    leaks: Annotated[tuple[str, ...], BeforeValidator(_leaks), WithJsonSchema(_LEAK_SCHEMA)] = LEAKS
    """What is looked for in header fields and texts: `addresses` (of the service, in fields that lead there), `cards`,
    `private_keys`, `stack_traces`, `tokens`; or `none`."""
    internal_headers: Literal["remove", "keep"] = "remove"
    """Fields that say what a service is made of, such as `X-Runtime`."""
    streams: bool = False
    """Whether bodies without an end (`text/event-stream`, lines of JSON, gRPC) pass, unread."""

    def compiled(self, schema: Any) -> dict[str, Any]:
        """Its part of the intermediate representation, with the schema that its file holds."""
        plain = (
            {}
            if self.content_types is None
            else {"bodies": [{"content_type": name} for name in self.content_types]}
        )
        answers: list[dict[str, Any]] = []
        if self.json_schema is not None:
            names = self.content_types or ("application/json",)
            # every status of 2xx that may come at all
            own = [status for status in self.statuses if status.startswith("2")] or (
                [] if self.statuses else ["2xx"]
            )
            bodies = [{"content_type": name, "schema": schema} for name in names]
            answers += [{"status": status, "bodies": bodies} for status in own]
        seen = {answer["status"] for answer in answers}
        others = [status for status in self.statuses or ("default",) if status not in seen]
        answers += [{"status": status, **plain} for status in others]
        return self._document(answers)

    def of_operation(self, operation: Operation) -> dict[str, Any]:
        """The same for an operation of a description."""
        answers = [
            # an error that is named without a body may have one
            {
                "status": one["status"],
                **({"bodies": one["bodies"]} if one["bodies"] or one["status"][0] == "2" else {}),
            }
            for one in operation.responses
        ]
        seen = {one["status"] for one in answers}
        answers += [{"status": status} for status in self.statuses if status not in seen]
        return self._document(answers)

    def _document(self, answers: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "answers": answers,
            "size": size_bytes(self.size),
            "json": self.json_limits.compiled(),
            "leaks": sorted(self.leaks),
            **({"streams": True} if self.streams else {}),
            **({} if self.internal_headers == "remove" else {"internals": False}),
            **({} if self.formats else {"formats": False}),
        }


def only_reported(policies: list[Policy]) -> list[str]:
    """Routes whose answers pass whatever they are, in a sentence."""
    names = [
        policy.name
        for policy in policies
        if policy.response_validation and policy.response_validation[1].mode == "report"
    ]
    on = "route" if len(names) == 1 else "routes"
    what = "answers that do not fit are reported, and pass"
    return [f"{what} (`response_validation: {{mode: report}}`) on {on} {listed(names)}"] if names else []


def is_stream(content_type: str) -> bool:
    """Whether such a body may have no end. The data plane has the same list."""
    return content_type in _STREAMS or content_type.startswith(_STREAMS_BEGIN)
