"""What requests are forwarded to."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config.base import Location, Model, refuse
from yett.config.endpoint import Balance, Dns, Endpoints
from yett.config.filters.identity_assertion import IdentityAssertion
from yett.config.health import HealthCheck, OutlierDetection
from yett.config.match import host_fault
from yett.config.resilience import CircuitBreaker, Retry, ServiceLimits
from yett.config.service_http2 import ServiceHttp2
from yett.config.service_token import ServiceToken
from yett.config.spiffe import SpiffeIdentity
from yett.config.types import Plaintext, PublicFile, Secret, Text, one_or_list
from yett.config.units import Duration


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


def _san_fault(kind: str, name: str) -> str | None:
    """Why a name cannot be looked for, or nothing."""
    if kind == "dns":
        if name.startswith("*"):
            return "a name is one exact name; write it without a wildcard"
        return host_fault(name)
    if kind == "uri":
        good = re.fullmatch(r"[a-z][a-z0-9+.-]*:[\x21-\x7e]+", name)
        return (
            None
            if good and "*" not in name
            else f"`{name}` is not a URI such as `spiffe://example.com/billing`"
        )
    if kind == "ip":
        try:
            canonical = str(ipaddress.ip_address(name))
        except ValueError:
            return f"`{name}` is not an address"
        return None if canonical == name else f"write the address as `{canonical}`"
    return "say which kind it is: `dns:`, `uri:` or `ip:`"


_SAN_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def _san(value: Any) -> Any:
    items = one_or_list(value)
    if not isinstance(items, list | tuple):
        return items
    if not items:
        raise refuse("list_empty", "the list is empty; name at least one, or leave the key out")
    for index, item in enumerate(items):
        at: Location = () if isinstance(value, str) else (index,)
        kind, colon, name = item.partition(":") if isinstance(item, str) else ("", "", "")
        fault = _san_fault(kind if colon else "", name)
        if fault:
            raise refuse("san_invalid", f"`{item}` is no name of a certificate: {fault}", at)
        if item in items[:index]:
            raise refuse("listed_twice", f"`{item}` is listed twice; remove one", at)
    return tuple(items)


class ServiceTls(Model):
    """TLS towards a service; it is always verified."""

    ca: PublicFile | None = None
    """PEM of the authority; the system's roots otherwise."""
    certificate: PublicFile | None = None
    """PEM of the gateway's own certificate."""
    key: Secret | None = None
    """Its key."""
    spiffe: SpiffeIdentity | None = None
    """In place of `ca`, `certificate` and `key`: what a SPIFFE Workload API gives; `san` names the service."""
    server_name: Text | None = None
    """The name that the service's certificate has to carry; the endpoint's host otherwise."""
    san: Annotated[tuple[str, ...], BeforeValidator(_san), WithJsonSchema(_SAN_SCHEMA)] = ()
    """Names of which the certificate has to carry one: `dns:…`, `uri:…`, `ip:…`; a URI stands in place of `server_name`."""


class Pool(Model):
    """Idle connections to each endpoint, per worker."""

    idle: Annotated[int, Field(ge=0, le=100_000)] = 64
    """How many are kept."""
    idle_timeout: Duration = "30s"
    """How long one is kept."""


class Service(Model):
    """One or several endpoints that do the same."""

    endpoints: Endpoints
    """`https://host:port`; `http://` needs `plaintext`. A map says more: weight, priority, zone."""
    plaintext: Plaintext | None = None
    """Why plain HTTP is fine here."""
    tls: ServiceTls | None = None
    """Authority, client certificate, name."""
    host: Annotated[str, BeforeValidator(_host)] = "endpoint"
    """The Host header that the service sees: `endpoint`, `preserve` (the client's), or a literal."""
    balance: Balance = "round_robin"
    """How one of several endpoints is chosen."""
    protocol: Literal["http1", "http2", "auto"] = "http1"
    """`http2` without TLS is spoken with prior knowledge; `auto` is what the service chooses in the TLS handshake."""
    http2: ServiceHttp2 | None = None
    """Bounds of HTTP/2."""
    dns: Dns | None = None
    """How names of endpoints are kept fresh."""
    health_check: HealthCheck | None = None
    """Asks endpoints whether they serve; without it they are taken for healthy."""
    outlier_detection: OutlierDetection | None = None
    """Keeps endpoints away whose requests fail."""
    slow_start: Duration | None = None
    """How long an endpoint that is healthy again takes to get its whole share."""
    forward_credential: bool = False
    """Whether the service sees the caller's credential."""
    identity_assertion: IdentityAssertion | None = None
    """What the service is told of the caller, signed."""
    token: ServiceToken | None = None
    """A token that the gateway gets for the service, in place of the caller's credential."""
    pool: Pool = Pool.unsaid()
    """Idle connections."""
    limits: ServiceLimits | None = None
    """Requests under way at once."""
    circuit_breaker: CircuitBreaker | None = None
    """When an endpoint that fails is left alone."""
    retry: Retry | None = None
    """What is tried again."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of its endpoints."""
        return tuple(endpoint.url for endpoint in self.endpoints)
