"""A service of yours is asked whether a request may pass, after everything else has agreed; doubt denies."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from yett.config.base import Model, refuse
from yett.config.headers import owned, plain_names
from yett.config.types import Items, Plaintext, PublicFile
from yett.config.units import Duration, milliseconds
from yett.config.url import Url

MOST_MS = 10_000


def _names(value: tuple[str, ...]) -> tuple[str, ...]:
    taken = "belongs to the gateway or carries a credential; name another field"
    return plain_names(value, lambda name: taken if owned(name, False) or name == "cookie" else None)


def _timeout(value: str) -> str:
    if not 0 < milliseconds(value) <= MOST_MS:
        raise refuse("out_of_range", f"`{value}` is out of range; write at most `10s`")
    return value


class ExternalAuthorization(Model):
    """A service that is asked whether a request may pass."""

    url: Url
    """Where it is asked; with `protocol: grpc` a URL without a path."""
    protocol: Literal["http", "grpc"] = "http"
    """`http`: POST with a JSON document; `grpc`: Envoy's `ext_authz`, `envoy.service.auth.v3.Authorization/Check`."""
    ca: PublicFile | None = None
    """PEM of the authority that signed its certificate; the system's roots otherwise."""
    plaintext: Plaintext | None = None
    """Why plain HTTP is fine here."""
    timeout: Annotated[Duration, AfterValidator(_timeout)] = "500ms"
    """For everything, the connection included; at most 10s."""
    headers: Annotated[Items, AfterValidator(_names)] = ()
    """Fields of the request that it sees."""
    to_service: Annotated[Items, AfterValidator(_names)] = ()
    """Fields that its answer may set for the service; clients cannot send them."""

    @model_validator(mode="after")
    def _whole(self) -> ExternalAuthorization:
        parts = urlsplit(self.url)
        if self.protocol == "grpc" and (parts.path.strip("/") or parts.query):
            raise refuse(
                "url_with_path",
                f"gRPC calls a method of its own; write `{parts.scheme}://{parts.netloc}` without a path",
                ("url",),
            )
        return self

    def compiled(self, source: str, ca: str | None) -> dict[str, Any]:
        """Its part of the intermediate representation."""
        return {
            "source": source,
            "endpoint": {"url": self.url, "plaintext": self.url.startswith("http://"), "ca": ca},
            **({"protocol": self.protocol} if self.protocol != "http" else {}),
            "timeout_ms": milliseconds(self.timeout),
            **({"headers": sorted(self.headers)} if self.headers else {}),
            **({"to_service": sorted(self.to_service)} if self.to_service else {}),
        }
