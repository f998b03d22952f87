"""Which endpoints of a service are healthy: active checks, and what requests meet."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.match import host_fault
from yett.config.types import Text

_PATH = re.compile(r"/[!-~]{0,1023}", re.ASCII)
_LEAST_INTERVAL_MS = 50


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or "#" in value:
        raise refuse("path_invalid", f"`{value}` is no path; write one such as `/healthz`")
    return value


def _statuses(value: Any) -> Any:
    items = value if isinstance(value, list | tuple) else (value,)
    for item in items:
        if not isinstance(item, int) or isinstance(item, bool) or not 200 <= item <= 599:
            raise refuse(
                "status_invalid",
                f"`{item}` is no status of an answer; write 200, or several such as `[200, 204]`",
            )
    if not items or len(set(items)) != len(items) or len(items) > 16:
        raise refuse("status_invalid", "write one status, or up to 16 different ones")
    return tuple(items)


def _host(value: Any) -> Any:
    name, _, port = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not name or host_fault(name) or name.startswith("*") or (port and not port.isdigit()):
        raise refuse("host_invalid", f"`{value}` is not a host; write a name such as `billing.internal`")
    return value


def _interval(value: Any) -> Any:
    if units.milliseconds(value) < _LEAST_INTERVAL_MS:
        raise refuse(
            "duration_zero",
            f"`{value}` is too often; at least {_LEAST_INTERVAL_MS} ms lie between two checks",
        )
    return value


_STATUS_SCHEMA = {
    "anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]
}

Status = Annotated[tuple[int, ...], BeforeValidator(_statuses), WithJsonSchema(_STATUS_SCHEMA)]
"""One status or several."""
Interval = Annotated[units.Duration, AfterValidator(_interval)]
"""At least 50 ms."""
Count = Annotated[int, Field(ge=1, le=100)]
"""Checks in a row."""


class HealthCheck(Model):
    """Asks each endpoint again and again whether it serves; requests go only to those that do."""

    protocol: Literal["http", "tcp", "grpc"] = "http"
    """A request over what is spoken to the service, a connection, or `grpc.health.v1.Health/Check`."""
    path: Annotated[str, BeforeValidator(_path)] | None = None
    """Path and query of the request; `http` needs it."""
    status: Status | None = None
    """The status that passes, or several; 200."""
    host: Annotated[str, BeforeValidator(_host)] | None = None
    """The Host header; the service's own otherwise, and for `host: preserve` the endpoint's."""
    service: Annotated[Text, Field(max_length=120)] | None = None
    """What `grpc` asks about; the whole server otherwise."""
    interval: Interval = "5s"
    """From the end of one check to the next, give or take a tenth."""
    timeout: units.Duration = "1s"
    """For one check, from the connection to the answer."""
    healthy: Count = 2
    """Passed checks in a row after which an endpoint is healthy again."""
    unhealthy: Count = 3
    """Failed checks in a row after which it is not."""

    @model_validator(mode="after")
    def _fits(self) -> HealthCheck:
        if self.protocol == "http" and self.path is None:
            raise refuse("key_missing", "name the path that is asked for: `path: /healthz`")
        for key, protocols in (
            ("path", ("http",)),
            ("status", ("http",)),
            ("host", ("http", "grpc")),
            ("service", ("grpc",)),
        ):
            if getattr(self, key) is not None and self.protocol not in protocols:
                raise refuse(
                    "key_unused", f"`{key}` has no meaning for `protocol: {self.protocol}`; remove it", (key,)
                )
        return self

    def compiled(self) -> dict[str, Any]:
        """Its part of the IR."""
        document: dict[str, Any] = {
            "protocol": self.protocol,
            "interval_ms": units.milliseconds(self.interval),
            "timeout_ms": units.milliseconds(self.timeout),
            "healthy": self.healthy,
            "unhealthy": self.unhealthy,
        }
        if self.protocol == "http":
            document |= {"path": self.path, "status": list(self.status or (200,))}
        if self.host is not None:
            document["host"] = self.host
        if self.service is not None:
            document["service"] = self.service
        return document


class OutlierDetection(Model):
    """Keeps endpoints away for a while whose requests fail: no connection, no answer, or 502, 503, 504."""

    consecutive_errors: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Failures in a row; 5 where `success_rate` is not given either."""
    success_rate: units.Share | None = None
    """Least share of requests that succeed within 10 seconds, once there are 20."""
    eject: units.Duration = "30s"
    """How long the first time; each that follows closely is longer by as much, up to ten times."""
    max_ejected: units.Share = "50%"
    """Most of the service's endpoints that are away at once, rounded down."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the IR."""
        rate = units.share(self.success_rate) if self.success_rate else 0
        return {
            "consecutive_errors": self.consecutive_errors or (0 if rate else 5),
            "success_rate": rate,
            "eject_ms": units.milliseconds(self.eject),
            "max_ejected": units.share(self.max_ejected),
        }
