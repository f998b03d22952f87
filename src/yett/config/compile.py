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
    oidc_check,
    policy_tests,
    security_events,
    units,
)
from yett.config import state as state_part
from yett.config.acme import Ordered
from yett.config.authorization.check import without_tenant
from yett.config.authorization.shadow import not_enforced
from yett.config.base import Location
from yett.config.certificates import Certificate, chain_errors, inventory, utc_now
from yett.config.check import check_all
from yett.config.check_identity import check_identity, key_set_policy
from yett.config.collector import without_collector
from yett.config.filters import attack_filter, bot_filter, security_headers
from yett.config.filters.response_validation import only_reported
from yett.config.gateway import Gateway, LogFile
from yett.config.identity import Identity, ring, ring_errors
from yett.config.jwt_check import secret_errors
from yett.config.listener_document import listener_document
from yett.config.load import Loaded, read_path
from yett.config.merge import Merger, Policy
from yett.config.oauth_client import client_errors
from yett.config.places import Places
from yett.config.provider_document import provider_document
from yett.config.rates.shared import uncounted
from yett.config.resolve import Material, secret_name
from yett.config.route_document import route_document
from yett.config.service_document import service_document
from yett.config.spiffe import Waiting, Workloads
from yett.config.unlimited import not_asked
from yett.config.validation.check import Validations
from yett.config.weakened import weakened
from yett.errors import ConfigurationError

IR_VERSION = 1


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
        "listeners": [listener_document(name, item, gateway, material) for name, item in sorted(gateway.listeners.items())],
        "providers": [
            provider_document(name, item, material)
            for name, item in sorted(gateway.identity_providers.items())
        ],
        "services": [service_document(name, item, material) for name, item in sorted(gateway.services.items())],
        "routes": [route_document(policy, gateway, material, validations) for policy in policies],
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
