"""A whole configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from yett.config.address_list import AddressList
from yett.config.authorization.roles import Role
from yett.config.base import Model, refuse
from yett.config.decision_log import DecisionLog
from yett.config.dpop import Dpop
from yett.config.filters.security_headers import SecurityHeaders
from yett.config.geo import Geo
from yett.config.identity import Identity
from yett.config.lint import Lint
from yett.config.listener import Listener, ListenerLimits, ListenerTimeouts
from yett.config.providers import Provider
from yett.config.route import Group, Route, RouteLimits, RouteTimeouts
from yett.config.security_events import SecurityEvents
from yett.config.service import Service
from yett.config.state import State
from yett.config.types import Address, Items, Name, Secret, Text
from yett.config.units import Duration, Size, milliseconds


def _noticeable(value: str) -> str:
    if milliseconds(value) < 5:
        raise refuse("delay_too_short", f"`{value}` is no overload; write 5ms or more, such as `50ms`")
    return value


class LoadShedding(Model):
    """What is refused when the gateway itself has more to do than it can; by `priority` of routes."""

    delay: Annotated[Duration, AfterValidator(_noticeable)] = "50ms"
    """How long what is ready may wait for its turn; at least 5ms."""


class Process(Model):
    """Bounds of the whole process."""

    buffered_bytes: Size = "256MiB"
    """Bytes of bodies and heads held in memory at once."""
    verdict_cache: Annotated[int, Field(ge=0, le=100_000_000)] = 10_000
    """Verified tokens that are remembered."""
    introspection_cache: Annotated[int, Field(ge=0, le=10_000_000)] = 10_000
    """Answers about active tokens that are remembered, and as many about others."""
    limit_keys: Annotated[int, Field(ge=1, le=100_000_000)] = 100_000
    """Keys of all limits together."""
    quota_keys: Annotated[int, Field(ge=1, le=100_000_000)] = 100_000
    """Keys of all quotas together."""
    login_keys: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000
    """Addresses, accounts and the like that guarded logins count, and as many pairs that got in."""
    revocations: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Revocations that are held at once; when it is full, another one is refused."""
    drain: Duration = "30s"
    """How long a stop waits for open requests."""
    load_shedding: LoadShedding | None = None
    """When to refuse what matters less; never without this."""


PRODUCTION = "production"
"""The environment of which the linter asks most."""


class Admin(Model):
    """The admin listener: `/healthz`, `/readyz`, `/metrics`."""

    address: Address
    """A loopback address; any other needs `token`."""
    token: Secret | None = None
    """A bearer token of at least 16 bytes."""


class LogFile(Model):
    """A file that lines are appended to."""

    file: Text
    """Relative to the configuration file."""


def _access_log(value: Any) -> Any:
    if isinstance(value, str) and value not in {"stdout", "off"}:
        raise refuse("access_log_invalid", f"write `stdout`, `off`, or `{{file: {value}}}`")
    return value


class DefaultLimits(RouteLimits, ListenerLimits):
    """Sizes and counts of all routes and listeners."""


class DefaultTimeouts(RouteTimeouts, ListenerTimeouts):
    """Time limits of all routes and listeners."""


class Ceiling(Model):
    """What no group and no route may exceed."""

    limits: RouteLimits = RouteLimits.unsaid()
    """Sizes."""
    timeouts: RouteTimeouts = RouteTimeouts.unsaid()
    """Time limits."""


class Defaults(Model):
    """What holds where nothing nearer is said."""

    limits: DefaultLimits = DefaultLimits.unsaid()
    """Sizes and counts."""
    timeouts: DefaultTimeouts = DefaultTimeouts.unsaid()
    """Time limits."""
    security_headers: SecurityHeaders | None = None
    """What browsers are told in every answer, those that belong to no route included; groups and routes may tighten it."""
    ceiling: Ceiling = Ceiling.unsaid()
    """What no group and no route may exceed."""


class Gateway(Model):
    """A whole configuration."""

    version: Literal[1] = 1
    """The version of this format."""
    environment: Name | None = None
    """Which deployment this is, such as `production`."""
    base: Text | None = None
    """The file that this one is an overlay of: what it says here is different in this environment. Relative to this file."""
    owner: Text | None = None
    """Who answers for this file."""
    include: Items = ()
    """Further files with groups, routes, services and identity providers; `*` is understood."""
    tests: Items = ()
    """Policy tests, which a start and a reload run before the configuration serves; relative to this file, `*` is
    understood."""
    zone: Name | None = None
    """Where this gateway stands; of a service's endpoints those of the same zone are preferred. `--zone` goes before it."""
    process: Process = Process.unsaid()
    """Bounds of the whole process."""
    lint: Lint = Lint.unsaid()
    """What `yett lint` is told not to report."""
    admin: Admin | None = None
    """The admin listener."""
    access_log: Annotated[Literal["stdout", "off"] | LogFile, BeforeValidator(_access_log)] = "stdout"
    """Where access log lines go."""
    decision_log: DecisionLog | None = None
    """Where decisions are recorded, for `yett replay`; nowhere without this."""
    state: State | None = None
    """Where state is kept that outlives the process."""
    dpop: Dpop | None = None
    """How proofs of sender-constrained tokens are checked."""
    defaults: Defaults = Defaults.unsaid()
    """What holds where nothing nearer is said."""
    listeners: dict[Name, Listener]
    """Sockets that clients reach."""
    identity_providers: dict[Name, Provider] = Field(default_factory=dict)
    """What vouches for callers."""
    identity: Identity | None = None
    """What assertions of identity are signed with, for services with `identity_assertion`."""
    security_events: dict[Name, SecurityEvents] = Field(default_factory=dict)
    """Where identity providers push what they know of sessions and accounts."""
    services: dict[Name, Service] = Field(default_factory=dict)
    """What requests are forwarded to."""
    roles: dict[Text, Role] = Field(default_factory=dict)
    """Roles, what each may do, and which others it includes."""
    classifications: Items = ()
    """How sensitive data can be, the lowest first, such as `[public, internal, confidential]`."""
    address_lists: dict[Name, AddressList] = Field(default_factory=dict)
    """Lists of addresses, which `address_filter` names."""
    geo: Geo | None = None
    """Databases that say where addresses are, which `geo_filter` and conditions ask."""
    groups: dict[Name, Group] = Field(default_factory=dict)
    """What several routes share."""
    routes: dict[Name, Route]
    """Which requests are served; everything else is 404."""


class Part(Model):
    """An included file."""

    version: Literal[1] = 1
    """The version of this format."""
    owner: Text | None = None
    """Who answers for this file."""
    identity_providers: dict[Name, Provider] = Field(default_factory=dict)
    """What vouches for callers."""
    services: dict[Name, Service] = Field(default_factory=dict)
    """What requests are forwarded to."""
    groups: dict[Name, Group] = Field(default_factory=dict)
    """What several routes share."""
    routes: dict[Name, Route] = Field(default_factory=dict)
    """Which requests are served."""
