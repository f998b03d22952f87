"""What rules read: the configuration as the data plane sees it, groups applied, and where each part stands."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yett.config.authorization.shadow import tried
from yett.config.base import Location
from yett.config.compile import Compiled
from yett.config.gateway import PRODUCTION
from yett.config.merge import Policy
from yett.config.places import Source
from yett.config.providers import Provider
from yett.config.providers.api_key import ApiKey, KeysFile
from yett.config.reading import Unreadable, parse
from yett.config.route import Group, Route
from yett.config.shadow import Tried
from yett.config.types import is_loopback
from yett.policy.linter.rule import Hit, Severity

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BODIES = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Keys:
    """A keys file and its text."""

    file: KeysFile
    source: Source


class Context:
    """One configuration. Rules read it and change nothing."""

    def __init__(self, compiled: Compiled, now: datetime | None = None) -> None:
        self.compiled = compiled
        self.gateway = compiled.gateway
        self.places = compiled.places
        self.now = now or datetime.now(UTC)
        # the route of the gateway's own key set is nobody's to write
        self.policies = tuple(one for one in compiled.policies if one.name in compiled.gateway.routes)

    @property
    def production(self) -> bool:
        """Whether this is what customers use."""
        return self.gateway.environment == PRODUCTION

    @property
    def grave(self) -> Severity:
        """`error` in production, `warning` elsewhere."""
        return Severity.ERROR if self.production else Severity.WARNING

    # routes

    @cached_property
    def group_sizes(self) -> Mapping[str, int]:
        """Routes by group."""
        return Counter(policy.group for policy in self.policies if policy.group)

    def parts(self) -> Iterator[tuple[str, str, Group | Route]]:
        """Every group and route, as it is written, with the section and the name it stands under."""
        yield from (("groups", name, group) for name, group in self.gateway.groups.items())
        yield from (("routes", name, route) for name, route in self.gateway.routes.items())

    def route(self, policy: Policy) -> Route:
        """As it is written."""
        return self.gateway.routes[policy.name]

    def group(self, policy: Policy) -> Group | None:
        """As it is written."""
        return self.gateway.groups.get(policy.group or "")

    def hit(self, policy: Policy, message: str, *keys: str, severity: Severity | None = None) -> Hit:
        """A hit at a route: at the given key where the route has it, at the group's where that has it, else at the name."""
        for key in keys:
            if key in self.route(policy).model_fields_set:
                return Hit(("routes", policy.name, key), message, severity)
        group = self.group(policy)
        for key in keys:
            if group is not None and key in group.model_fields_set:
                return Hit(("groups", policy.group or "", key), message, severity)
        return Hit(("routes", policy.name), message, severity, group=policy.group)

    def services(self, policy: Policy) -> list[str]:
        """Names of the services that a route forwards to."""
        return [share["service"] for share in policy.action.get("forward", ())]

    @cached_property
    def tried(self) -> tuple[tuple[Location, str, Tried], ...]:
        """Every rule and limit in shadow: where it stands, its name as in logs, and what it says."""
        return tuple(tried(self.gateway))

    @cached_property
    def documents(self) -> dict[str, dict[str, Any]]:
        """Routes as the data plane gets them, by name."""
        return {one["name"]: one for one in self.compiled.document["routes"]}

    @cached_property
    def unopened(self) -> frozenset[str]:
        """Services that only TLS is passed on to: no request of theirs is ever seen."""
        passed = {
            host.service
            for listener in self.gateway.listeners.values()
            if listener.passthrough
            for host in listener.passthrough.hosts.values()
        }
        return frozenset(passed.difference(*map(self.services, self.policies)))

    def providers(self, policy: Policy) -> list[tuple[str, Provider]]:
        """The providers whose callers a route lets in."""
        known = self.gateway.identity_providers
        return [(name, known[name]) for name in policy.providers if name in known]

    def reached_from_elsewhere(self, policy: Policy) -> bool:
        """Whether one of its listeners can be reached from another machine."""
        return any(not is_loopback(self.gateway.listeners[name].address) for name in policy.listeners)

    def rank(self, policy: Policy) -> int:
        """Where its classification stands among them; 0 is the lowest, and what has none."""
        order = self.gateway.classifications
        return order.index(policy.classification) if policy.classification in order else 0

    def is_sensitive(self, policy: Policy) -> bool:
        """Whether its group is, or its data is above the lowest class."""
        group = self.group(policy)
        return (group is not None and group.sensitive is not None) or self.rank(policy) > 0

    # files

    @cached_property
    def keys(self) -> dict[str, Keys]:
        """The keys files by provider."""
        found: dict[str, Keys] = {}
        for name, provider in self.gateway.identity_providers.items():
            if isinstance(provider, ApiKey):
                path = self.places.base(("identity_providers", name)) / provider.keys
                try:
                    source = parse(path.read_bytes(), path, str(path))
                    found[name] = Keys(KeysFile.model_validate(source.value), source)
                except (OSError, ValueError, Unreadable):
                    continue  # it was good when it was compiled, and is checked again with the next one
        return found

    def sources(self) -> Iterator[Source]:
        """The files of the configuration; none for one written in Python."""
        seen: set[Path] = set()
        for source in (self.places.main, self.places.below, *self.places.parts.values()):
            if source is not None and source.path not in seen:
                seen.add(source.path)
                yield source


def remote(url: str) -> bool:
    """Whether an address is on another machine."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def section(at: Location) -> str:
    """`routes.orders`: what an exception names."""
    return ".".join(str(step) for step in at[:2])
