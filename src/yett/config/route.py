"""A route and a group of routes: which requests, who may, how much, where to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config.authorization.tenant import ResponseTenant, TenantPlace
from yett.config.base import Model, nearest, refuse
from yett.config.filters.address_filter import AddressFilter
from yett.config.filters.address_limit import AddressLimits
from yett.config.filters.assurance import Assurance
from yett.config.filters.attack_filter import AttackFilter
from yett.config.filters.authorize import Access, Denials, Rules
from yett.config.filters.bot_filter import BotFilter
from yett.config.filters.concurrency_limit import ConcurrencyLimits
from yett.config.filters.cors import Cors
from yett.config.filters.csrf import Csrf
from yett.config.filters.external_authorization import ExternalAuthorization
from yett.config.filters.geo_filter import GeoFilter
from yett.config.filters.login_guard import LoginGuard
from yett.config.filters.mirror import Mirror
from yett.config.filters.quota import Quotas
from yett.config.filters.rate_limit import RateLimits
from yett.config.filters.redirect import Redirect
from yett.config.filters.request_headers import RequestHeaders
from yett.config.filters.request_validation import RequestValidation
from yett.config.filters.respond import Respond
from yett.config.filters.response_headers import ResponseHeaders
from yett.config.filters.response_validation import ResponseValidation
from yett.config.filters.rewrite import Rewrite
from yett.config.filters.security_headers import SecurityHeaders
from yett.config.filters.split import Split
from yett.config.filters.websocket import WebSocket
from yett.config.live_check import LiveCheck
from yett.config.match import Hosts, Match, Methods
from yett.config.types import Name, OneOrAny, Quantified, SenderConstrained, Text
from yett.config.units import AnyDuration, Duration, Size

PATH_EXCEPTIONS = ("encoded_slash", "semicolon", "empty_segment")


def _allow(value: Any) -> Any:
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse(
            "path_exception_unknown",
            "write one or more of " + ", ".join(f"`{name}`" for name in PATH_EXCEPTIONS),
        )
    for index, name in enumerate(items):
        if name not in PATH_EXCEPTIONS:
            hint = nearest(str(name), PATH_EXCEPTIONS) or "; write one or more of " + ", ".join(
                f"`{known}`" for known in PATH_EXCEPTIONS
            )
            raise refuse(
                "path_exception_unknown",
                f"`{name}` is not an exception{hint}",
                () if isinstance(value, str) else (index,),
            )
    return tuple(items)


Priority = Literal["low", "normal", "high", "critical"]


class PathRules(Model):
    """Exceptions to canonical paths."""

    allow: Annotated[
        tuple[str, ...],
        BeforeValidator(_allow),
        WithJsonSchema({"type": "array", "items": {"enum": list(PATH_EXCEPTIONS)}}),
    ]
    """`encoded_slash`, `semicolon`, `empty_segment`."""


class RouteLimits(Model):
    """Sizes; the nearest wins."""

    body: Size | None = None
    """Bytes of a request's body; beyond it 413 (1MiB)."""


class RouteTimeouts(Model):
    """Time limits; the nearest wins."""

    connect: Duration | None = None
    """To connect, TLS included; per endpoint tried (2s)."""
    first_byte: Duration | None = None
    """From the request sent to the first byte of the answer (15s)."""
    idle: Duration | None = None
    """Longest pause inside the answer (60s)."""
    total: AnyDuration | None = None
    """For everything; `0s` is none (none)."""


