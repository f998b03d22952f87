"""What the document says of a listener."""

from __future__ import annotations

from typing import Any

from yett.config import units
from yett.config.base import Location
from yett.config.gateway import Gateway
from yett.config.listener import Http2, Listener, ListenerTls
from yett.config.listener_check import https_target
from yett.config.rates.shadow import enforced, of_listener
from yett.config.resolve import Material, secret_name
from yett.config.spiffe import is_waiting

_LIMITS: dict[str, Any] = {
    "connections": 10_000,
    "request_line": "8KiB",
    "header_bytes": "32KiB",
    "headers": 100,
}
_TIMES = {"handshake": "10s", "head": "10s", "body": "30s", "keep_alive": "60s"}


def listener_document(name: str, listener: Listener, gateway: Gateway, material: Material) -> dict[str, Any]:
    """The part of one listener."""
    at: Location = ("listeners", name)
    own, shared = listener.limits, gateway.defaults.limits
    limits = {key: getattr(own, key) or getattr(shared, key) or value for key, value in _LIMITS.items()}
    handshakes = own.handshakes or shared.handshakes
    if handshakes:
        limits["handshakes"] = handshakes
    per_address = own.connections_per_address or shared.connections_per_address
    if per_address:
        limits["connections_per_address"] = per_address
    times = {
        key: getattr(listener.timeouts, key) or getattr(gateway.defaults.timeouts, key) or value
        for key, value in _TIMES.items()
    }
    tls = listener.tls and _tls(listener.tls, (*at, "tls"), material)
    proxies = listener.trusted_proxies
    announced = listener.proxy_protocol
    return {
        "name": name,
        "address": listener.address,
        **({"proxy_protocol": {"addresses": list(announced.addresses)}} if announced else {}),
        "tls": tls,
        "trusted_proxies": proxies and {"addresses": list(proxies.addresses), "header": proxies.header},
        **(
            {"address_filters": [listener.address_filter.compiled(f"listener {name}")]}
            if listener.address_filter
            else {}
        ),
        **(
            {"geo_filters": [listener.geo_filter.compiled(f"listener {name}")]} if listener.geo_filter else {}
        ),
        "address_limits": [
            limit.compiled(label, f"listener:{name}")
            for label, limit in enforced(listener.address_limit).items()
        ],
        **of_listener(name, listener.address_limit),
        "limits": {
            key: units.size_bytes(value) if isinstance(value, str) else value for key, value in limits.items()
        },
        "timeouts": {f"{key}_ms": units.milliseconds(value) for key, value in times.items()},
        **_http2(listener),
        **_redirect(listener, gateway),
        **_passthrough(listener),
    }


def _passthrough(listener: Listener) -> dict[str, Any]:
    found = listener.passthrough
    if found is None:
        return {}
    return {
        "passthrough": {
            "hosts": {host: target.service for host, target in found.hosts.items()},
            **({"allow": list(found.allow)} if found.allow else {}),
            **({"deny": list(found.deny)} if found.deny else {}),
            "connect_ms": units.milliseconds(found.connect),
            "idle_ms": units.milliseconds(found.idle),
        }
    }


def _redirect(listener: Listener, gateway: Gateway) -> dict[str, Any]:
    found = listener.https_redirect and https_target(gateway.listeners, listener.https_redirect)
    return {"redirect": {"listener": found[0], "port": found[1]}} if isinstance(found, tuple) else {}


def _http2(listener: Listener) -> dict[str, Any]:
    """Nothing where nothing is said: Rust has the same defaults."""
    if listener.http2 is None or listener.http2 is True:
        return {}
    http2 = listener.http2 or Http2()
    return {
        "http2": {
            "enabled": listener.http2 is not False,
            "prior_knowledge": http2.prior_knowledge,
            "max_concurrent_streams": http2.max_concurrent_streams,
        }
    }


def _tls(tls: ListenerTls, at: Location, material: Material) -> dict[str, Any]:
    profile, _, guideline = tls.profile.partition("-")
    document: dict[str, Any] = {
        "profile": profile,
        "certificates": [
            {
                "chain": material.texts[(*at, "certificates", index, "chain")],
                "key": secret_name((*at, "certificates", index, "key")),
            }
            for index in range(len(tls.certificates))
        ],
    }
    if tls.acme:
        if (*at, "acme", "chain") in material.texts:
            pair = {"chain": material.texts[(*at, "acme", "chain")], "key": secret_name((*at, "acme", "key"))}
            document["certificates"].append(pair)
        pending = [name for one in material.ordered if one.listener == at[1] for name in one.pending]
        if pending:
            document["pending"] = pending
    if (*at, "spiffe", "chain") in material.texts:
        pair = {"chain": material.texts[(*at, "spiffe", "chain")], "key": secret_name((*at, "spiffe", "key"))}
        document["certificates"].append(pair)
    if is_waiting(material, at):
        document["waiting"] = True
    if guideline:
        document["guideline"] = guideline
    if tls.client_certificates:
        here = (*at, "client_certificates")
        document["client_certificates"] = {
            "mode": tls.client_certificates.mode,
            "ca": material.texts.get((*here, "ca")) or material.texts.get((*here, "spiffe", "ca"), ""),
            "crls": [
                material.texts[(*here, "crl", index)] for index in range(len(tls.client_certificates.crl))
            ],
        }
    return document
