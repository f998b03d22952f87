"""WebSocket connections (RFC 6455): which upgrades a route takes, from which origins, and for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.origin import origin_fault
from yett.config.types import ONE_OR_SEVERAL, quantified


def _origins(value: Any) -> Any:
    if value == "any":
        return value
    return quantified(value, ("any_of",), _origin)[1]


def _origin(item: str) -> None:
    fault = origin_fault(item)
    if fault:
        raise refuse("origin_invalid", fault)


Origins = Annotated[
    Literal["any"] | tuple[str, ...], BeforeValidator(_origins), WithJsonSchema(ONE_OR_SEVERAL)
]


class WebSocket(Model):
    """WebSocket connections, and nothing else, on this route."""

    origins: Origins | None = None
    """Pages that may connect beside those of the same host, such as `https://shop.example.com`; then every client has to name one. `any`: all pages, but without cookies or a client certificate."""
    idle: units.Duration = "60s"
    """Longest time without a byte either way; pings count."""
    message: units.Size = "1MiB"
    """Bytes of one message as it is sent, either way, all of its frames together."""
    connections: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] = 10_000
    """Open ones at a time, in the whole process."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        origins: Any = "same" if self.origins is None else self.origins
        return {
            "origins": {"listed": sorted(origins)} if isinstance(origins, tuple) else origins,
            "idle_ms": units.milliseconds(self.idle),
            "message": units.size_bytes(self.message),
            "connections": self.connections,
        }
