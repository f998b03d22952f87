"""Whom to ask about tokens (RFC 7662), and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from yett.config import units
from yett.config.base import Location, Model
from yett.config.oauth_client import OauthClient
from yett.config.types import PublicFile
from yett.config.units import Duration
from yett.config.url import Url

if TYPE_CHECKING:
    from yett.config.resolve import Material


class IntrospectionEndpoint(Model):
    """Whom to ask about tokens, and as whom (RFC 7662)."""

    endpoint: Url | None = None
    """`https://…`; without it the issuer's metadata says where (OpenID Connect Discovery 1.0, RFC 8414)."""
    client: OauthClient
    """Who the gateway is there."""
    ca: PublicFile | None = None
    """PEM of the authority that signed the server's certificate; the system's roots otherwise."""
    timeout: Duration = "3s"
    """For one question, waiting included; at most 10s."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Questions under way at once, for the process."""
    queue: Annotated[int, Field(ge=0, le=10_000)] = 256
    """Questions that wait; further ones are answered with 503."""

    def endpoint_compiled(
        self, at: Location, material: Material, discovery: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Its part of the IR; `discovery` says where the endpoint is if that is not said here."""
        place: dict[str, Any] = {"discovery": discovery}
        if self.endpoint is not None:
            plaintext = self.endpoint.startswith("http://")
            ca = material.texts.get((*at, "ca"))
            place = {"endpoint": {"url": self.endpoint, "plaintext": plaintext, "ca": ca}}
        return {
            **place,
            "client": self.client.compiled((*at, "client"), material),
            "timeout_ms": units.milliseconds(self.timeout),
            "concurrency": self.concurrency,
            "queue": self.queue,
        }
