"""A configuration becomes the document that crosses to the data plane: canonical JSON, and its SHA-256, the revision."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from yett.config import (
    address_list,
    decision_log,
    dpop,
    endpoint,
    geo,
    jwt_document,
    oidc_check,
    policy_tests,
    resilience,
    security_events,
    service_http2,
    units,
)
from yett.config import state as state_part
from yett.config.acme import Ordered
from yett.config.authorization.check import without_tenant
from yett.config.authorization.shadow import not_enforced
from yett.config.base import Location, listed
from yett.config.certificates import Certificate, chain_errors, inventory, utc_now
from yett.config.check import check_all
from yett.config.check_identity import check_identity, key_set_policy
from yett.config.collector import without_collector
from yett.config.filters import attack_filter, bot_filter, security_headers
from yett.config.filters.response_validation import only_reported
from yett.config.gateway import Gateway, LogFile
from yett.config.identity import Identity, ring, ring_errors
from yett.config.jwt_check import secret_errors
from yett.config.listener import Http2, Listener, ListenerTls
from yett.config.listener_check import https_target
from yett.config.load import Loaded, read_path
from yett.config.merge import Merger, Policy
from yett.config.oauth_client import client_errors
from yett.config.places import Places
from yett.config.providers import Provider
from yett.config.providers.api_key import ApiKey
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.mtls import Mtls
from yett.config.providers.oidc import Oidc
from yett.config.providers.signed_request import SignedRequest
from yett.config.rates import quotas
from yett.config.rates.shadow import enforced, of_listener
from yett.config.rates.shared import uncounted
from yett.config.resolve import Material, secret_name
from yett.config.service import Service
from yett.config.spiffe import Waiting, Workloads, is_waiting
from yett.config.unlimited import not_asked
from yett.config.validation.check import Validations
from yett.errors import ConfigurationError

IR_VERSION = 1
_LISTENER_LIMITS: dict[str, Any] = {
    "connections": 10_000,
    "request_line": "8KiB",
    "header_bytes": "32KiB",
    "headers": 100,
}
_LISTENER_TIMES = {"handshake": "10s", "head": "10s", "body": "30s", "keep_alive": "60s"}


@dataclass(frozen=True)
class Compiled:
    """What `apply` takes, and what tools ask about."""

    ir: bytes
    """Canonical JSON: keys sorted, no blanks, UTF-8."""
    revision: str
    """SHA-256 of `ir`, hexadecimal."""
    secrets: dict[str, bytes]
    """Bytes of secrets by name. Never logged, never shown."""
    gateway: Gateway
    policies: tuple[Policy, ...]
    places: Places
    owners: dict[Location, str]
    watched: tuple[Path, ...]
    """Every file that was read."""
    weakened: tuple[str, ...]
    """What is weaker than it could be, for the start and for `yett check`."""
    certificates: tuple[Certificate, ...] = ()
    """Every certificate in use."""
    ordered: tuple[Ordered, ...] = ()
    """Certificates that are ordered from an authority."""
    tests: tuple[Path, ...] = ()
    """Files of policy tests."""
    sockets: frozenset[Path] = frozenset()
    """Of Workload APIs."""
    waiting: tuple[Waiting, ...] = ()
    """What they have not given yet."""
    document: dict[str, Any] = field(default_factory=dict, compare=False)
    """What `ir` says. To be read only."""

    def __repr__(self) -> str:
        return f"Compiled(revision={self.revision!r}, routes={len(self.policies)})"


@dataclass(frozen=True)
class Given:
    """What the command line says before the file."""

    admin: str | None = None
    """Address of the admin listener, checked; under the rule of `admin:` in the file."""
    zone: str | None = None


def compile_file(
    path: str | Path, workloads: Workloads | None = None, given: Given | None = None
) -> Compiled:
    """Loads, checks and compiles a file. Raises `ConfigurationError` with everything that is wrong.

    `workloads`: what Workload APIs gave; without it nobody is asked, and what they give is taken as still to come.
    """
    with without_collector():
        return compile_loaded(read_path(path, workloads), given=given)


def compile_loaded(loaded: Loaded, now: datetime | None = None, given: Given | None = None) -> Compiled:
    """Checks and compiles what was loaded. Raises `ConfigurationError`. Reads nothing but the clock, keeps nothing.

    `now` is the time at which chains of certificates have to be valid; the present where it is not given.
    """
    merger = Merger(loaded.gateway, loaded.places, loaded.dropped)
    validations = Validations(loaded.gateway, loaded.places, loaded.material)
    merger.schemas = validations.readable
    merger.key_tenants = {
        str(at[1])
        for at, file in loaded.material.keys_files.items()
        if any(key.tenant for key in file.keys.values())
    }
    policies = [
        policy
        for name, route in sorted(loaded.gateway.routes.items())
        if (policy := merger.merge(name, route))
    ]
    faults = ring_errors(loaded.gateway.identity, loaded.material.secrets, loaded.places)
    policies += [] if faults else key_set_policy(merger, loaded.material)
    check_all(merger, policies)
    check_identity(merger, policies)
    chains = chain_errors(loaded.material, loaded.places, now or utc_now())
    for policy in policies:
        validations.check(policy)
    faults += validations.errors
    faults += client_errors(loaded.gateway, loaded.material, loaded.places)
    faults += oidc_check.key_errors(loaded.gateway, loaded.material, loaded.places)
    faults += secret_errors(loaded.gateway.identity_providers, loaded.material, loaded.places)
    tests, missing = policy_tests.files(loaded.gateway, loaded.places)
    faults += missing
    if loaded.errors or merger.errors or chains or faults:
        raise ConfigurationError([*loaded.errors, *merger.errors, *chains, *faults])
    certificates = tuple(inventory(loaded.material))
    document = build(
        loaded.gateway, policies, loaded.material, loaded.path.parent, loaded.places, validations
    )
    if certificates:
        document["certificates"] = [_certificate(one) for one in certificates]
    if given is not None and given.admin is not None:
        document["admin"] = {"address": given.admin, "token": (document["admin"] or {}).get("token")}
    if given is not None and given.zone is not None:
        document["zone"] = given.zone
    ir = json.dumps(
        document,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        check_circular=False,
    ).encode()
    return Compiled(
        ir=ir, revision=hashlib.sha256(ir).hexdigest(), secrets=dict(loaded.material.secrets), gateway=loaded.gateway,
        policies=tuple(policies), places=loaded.places, owners=loaded.owners,
        watched=(*loaded.watched, *tests), tests=tests,
        weakened=(*weakened(loaded.gateway), *without_tenant(policies), *not_asked(policies), *uncounted(policy.rate_limits for policy in policies), *only_reported(policies), *attack_filter.only_reported(policies), *bot_filter.weakened(policies), *not_enforced(loaded.gateway)), certificates=certificates, ordered=tuple(loaded.material.ordered),
        sockets=frozenset(loaded.material.sockets), waiting=tuple(loaded.material.waiting), document=document,
    )  # fmt: skip


def build(
    gateway: Gateway,
    policies: list[Policy],
    material: Material,
    directory: Path,
    places: Places,
    validations: Validations,
) -> dict[str, Any]:
    """The document, as `crates/yett-core/src/ir.rs` reads it."""
    process = gateway.process
    shared = gateway.defaults.security_headers
    return {
        **({"security_headers": security_headers.merged([(shared, ())])[0]} if shared else {}),
        **({"zone": gateway.zone} if gateway.zone else {}),
        **({"challenges": True} if material.ordered else {}),
        **({"state": state_part.compiled(gateway.state, places, material)} if gateway.state else {}),
        **({"identity": _identity(gateway.identity, material)} if gateway.identity else {}),
        **({"dpop": dpop.compiled(gateway.dpop)} if gateway.dpop else {}),
        **({"security_events": security_events.compiled(gateway)} if gateway.security_events else {}),
        **decision_log.compiled(gateway, directory),
        **address_list.compiled(gateway.address_lists, directory),
        **({"geo": gateway.geo.compiled(directory)} if gateway.geo else {}),
        "version": IR_VERSION,
        "environment": gateway.environment,
        "process": {
            "buffered_bytes": units.size_bytes(process.buffered_bytes), "verdict_cache": process.verdict_cache,
            "limit_keys": process.limit_keys, "drain_ms": units.milliseconds(process.drain),
            **({"introspection_cache": process.introspection_cache} if process.introspection_cache != 10_000 else {}),
            **({"quota_keys": process.quota_keys} if process.quota_keys != 100_000 else {}),
            **({"login_keys": process.login_keys} if process.login_keys != 100_000 else {}),
            **({"revocations": process.revocations} if process.revocations != 100_000 else {}),
            **({"load_shedding_ms": units.milliseconds(process.load_shedding.delay)} if process.load_shedding else {}),
        },
        "admin": _admin(gateway),
        "access_log": {"file": str((directory / gateway.access_log.file).absolute())} if isinstance(gateway.access_log, LogFile) else gateway.access_log,
        "secrets": material.fingerprints,
        "listeners": [_listener(name, item, gateway, material) for name, item in sorted(gateway.listeners.items())],
        "providers": [
            _provider(name, item, material)
            for name, item in sorted(gateway.identity_providers.items())
        ],
        "services": [_service(name, item, material) for name, item in sorted(gateway.services.items())],
        "routes": [_route(policy, gateway, material, validations) for policy in policies],
    }  # fmt: skip


def _certificate(one: Certificate) -> dict[str, Any]:
    return {
        "use": one.use, "owner": one.owner, "subject": one.subject, "serial": one.serial,
        "not_after_s": int(one.not_after.timestamp()),
    }  # fmt: skip


def _identity(identity: Identity, material: Material) -> dict[str, Any]:
    return {
        "issuer": identity.issuer,
        "keys": [key.document() for key in ring(identity, material.secrets)],
    }


def _admin(gateway: Gateway) -> dict[str, Any] | None:
    admin = gateway.admin
    if admin is None:
        return None
    return {"address": admin.address, "token": secret_name(("admin", "token")) if admin.token else None}


def _listener(name: str, listener: Listener, gateway: Gateway, material: Material) -> dict[str, Any]:
    at: Location = ("listeners", name)
    own, shared = listener.limits, gateway.defaults.limits
    limits = {
        key: getattr(own, key) or getattr(shared, key) or value for key, value in _LISTENER_LIMITS.items()
    }
    handshakes = own.handshakes or shared.handshakes
    if handshakes:
        limits["handshakes"] = handshakes
    per_address = own.connections_per_address or shared.connections_per_address
    if per_address:
        limits["connections_per_address"] = per_address
    times = {
        key: getattr(listener.timeouts, key) or getattr(gateway.defaults.timeouts, key) or value
        for key, value in _LISTENER_TIMES.items()
    }
    tls = listener.tls and _listener_tls(listener.tls, (*at, "tls"), material)
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


def _listener_tls(tls: ListenerTls, at: Location, material: Material) -> dict[str, Any]:
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


def _provider(name: str, provider: Provider, material: Material) -> dict[str, Any]:
    if isinstance(provider, Jwt):
        return jwt_document.compiled(name, provider, material)
    if isinstance(provider, Mtls):
        return provider.compiled(name)
    if isinstance(provider, SignedRequest):
        return _signed_request(name, provider, material)
    if isinstance(provider, ClientAssertion):
        at = ("identity_providers", name, "clients")
        return provider.compiled(name, {one: material.texts[(*at, one, "jwks")] for one in provider.clients})
    if isinstance(provider, Introspection | Oidc):
        return provider.compiled(name, material)
    return _api_key(name, provider, material)


def _signed_request(name: str, provider: SignedRequest, material: Material) -> dict[str, Any]:
    keys: dict[str, dict[str, Any]] = {}
    for key_id, key in provider.keys.items():
        at: Location = ("identity_providers", name, "keys", key_id)
        if key.shared_secret:
            keys[key_id] = {"secret": secret_name((*at, "shared_secret"))}
        else:
            keys[key_id] = {"public_key": material.texts[(*at, "public_key")]}
    return provider.compiled(name, keys)


def _api_key(name: str, provider: ApiKey, material: Material) -> dict[str, Any]:
    at: Location = ("identity_providers", name)
    file = material.keys_files[(*at, "keys")]
    return {
        "type": "api_key",
        "name": name,
        "header": provider.header,
        "salt": file.salt,
        "pepper": secret_name((*at, "pepper")) if provider.pepper else None,
        "keys": [one for label, key in sorted(file.keys.items()) for one in key.compiled(label)],
    }


def _service(name: str, service: Service, material: Material) -> dict[str, Any]:
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


def _external(policy: Policy, material: Material) -> dict[str, Any]:
    if policy.external is None:
        return {}
    where, source, check = policy.external
    return {"external_authorization": check.compiled(source, material.texts.get((*where, "ca")))}


_WHERE_SAID = (
    "client_certificate", "tenants", "deny", "shadow", "hidden", "classification", "response_tenant", "live_check",
    "sender_constrained", "assurance", "address_filters", "geo_filters", "concurrency_limits", "quotas", "limit_classes",
    "shadow_limits", "security_headers", "websocket", "cors", "csrf", "bot_filter", "login_guard", "early_hints", "mirror",
    "attack_filter",
)  # fmt: skip
"""Fields of a policy that stand in the document as they are, and only where they say something."""


def _route(policy: Policy, gateway: Gateway, material: Material, validations: Validations) -> dict[str, Any]:
    access: Any = "public"
    if policy.access == "authenticated":
        access = {"authenticated": {"providers": list(policy.providers), "rules": policy.rules}}
        if policy.all_of:
            access["authenticated"]["all_of"] = True
    group = gateway.groups.get(policy.group or "")
    return {
        **({"unlisted": True} if group and group.sensitive and access != "public" else {}),
        "name": policy.name,
        "group": policy.group,
        "listeners": sorted(policy.listeners),
        "match": {
            "hosts": sorted(policy.hosts) if policy.hosts else None, "path": policy.path, "methods": sorted(policy.methods),
            "headers": policy.headers, "query": policy.query,
        },
        "path_allow": sorted(policy.path_allow),
        **_external(policy, material),
        **({"priority": policy.priority} if policy.priority != "normal" else {}),
        "access": access,
        "address_limits": policy.address_limits,
        "rate_limits": policy.rate_limits,
        "action": policy.action,
        "rewrite": {"path": policy.rewrite} if policy.rewrite else None,
        "request_headers": policy.request_headers,
        "response_headers": policy.response_headers,
        **validations.compiled(policy),
        "body_limit": policy.body_limit,
        "timeouts": policy.timeouts,
        **{key: said for key in _WHERE_SAID if (said := getattr(policy, key))},
    }  # fmt: skip


def weakened(gateway: Gateway) -> list[str]:
    """What is weaker than it could be, in sentences."""
    found = [
        f"listener `{name}` speaks plain HTTP: {item.plaintext}"
        for name, item in gateway.listeners.items()
        if item.plaintext
    ]
    found += [
        f"service `{name}` is reached over plain HTTP: {item.plaintext}"
        for name, item in gateway.services.items()
        if item.plaintext
    ]
    for name, provider in gateway.identity_providers.items():
        if isinstance(provider, Jwt | Introspection | Oidc) and provider.plaintext:
            found.append(f"identity provider `{name}` is reached over plain HTTP: {provider.plaintext}")
        if isinstance(provider, SignedRequest):
            found += provider.weakened(name)
    found += [
        f"tokens for service `{name}` are fetched over plain HTTP: {item.token.plaintext}"
        for name, item in gateway.services.items()
        if item.token and item.token.plaintext
    ]
    found += [
        f"service `{name}` sees the caller's credential"
        for name, item in gateway.services.items()
        if item.forward_credential
    ]
    found += state_part.weakened(gateway.state) if gateway.state else []
    found += address_list.weakened(gateway.address_lists)
    found += geo.weakened(gateway.geo)
    for name, item in gateway.services.items():
        assertion = item.identity_assertion
        if assertion and assertion.headers:
            found.append(f"service `{name}` gets {listed(assertion.headers)} without a signature")
        if assertion and assertion.reuse:
            found.append(f"an assertion for service `{name}` may be used again within {assertion.reuse}")
    for name, route in gateway.routes.items():
        for target in (route.service, *(route.split or ())) if route.access == "public" else ():
            service = gateway.services.get(target or "")
            if service and service.token:
                found.append(f"route `{name}` is public, and `{target}` gets a token of the gateway's own")
    for kind, items in (("group", gateway.groups), ("route", gateway.routes)):
        found += [
            f"the external check of {kind} `{name}` is reached over plain HTTP: {item.external_authorization.plaintext}"
            for name, item in items.items()
            if item.external_authorization and item.external_authorization.plaintext
        ]
    found += quotas.weakened(gateway)
    if gateway.access_log == "off":
        found.append("the access log is off")
    return found
