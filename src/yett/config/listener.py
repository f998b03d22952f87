"""Sockets that clients reach."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config.acme import Acme
from yett.config.base import Model, listed, nearest, refuse
from yett.config.filters.address_filter import AddressFilter
from yett.config.filters.address_limit import AddressLimits
from yett.config.filters.geo_filter import GeoFilter
from yett.config.match import host_fault
from yett.config.spiffe import SpiffeBundle, SpiffeIdentity
from yett.config.types import Address, Name, Networks, Plaintext, PublicFile, Secret, one_or_list
from yett.config.units import Duration, Size

Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Certificate(Model):
    """A certificate chain and its key."""

    chain: PublicFile
    """PEM, leaf first."""
    key: Secret
    """PEM."""


GUIDELINES = ("5.7", "5.8", "6.0")
PROFILES = (
    *("modern", "intermediate", "fips"),
    *(f"{name}-{version}" for name in ("modern", "intermediate") for version in GUIDELINES),
)


def _profile(value: Any) -> Any:
    if value not in PROFILES:
        hint = nearest(str(value), PROFILES) or f"; write one of {listed(PROFILES)}"
        raise refuse("profile_unknown", f"`{value}` is not a profile{hint}")
    return value


class ClientCertificates(Model):
    """Certificates that clients are asked for."""

    mode: Literal["required", "optional"]
    """`required`: without one the handshake fails; `optional`: routes may require one."""
    ca: PublicFile | None = None
    """PEM of the authorities that vouch for clients; the system's are never used."""
    spiffe: SpiffeBundle | None = None
    """In place of `ca`: the authorities of a trust domain, from a SPIFFE Workload API."""
    crl: Annotated[tuple[PublicFile, ...], BeforeValidator(one_or_list)] = ()
    """Revocation lists in PEM; with one, every certificate of a chain has to be covered by a list that is not out of date."""


class ListenerTls(Model):
    """TLS of a listener."""

    profile: Annotated[str, BeforeValidator(_profile), WithJsonSchema({"enum": list(PROFILES)})] = (
        "intermediate"
    )
    """Mozilla's profiles, with a version of the guideline (`intermediate-6.0`) or the newest known; or `fips`."""
    certificates: Annotated[tuple[Certificate, ...], BeforeValidator(one_or_list)] = ()
    """At least one, unless `acme` orders one or `spiffe` gives one; the first is the default where a client names none."""
    acme: Acme | None = None
    """A certificate that is ordered and renewed; it comes after those of `certificates`."""
    spiffe: SpiffeIdentity | None = None
    """A certificate from a SPIFFE Workload API; it comes after those of `certificates` and `acme`."""
    client_certificates: ClientCertificates | None = None
    """Certificates that clients are asked for; none otherwise."""


class TrustedProxies(Model):
    """Whose forwarding header is believed."""

    addresses: Networks
    """Networks of the proxies before the gateway."""
    header: Literal["x-forwarded-for", "forwarded"]
    """The one header that they set."""


class ProxyProtocol(Model):
    """Load balancers that announce clients with the PROXY protocol, version 2."""

    addresses: Networks
    """Networks of the balancers: every connection from them has to begin with it, none from elsewhere may."""


class ListenerLimits(Model):
    """Bounds of a listener."""

    connections: Count | None = None
    """Open connections of the process (10000)."""
    connections_per_address: Count | None = None
    """Open connections of one client address, or of one IPv6 network of 64 bits; no bound of its own otherwise."""
    request_line: Size | None = None
    """Bytes of the request line; beyond it 414 (8KiB)."""
    header_bytes: Size | None = None
    """Bytes of the whole head; beyond it 431 (32KiB)."""
    headers: Count | None = None
    """Header fields; beyond it 431 (100)."""
    handshakes: Count | None = None
    """TLS handshakes of the process under way at once; others wait within `timeouts.handshake` (1000)."""


