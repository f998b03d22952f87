"""HTTP/2 towards services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.units import Duration, Size

if TYPE_CHECKING:
    from yett.config.service import Service

WINDOW = (64 << 10, 16 << 20)
SHORTEST_PING = 1000


def _window(value: Any) -> Any:
    low, high = WINDOW
    if isinstance(value, str) and not low <= units.size_bytes(value) <= high:
        raise refuse("size_invalid", f"`{value}` is not a window; write one from `64KiB` to `16MiB`")
    return value


def _ping(value: Any) -> Any:
    if isinstance(value, str) and 0 < units.milliseconds(value) < SHORTEST_PING:
        raise refuse(
            "duration_invalid",
            f"`{value}` is too short; services take frequent pings for an attack: write `1s` or more",
        )
    return value


class ServiceHttp2(Model):
    """HTTP/2 to each endpoint, per worker."""

    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Connections that take requests; a further one is opened when all are full."""
    streams: Annotated[int, Field(ge=1, le=1000)] = 100
    """Requests under way on one connection, where the service allows as many."""
    window: Annotated[Size, BeforeValidator(_window)] = "256KiB"
    """Bytes of one answer that are held while its client does not take them."""
    ping: Annotated[Duration, BeforeValidator(_ping)] = "30s"
    """How long a connection with requests may be silent before it is asked whether it lives."""
    ping_timeout: Duration = "10s"
    """How long its answer may take."""


def faults(service: Service, urls: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What `protocol` and `http2` of a service have wrong: place below it, code, message."""
    if service.protocol == "http1" and service.http2 is not None:
        yield (
            ("http2",),
            "key_unused",
            "`http2` has no effect on HTTP/1.1; write `protocol: http2` or `protocol: auto`, or remove it",
        )
    if service.protocol == "auto" and any(url.startswith("http://") for url in urls):
        yield (
            ("protocol",),
            "protocol_without_tls",
            "`auto` asks in the TLS handshake, and these endpoints speak plain HTTP; write `http2` or `http1`",
        )


def compiled(service: Service) -> dict[str, Any]:
    """The part of the IR; nothing for HTTP/1.1."""
    if service.protocol == "http1":
        return {}
    http2 = service.http2 or ServiceHttp2()
    return {
        "speaks": {
            service.protocol: {
                "connections": http2.connections,
                "streams": http2.streams,
                "window": units.size_bytes(http2.window),
                "ping_ms": units.milliseconds(http2.ping),
                "ping_timeout_ms": units.milliseconds(http2.ping_timeout),
            }
        }
    }
