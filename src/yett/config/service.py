"""What requests are forwarded to."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from yett.config.base import Location, Model, refuse
from yett.config.match import host_fault
from yett.config.providers.jwt import url_fault
from yett.config.types import Items, Plaintext, PublicFile, Secret, Text, forbidden_host
from yett.config.units import Duration

MAX_ENDPOINTS = 256


def _endpoints(value: Any) -> Any:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise refuse(
            "endpoint_invalid",
            "write an address such as `https://billing-1.internal:8443`, or a list of them",
        )
    if not items:
        raise refuse("list_empty", "the list is empty; name at least one, or leave the key out")
    if len(items) > MAX_ENDPOINTS:
        raise refuse("endpoint_invalid", f"a service has at most {MAX_ENDPOINTS} endpoints")
    for index, item in enumerate(items):
        at: Location = () if isinstance(value, str) else (index,)
        fault = url_fault(item)
        if fault:
            raise refuse("endpoint_invalid", fault, at)
        parts = urlsplit(item)
        if parts.path not in {"", "/"} or parts.query:
            raise refuse(
                "endpoint_invalid",
                f"`{item}` has a path; an endpoint is scheme, host and port (`rewrite` changes paths)",
                at,
            )
        why = forbidden_host(parts.hostname or "")
        if why:
            raise refuse("address_forbidden", f"`{parts.hostname}` {why}; it is never contacted", at)
        if item in items[:index]:
            raise refuse("listed_twice", f"`{item}` is listed twice; remove one", at)
    return tuple(items)


def _host(value: Any) -> Any:
    if value in {"preserve", "endpoint"}:
        return value
    name, _, port = value.partition(":") if isinstance(value, str) else ("", "", "")
    fault = "" if isinstance(value, str) else "write a host"
    fault = (
        fault
        or host_fault(name)
        or ("no wildcard" if name.startswith("*") else None)
        or ("" if not port or port.isdigit() else "port")
    )
    if fault:
        raise refuse(
            "host_invalid",
            f"`{value}` is not a host; write `preserve`, `endpoint` or a name such as `billing.internal`",
        )
    return value


class ServiceTls(Model):
    """TLS towards a service; it is always verified."""

    ca: PublicFile | None = None
    """PEM of the authority; the system's roots otherwise."""
    certificate: PublicFile | None = None
    """PEM of the gateway's own certificate."""
    key: Secret | None = None
    """Its key."""
    server_name: Text | None = None
    """The name that the service's certificate has to carry; the endpoint's host otherwise."""


class Pool(Model):
    """Idle connections to each endpoint, per worker."""

    idle: Annotated[int, Field(ge=0, le=100_000)] = 64
    """How many are kept."""
    idle_timeout: Duration = "30s"
    """How long one is kept."""


class Service(Model):
    """One or several endpoints that do the same."""

    endpoints: Annotated[Items, BeforeValidator(_endpoints)]
    """`https://host:port`; `http://` needs `plaintext`."""
    plaintext: Plaintext | None = None
    """Why plain HTTP is fine here."""
    tls: ServiceTls | None = None
    """Authority, client certificate, name."""
    host: Annotated[str, BeforeValidator(_host)] = "endpoint"
    """The Host header that the service sees: `endpoint`, `preserve` (the client's), or a literal."""
    balance: Literal["round_robin", "least_requests"] = "round_robin"
    """How one of several endpoints is chosen."""
    forward_credential: bool = False
    """Whether the service sees the caller's credential."""
    pool: Pool = Pool()
    """Idle connections."""
