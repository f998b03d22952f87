"""A copy of a share of a route's requests for a second service, whose answers are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yett.config import units
from yett.config.base import Model
from yett.config.types import Name

if TYPE_CHECKING:
    from yett.config.service import Service


class Mirror(Model):
    """Copies of a share of the requests for a second service; what it answers is dropped."""

    service: Name
    """Who gets them."""
    share: units.Share = "100%"
    """How many of the requests."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {"service": self.service, "share": units.share(self.share)}

    def fault(self, service: Service, forwards: tuple[str, ...], websocket: bool) -> str | None:
        """Why `service` gets no copies from a route that forwards to `forwards`."""
        if not forwards:
            return (
                "nothing is forwarded here, so nothing can be mirrored; name a `service`, or remove `mirror`"
            )
        if websocket:
            return "requests for WebSocket are not mirrored; remove `mirror`"
        if self.service in forwards:
            return f"`{self.service}` gets the route's requests already; mirror them to another service"
        if service.protocol != "http1":
            return f"`{self.service}` says `protocol: {service.protocol}`, and requests are mirrored over HTTP/1.1; name a service with `protocol: http1`"
        for key in ("limits", "circuit_breaker", "retry"):
            if getattr(service, key) is not None:
                return f"`{self.service}` says `{key}`, which does not hold for mirrored requests; name a service without it"
        return None
