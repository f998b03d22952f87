"""A fixed answer, in place of a service."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from yett.config.base import Model, refuse
from yett.config.headers import FieldValue


def _status(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise refuse("status_invalid", f"`{value}` is not a status of an answer; write 200 to 599")
    return value


def _body(value: Any) -> Any:
    if isinstance(value, str) and len(value.encode()) > 64 * 1024:
        raise refuse("body_too_long", "the body is longer than 64KiB; let a service answer")
    return value


class Respond(Model):
    """Status, content type and body."""

    status: Annotated[int, BeforeValidator(_status)] = 200
    """200 to 599."""
    content_type: FieldValue = "text/plain; charset=utf-8"
    """Content-Type of the body."""
    body: Annotated[str, BeforeValidator(_body)] = ""
    """Text, at most 64KiB."""
