"""Live checks: a credential that was verified is confirmed by its issuer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from yett.config.base import Model
from yett.config.types import Name
from yett.config.units import AnyDuration, milliseconds


class LiveCheck(Model):
    """Has a verified credential confirmed by its issuer (RFC 7662), or a session by whoever keeps it: revoked there, it is refused here on the next request."""

    max_age: AnyDuration = "0s"
    """How old the issuer's word may be; `0s` asks for every request."""
    provider: Name | None = None
    """The provider of type `introspection` that is asked; a jwt provider's own `introspection` without it."""


def merged(checks: Iterable[LiveCheck | None]) -> dict[str, Any] | None:
    """A group's and a route's as one: the shorter `max_age`, and whom to ask."""
    found = [check for check in checks if check is not None]
    if not found:
        return None
    named = [check.provider for check in found if check.provider]
    return {
        "max_age_ms": min(milliseconds(check.max_age) for check in found),
        **({"provider": named[0]} if named else {}),
    }
