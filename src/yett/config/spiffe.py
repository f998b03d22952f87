"""Certificates and trust bundles from a SPIFFE Workload API (X.509-SVID): where they stand, and what is there of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from yett.config.base import Location, Model, listed, refuse
from yett.config.places import Places
from yett.config.types import Text
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.merge import Merger, Policy
    from yett.config.resolve import Material

MAX_PATH = 107
"""Bytes of the path of a Unix socket."""
_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+", re.ASCII)


def _socket(value: str) -> str:
    if "://" in value or value.startswith("unix:") or "\0" in value:
        raise refuse(
            "path_invalid",
            f"`{value}` is no path; write that of the agent's socket, such as `/run/spire/agent.sock`",
        )
    return value


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise refuse("trust_domain_invalid", f"`{value}` is no trust domain; write one such as `example.org`")
    return value


def _id(value: str) -> str:
    if not _ID.fullmatch(value) or any(part in {".", ".."} for part in value.split("/")):
        raise refuse(
            "spiffe_id_invalid",
            f"`{value}` is no SPIFFE id; write one such as `spiffe://example.org/gateway`",
        )
    return value


Socket = Annotated[Text, AfterValidator(_socket)]
SpiffeId = Annotated[Text, AfterValidator(_id)]
TrustDomain = Annotated[Text, AfterValidator(_domain)]


class SpiffeIdentity(Model):
    """The gateway's own certificate, from a SPIFFE Workload API."""

    socket: Socket
    """Path of the agent's Unix socket; relative to this file."""
    id: SpiffeId | None = None
    """Which identity, where the agent gives several; the first of them otherwise."""


class SpiffeBundle(Model):
    """The authorities of one trust domain, from a SPIFFE Workload API."""

    socket: Socket
    """Path of the agent's Unix socket; relative to this file."""
    trust_domain: TrustDomain
    """Whose workloads are trusted: the gateway's own trust domain, or one that the agent federates with."""


@dataclass(frozen=True)
class Svid:
    """An X.509-SVID."""

    id: str
    chain: str
    """PEM, leaf first."""
    key: bytes = field(repr=False)
    """PEM."""


@dataclass(frozen=True)
class Context:
    """What a Workload API gives."""

    svids: tuple[Svid, ...]
    """In its order; the first is the one to use."""
    bundles: Mapping[str, str]
    """By trust domain: authorities in PEM."""


Workloads = Mapping[Path, Context]
"""By socket: what its agent said last."""


@dataclass(frozen=True)
class Waiting:
    """Something that is still to come."""

    at: Location
    """The listener's or the service's `tls`."""
    why: str


def parts(gateway: Gateway) -> Iterator[tuple[Location, SpiffeIdentity | SpiffeBundle, str | None]]:
    """Wherever one stands, below `tls` of a listener or a service, with the trust domain whose authorities are needed."""
    for name, listener in sorted(gateway.listeners.items()):
        tls = listener.tls
        if tls and tls.spiffe:
            yield ("listeners", name, "tls", "spiffe"), tls.spiffe, None
        clients = tls.client_certificates.spiffe if tls and tls.client_certificates else None
        if clients:
            at: Location = ("listeners", name, "tls", "client_certificates", "spiffe")
            yield at, clients, clients.trust_domain
    for name, service in sorted(gateway.services.items()):
        if service.tls and service.tls.spiffe:
            domains = domains_of(service.tls.san)
            yield ("services", name, "tls", "spiffe"), service.tls.spiffe, domains[0] if domains else None


def resolved(
    gateway: Gateway, places: Places, material: Material, workloads: Workloads | None
) -> Iterator[ConfigError]:
    """Puts what is there of each into `material`, beside what files hold. Without `workloads` nobody is asked."""
    for at, part, domain in parts(gateway):
        socket = (places.base(at) / part.socket).absolute()
        if len(str(socket).encode()) > MAX_PATH:
            message = f"`{socket}` is longer than the path of a socket may be ({MAX_PATH} bytes)"
            yield places.error((*at, "socket"), "path_invalid", message)
            continue
        material.sockets.add(socket)
        context = (workloads or {}).get(socket)
        why = f"the agent at `{socket}` has not answered"
        if context is not None:
            why = _take(at, part, domain, context, material)
        if why:
            material.waiting.append(Waiting(at[:3], why))