class Policies(Model):
    """What stands in a group as well as in a route: both apply, or one place has it."""

    client_certificate: Literal["required"] | None = None
    """`required`: the connection has to carry a verified client certificate, beside what else decides."""
    sender_constrained: SenderConstrained | None = None
    """What tokens have to be bound to: `dpop`, `mtls` or `any` of both."""
    authenticate: Quantified | None = None
    """Accepted identity providers: one, `any_of` several, or `all_of` them together."""
    live_check: LiveCheck | None = None
    """Has the issuer confirm that the caller's token is still good, or the store that the session is."""
    assurance: Assurance | None = None
    """How surely, and how lately, a person has to have logged in."""
    authorize: Rules = ()
    """A rule that every request has to pass, or a list of them."""
    external_authorization: ExternalAuthorization | None = None
    """A service that is asked whether a request may pass."""
    deny: Denials = Field(default_factory=dict)
    """Rules that refuse where they hold, by name; they win."""
    tenant: TenantPlace | None = None
    """Where a request names its tenant, which has to be the caller's; or `{none: "reason"}`."""
    response_tenant: ResponseTenant | None = None
    """Where an answer names its tenant; another one than the caller's is refused."""
    classification: Text | None = None
    """How sensitive the data is: one of `classifications:`."""
    hidden: bool = False
    """Whether a refused caller sees the 404 of a path that nobody serves."""
    address_filter: AddressFilter | None = None
    """Who may come in by address; the group's and the route's both apply."""
    geo_filter: GeoFilter | None = None
    """Who may come in by place; the group's and the route's both apply."""
    address_limit: AddressLimits = Field(default_factory=dict)
    """Limits by client address."""
    bot_filter: BotFilter | None = None
    """Programs that pretend to be browsers or crawlers."""
    concurrency_limit: ConcurrencyLimits = Field(default_factory=dict)
    """Requests at once, by caller."""
    rate_limit: RateLimits = Field(default_factory=dict)
    """Limits by caller, of a group one bucket per caller over all its routes; or `{none: "reason"}`."""
    quota: Quotas = Field(default_factory=dict)
    """So much in each hour, day, week or month, by caller."""
    request_validation: RequestValidation | None = None
    """What requests have to be."""
    attack_filter: AttackFilter | None = None
    """Attacks that are looked for in requests."""
    rewrite: Rewrite | None = None
    """Another path for the service."""
    request_headers: RequestHeaders | None = None
    """Changes of request headers."""
    response_validation: ResponseValidation | None = None
    """What answers have to be."""
    response_headers: ResponseHeaders | None = None
    """Changes of response headers."""
    security_headers: SecurityHeaders | None = None
    """What browsers are told."""
    websocket: WebSocket | None = None
    """WebSocket connections, and nothing else."""
    cors: Cors | None = None
    """What pages of other origins may do."""
    csrf: Csrf | None = None
    """From whose pages requests that may change something may come."""
    priority: Priority | None = None
    """How much it matters when the gateway has too much to do (`process.load_shedding`); `normal` otherwise."""
    early_hints: bool | None = None
    """Whether early hints (103) of the service are passed on: `Link` fields only; the nearest wins (no)."""
    service: Name | None = None
    """Where requests go."""
    split: Split | None = None
    """Shares for other services."""
    mirror: Mirror | None = None
    """Copies for a second service, whose answers are dropped."""
    limits: RouteLimits = RouteLimits.unsaid()
    """Sizes."""
    timeouts: RouteTimeouts = RouteTimeouts.unsaid()
    """Time limits."""


class Group(Policies):
    """What several routes share. A route may tighten it, never loosen it."""

    sensitive: Text | None = None
    """A label. It obliges every route: roles or callers, a scope, more than a key, a limit, named listeners."""
    listeners: OneOrAny | None = None
    """The listeners on which the routes exist."""
    hosts: Hosts | None = None
    """Host names of routes that name none."""
    methods: Methods | None = None
    """The most that routes may take."""
    multi_tenant: bool = False
    """Whether every route has to name the request's tenant."""
    access: Literal["authenticated"] | None = None
    """Any verified caller."""


class Route(Policies):
    """Which requests, who may, how much, where to."""

    match: Match
    """Which requests it takes."""
    group: Name | None = None
    """The group that it belongs to."""
    listeners: OneOrAny | None = None
    """The listeners on which it exists."""
    path: PathRules | None = None
    """Exceptions to canonical paths."""
    access: Access | None = None
    """`public` or `authenticated`; or `authorize` instead."""
    redirect: Redirect | None = None
    """An answer in place of a service."""
    respond: Respond | None = None
    """An answer in place of a service."""
    login_guard: LoginGuard | None = None
    """Guesses at logins, sign-ups and the like: slowed, refused and banned by what failed before."""