class ListenerTimeouts(Model):
    """Time limits of a listener."""

    handshake: Duration | None = None
    """From accept to the end of the TLS handshake (10s)."""
    head: Duration | None = None
    """From the first byte of a head to its last (10s)."""
    body: Duration | None = None
    """Longest pause inside a request's body, or of a client that does not read; also the time for 4 KiB of either (30s)."""
    keep_alive: Duration | None = None
    """Longest pause between requests (60s)."""


class Http2(Model):
    """HTTP/2 of a listener."""

    max_concurrent_streams: Annotated[int, Field(ge=1, le=1000)] = 100
    """Requests that one connection may have open (100)."""
    prior_knowledge: bool = False
    """Speak it without TLS, too, to clients that begin with it."""


class HttpsRedirect(Model):
    """Where HTTPS is."""

    listener: Name | None = None
    """The listener with TLS; may be left out where there is only one."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Its port as clients see it; that of its `address` otherwise."""


class PassedHost(Model):
    """Where TLS for one name goes."""

    service: Name
    """A service whose endpoints speak TLS; it is reached by TCP, and the client meets its certificate."""


def _passed_hosts(value: Any) -> Any:
    if isinstance(value, dict):
        if not value:
            raise refuse("list_empty", "no host is named, so nothing could be passed on; name at least one")
        for host in value:
            fault = host_fault(host) if isinstance(host, str) else "a host is text"
            if fault:
                raise refuse("host_invalid", fault, (host,))
    return value


class Passthrough(Model):
    """TLS that is forwarded unopened, by the name that the client asks for."""

    hosts: Annotated[dict[str, PassedHost], BeforeValidator(_passed_hosts)]
    """By name (SNI), exact or `*.`; connections for other names, and for none, are closed."""
    allow: Networks | None = None
    """Networks that may connect; everyone otherwise."""
    deny: Networks | None = None
    """Networks that may not, also where `allow` has them."""
    connect: Duration = "2s"
    """Time for a connection to an endpoint."""
    idle: Duration = "5m"
    """Longest time in which no byte moves."""


def _redirect(value: Any) -> Any:
    if isinstance(value, str) and value != "https":
        raise refuse("value_unknown", f"`{value}` is not known here; write `https`, or `{{port: 443}}`")
    return value


class Listener(Model):
    """A socket that clients reach, with TLS or with a reason for plain text."""

    address: Address
    """IP address and port; port 0 picks a free one."""
    tls: ListenerTls | None = None
    """Certificates and profile."""
    plaintext: Plaintext | None = None
    """Why plain HTTP is fine here."""
    trusted_proxies: TrustedProxies | None = None
    """Whose forwarding header is believed; nobody's otherwise."""
    proxy_protocol: ProxyProtocol | None = None
    """Who announces clients with the PROXY protocol, version 2; nobody otherwise."""
    address_filter: AddressFilter | None = None
    """Who may come in by address, asked before a route is looked for."""
    geo_filter: GeoFilter | None = None
    """Who may come in by place, asked before a route is looked for."""
    address_limit: AddressLimits = Field(default_factory=dict)
    """Limits by client address, charged before a route is looked for."""
    limits: ListenerLimits = ListenerLimits.unsaid()
    """Bounds."""
    timeouts: ListenerTimeouts = ListenerTimeouts.unsaid()
    """Time limits."""
    http2: bool | Http2 | None = None
    """Bounds of HTTP/2, or `false` for a listener with TLS that offers HTTP/1.1 only."""
    redirect: Annotated[Literal["https"] | HttpsRedirect | None, BeforeValidator(_redirect)] = None
    """In place of routes: every request is told, with 308, to come back with HTTPS."""

    passthrough: Passthrough | None = None
    """In place of routes: TLS is forwarded unopened."""

    @property
    def takes_routes(self) -> bool:
        """Whether routes can stand on it."""
        return self.kind == "requests"

    @property
    def kind(self) -> Literal["requests", "redirect", "passthrough"]:
        """What it does with connections."""
        if self.passthrough:
            return "passthrough"
        return "redirect" if self.redirect else "requests"

    @property
    def https_redirect(self) -> HttpsRedirect | None:
        """`redirect` in its long form."""
        return HttpsRedirect() if self.redirect == "https" else self.redirect