def _take(
    at: Location,
    part: SpiffeIdentity | SpiffeBundle,
    domain: str | None,
    context: Context,
    material: Material,
) -> str:
    """Why something is missing, or nothing."""
    from yett.config.resolve import fingerprint, secret_name

    wanted = getattr(part, "id", None)
    svid = next((one for one in context.svids if wanted in {None, one.id}), None)
    if svid is None:
        return f"the agent gives {listed([one.id for one in context.svids])}, and not `{wanted}`"
    if isinstance(part, SpiffeIdentity):
        chain = "certificate" if at[0] == "services" else "chain"
        name = secret_name((*at, "key"))
        material.texts[(*at, chain)] = svid.chain
        material.secrets[name] = svid.key
        material.fingerprints[name] = fingerprint(name, svid.key)
    if domain is not None:
        bundle = context.bundles.get(domain)
        if not bundle:
            return f"the agent gives no authorities of the trust domain `{domain}`"
        material.texts[(*at, "ca")] = bundle
    return ""


def domains_of(san: tuple[str, ...]) -> list[str]:
    """The trust domains of SPIFFE ids among names of a certificate."""
    ids = [one.removeprefix("uri:spiffe://") for one in san if one.startswith("uri:spiffe://")]
    return sorted({one.partition("/")[0] for one in ids})


def is_waiting(material: Material, at: Location) -> bool:
    """Whether something of this `tls` is still to come."""
    return any(one.at == at for one in material.waiting)


def waiting(found: tuple[Waiting, ...]) -> list[str]:
    """A sentence for each."""
    return [
        f"{str(one.at[0])[:-1]} `{one.at[1]}` has no workload identity yet, and no handshake succeeds: {one.why}"
        for one in found
    ]


def check_spiffe(merger: Merger, policies: list[Policy]) -> None:
    """What does not go with certificates of a Workload API, and what has to."""
    _clients(merger, policies)
    for name, service in merger.gateway.services.items():
        tls = service.tls
        if not tls or not tls.spiffe:
            continue
        at: Location = ("services", name, "tls")
        for key in ("ca", "certificate", "key", "server_name"):
            if getattr(tls, key) is not None:
                merger.fault((*at, key), "twice", f"`spiffe` stands in place of `{key}`; remove one", True)
        domains = domains_of(tls.san)
        if not domains or not all(one.startswith("uri:spiffe://") for one in tls.san):
            message = "every workload of a trust domain has a certificate of it: say which one this is, such as `san: uri:spiffe://example.org/billing`"
            merger.fault((*at, "san") if tls.san else at, "san_missing", message, not tls.san)
        elif len(domains) > 1:
            message = f"these are of several trust domains ({listed(domains)}), of which only one can vouch; name workloads of one"
            merger.fault((*at, "san"), "trust_domain_differs", message)


def _clients(merger: Merger, policies: list[Policy]) -> None:
    """One trust domain vouches for its own workloads alone."""
    known = merger.gateway.identity_providers
    told: set[str] = set()
    for policy in policies:
        if not policy.providers:
            continue
        listeners = [merger.gateway.listeners.get(name) for name in policy.listeners]
        asked = [one.tls.client_certificates for one in listeners if one and one.tls]
        here = {one.spiffe.trust_domain for one in asked if one and one.spiffe}
        for name in policy.providers:
            provider = known.get(name)
            others = [one for one in getattr(provider, "trust_domains", ()) if one not in here]
            if here and others and name not in told and provider and provider.type == "mtls":
                told.add(name)
                merger.fault(
                    ("identity_providers", name, "trust_domains"),
                    "trust_domain_differs",
                    f"the authorities of {listed(sorted(here))} vouch for clients where this is accepted, and not for {listed(others)}; name only theirs",
                )
    for name, listener in merger.gateway.listeners.items():
        clients = listener.tls.client_certificates if listener.tls else None
        at: Location = ("listeners", name, "tls", "client_certificates")
        if clients and clients.ca and clients.spiffe:
            message = "`ca` and `spiffe` both say who vouches for clients; remove one"
            merger.fault((*at, "spiffe"), "twice", message, True)
        if clients and not clients.ca and not clients.spiffe:
            message = "nobody is named who vouches for clients; add `ca`, or `spiffe: {socket: …}`"
            merger.fault(at, "key_missing", message, True)
