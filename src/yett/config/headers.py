"""Names and values of header fields that a configuration may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from yett.config.base import Model, refuse
from yett.config.types import Items

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
_VALUE_BAD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
}
_OWNED_REQUEST = _HOP_BY_HOP | {
    "host", "authorization", "proxy-authorization", "expect", "forwarded", "x-real-ip", "x-request-id", "traceparent", "tracestate",
    "x-original-url", "x-rewrite-url", "x-http-method-override", "via", "yett-identity",
}  # fmt: skip
_OWNED_RESPONSE = _HOP_BY_HOP | {
    "x-request-id", "www-authenticate", "proxy-authenticate", "ratelimit", "ratelimit-policy", "date", "via", "set-cookie", "location",
}  # fmt: skip

OF_REQUESTS = frozenset(
    {"cookie", "origin", "accept", "content-type", "content-encoding", "user-agent", "referer", "range"}
)
"""Fields of requests with a meaning that services know: nothing of the gateway's, and no credential, is put there."""


def fold(name: str) -> str:
    """The form in which a CGI-style service sees a name: `X_User` and `x.user` are `x-user`."""
    return name.lower().replace("_", "-").replace(".", "-")


def owned(name: str, response: bool) -> bool:
    """Whether the gateway sets or trusts this field itself."""
    folded = fold(name)
    return folded in (_OWNED_RESPONSE if response else _OWNED_REQUEST) or (
        not response and folded.startswith("x-forwarded-")
    )


def plain_names(value: tuple[str, ...], why_not: Callable[[str], str | None]) -> tuple[str, ...]:
    """Names in lower case; `why_not` says of one in lower case why it cannot stand here, and what to do."""
    for index, name in enumerate(value):
        if not _PLAIN.fullmatch(name):
            message = f"`{name}` is not the name of a header; use letters, digits and `-`"
            raise refuse("header_name_invalid", message, (index,))
        fault = why_not(name.lower())
        if fault is not None:
            raise refuse("header_owned", f"`{name}` {fault}", (index,))
    return tuple(name.lower() for name in value)


def _field_name(value: Any) -> Any:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise refuse(
            "header_name_invalid", f"`{value}` is not the name of a header; use letters, digits and `-`"
        )
    return value.lower()


def _field_value(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse("text_expected", f"`{value}` is not text; put it in quotes")
    if _VALUE_BAD.search(value):
        raise refuse(
            "header_value_invalid",
            "the value has a line end or another control character; a header is one line",
        )
    if value != value.strip(" \t"):
        raise refuse("header_value_invalid", "the value starts or ends with a blank; remove it")
    if len(value) > 8192:
        raise refuse("header_value_invalid", "the value is longer than 8192 characters")
    return value


FieldName = Annotated[str, BeforeValidator(_field_name)]
"""The name of a header field, in lower case (RFC 9110 section 5.1)."""
FieldValue = Annotated[str, BeforeValidator(_field_value)]
"""The value of a header field (RFC 9110 section 5.5)."""


class HeaderEdits(Model):
    """Changes of headers: first `remove`, then `set`, then `add`."""

    remove: Items = ()
    """Names of fields that go, in any spelling."""
    set: dict[FieldName, FieldValue] = Field(default_factory=dict)
    """Fields that are replaced, or added where there is none."""
    add: dict[FieldName, FieldValue] = Field(default_factory=dict)
    """Fields that are added beside what is there."""

    def names(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Each name with its place below the filter's key."""
        removed: list[tuple[tuple[str | int, ...], str]] = [
            (("remove", index), name) for index, name in enumerate(self.remove)
        ]
        return [
            *removed,
            *((("set", name), name) for name in self.set),
            *((("add", name), name) for name in self.add),
        ]


def valid_name(name: str) -> bool:
    """Whether this is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None
