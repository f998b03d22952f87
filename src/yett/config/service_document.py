"""What the document says of a service."""

from __future__ import annotations

from typing import Any

from yett.config import (
    endpoint,
    resilience,
    service_http2,
    units,
)
from yett.config.base import Location
from yett.config.resolve import Material, secret_name
from yett.config.service import Service
from yett.config.spiffe import is_waiting


def service_document(name: str, service: Service, material: Material) -> dict[str, Any]:
    """The part of one service."""
    at: Location = ("services", name, "tls")
    tls = None
    if any(url.startswith("https://") for url in service.urls):
        own = service.tls
        here = (*at, "spiffe") if own and own.spiffe else at
        key = secret_name((*here, "key"))
        tls = {
            "ca": material.texts.get((*here, "ca")),
            "certificate": material.texts.get((*here, "certificate")),
            "key": key if key in material.secrets else None,
            "server_name": own.server_name if own else None,
            **({"waiting": True} if is_waiting(material, at) else {}),
            **({"san": [dict([name.split(":", 1)]) for name in own.san]} if own and own.san else {}),
        }
    return {
        "name": name,
        "endpoints": [endpoint.compiled(item) for item in service.endpoints],
        "tls": tls,
        "host": service.host if service.host in {"preserve", "endpoint"} else {"literal": service.host},
        "balance": endpoint.compiled_balance(service.balance),
        "forward_credential": service.forward_credential,
        **(
            {"identity_assertion": service.identity_assertion.compiled(name)}
            if service.identity_assertion
            else {}
        ),
        **({"token": service.token.compiled(("services", name, "token"), material)} if service.token else {}),
        "idle_connections": service.pool.idle,
        "idle_ms": units.milliseconds(service.pool.idle_timeout),
        **service_http2.compiled(service),
        **_health(service),
        **resilience.compiled(service.limits, service.circuit_breaker, service.retry),
    }


def _health(service: Service) -> dict[str, Any]:
    """Nothing where nothing is said."""
    document: dict[str, Any] = {}
    if service.dns is not None:
        document["dns"] = service.dns.compiled()
    if service.health_check is not None:
        document["health_check"] = service.health_check.compiled()
    if service.outlier_detection is not None:
        document["outlier_detection"] = service.outlier_detection.compiled()
    if service.slow_start is not None:
        document["slow_start_ms"] = units.milliseconds(service.slow_start)
    return document
