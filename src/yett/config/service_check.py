"""What does not fit together of services."""

from __future__ import annotations

from urllib.parse import urlsplit

from yett.config import service_http2
from yett.config.base import Location, listed
from yett.config.endpoint import ConsistentHash, is_name
from yett.config.merge import Merger
from yett.config.service import Service
from yett.config.types import socket_address
from yett.config.units import share


def check_services(merger: Merger) -> None:
    """Every service: its endpoints, TLS, health."""
    own = {
        address
        for listener in merger.gateway.listeners.values()
        if (address := socket_address(listener.address)) and address[1]
    }
    admin = merger.gateway.admin and socket_address(merger.gateway.admin.address)
    for name, service in merger.gateway.services.items():
        at: Location = ("services", name)
        plain = [url for url in service.urls if url.startswith("http://")]
        if plain and service.plaintext is None:
            merger.fault(
                (*at, "endpoints"),
                "plaintext_reason",
                f'{listed(plain)} is plain HTTP; use https, or say why it is fine: `plaintext: "same host"`',
            )
        if not plain and service.plaintext is not None:
            merger.fault(
                (*at, "plaintext"), "plaintext_unused", "every endpoint speaks TLS; remove `plaintext`", True
            )
        if plain and len(plain) < len(service.endpoints):
            merger.fault(
                (*at, "endpoints"),
                "endpoints_mixed",
                "some endpoints speak TLS and some do not; make them alike, or two services",
            )
        for part, code, message in service_http2.faults(service, service.urls):
            merger.fault((*at, *part), code, message, True)
        if service.tls is not None:
            if len(plain) == len(service.endpoints):
                merger.fault(
                    (*at, "tls"),
                    "key_unused",
                    "no endpoint speaks TLS, so `tls` has no effect; write `https://`, or remove it",
                    True,
                )
            if (service.tls.certificate is None) != (service.tls.key is None):
                merger.fault(
                    (*at, "tls"),
                    "certificate_half",
                    "`certificate` and `key` belong together; give both, or neither",
                    True,
                )
        _health(merger, at, service)
        for index, url in enumerate(service.urls):
            parts = urlsplit(url)
            target = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            if target in own or target == admin:
                merger.fault(
                    (*at, "endpoints", index),
                    "endpoint_loop",
                    f"`{url}` is this gateway's own address; requests would run in circles",
                )


def _health(merger: Merger, at: Location, service: Service) -> None:
    outlier, count = service.outlier_detection, len(service.endpoints)
    if service.dns is not None and not any(is_name(url) for url in service.urls):
        merger.fault(
            (*at, "dns"),
            "key_unused",
            "every endpoint is an address, so nothing is resolved; remove `dns`",
            True,
        )
    if outlier is not None and count * share(outlier.max_ejected) < 10_000:
        merger.fault(
            (*at, "outlier_detection"),
            "key_unused",
            f"`max_ejected: {outlier.max_ejected}` of {count} endpoints is none, so nothing is ever ejected; raise it, or remove `outlier_detection`",
            True,
        )
    if service.slow_start is None:
        return
    if service.health_check is None and outlier is None:
        merger.fault(
            (*at, "slow_start"),
            "key_unused",
            "without `health_check` or `outlier_detection` no endpoint ever comes back; add one, or remove `slow_start`",
            True,
        )
    if isinstance(service.balance, ConsistentHash):
        merger.fault(
            (*at, "slow_start"),
            "key_unused",
            "`consistent_hash` sends each key to its endpoint, however long that one is back; remove `slow_start`",
            True,
        )
