"""A group and a route become one policy: everything tightens, nothing loosens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from yett.config import cors_check, dpop, live_check, template, units
from yett.config.authenticate import Accepted, accepted, meet
from yett.config.authorization.compiled import Authorization
from yett.config.authorization.roles import RoleTable
from yett.config.base import Location, listed, nearest
from yett.config.filters import assurance, security_headers
from yett.config.filters.external_authorization import ExternalAuthorization
from yett.config.filters.request_validation import RequestValidation
from yett.config.filters.response_validation import ResponseValidation
from yett.config.filters.split import weights
from yett.config.gateway import Gateway
from yett.config.jwt_document import preset_of
from yett.config.places import Places
from yett.config.providers import Provider
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.jwt import Jwt
from yett.config.providers.mtls import Mtls
from yett.config.providers.signed_request import SignedRequest
from yett.config.rates.merge import Limits
from yett.config.route import Group, Route
from yett.config.types import SenderConstrained
from yett.errors import ConfigError

_NO_GROUP = Group.unsaid()
RESERVED_CLAIMS = frozenset({"scopes", "roles", "tenant", "client", "partner", "kind"})
"""Claims with a meaning of their own."""
_TIMES = ("connect", "first_byte", "idle", "total")
_BUILT_IN = {"connect": "2s", "first_byte": "15s", "idle": "60s", "total": "0s", "body": "1MiB"}
_IN_ONE_PLACE = (
    "rewrite",
    "request_headers",
    "response_headers",
    "websocket",
    "cors",
    "csrf",
    "mirror",
    "external_authorization",
    "request_validation",
    "response_validation",
    "attack_filter",
    "bot_filter",
)
"""What stands in a group or in its route, never in both."""


@dataclass(slots=True)
class Policy:
    """A merged route."""

    name: str
    group: str | None
    listeners: tuple[str, ...]
    hosts: tuple[str, ...] | None
    path: str
    methods: tuple[str, ...]
    headers: dict[str, str]
    query: dict[str, str]
    path_allow: tuple[str, ...]
    access: Literal["public", "authenticated"]
    providers: tuple[str, ...] = ()
    all_of: bool = False
    rules: list[dict[str, Any]] = field(default_factory=list)
    deny: list[dict[str, Any]] = field(default_factory=list)
    shadow: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rules that are tried out, as `rules` and `deny`; nothing that enforces reads them."""
    tenants: list[dict[str, Any]] = field(default_factory=list)
    tenant_reason: str | None = None
    """Why requests name no tenant."""
    response_tenant: str | None = None
    external: tuple[Location, str, ExternalAuthorization] | None = None
    """Where the check stands, whose it is, and the check."""
    classification: str | None = None
    hidden: bool = False
    address_filters: list[dict[str, Any]] = field(default_factory=list)
    geo_filters: list[dict[str, Any]] = field(default_factory=list)
    address_limits: list[dict[str, Any]] = field(default_factory=list)
    rate_limits: list[dict[str, Any]] = field(default_factory=list)
    concurrency_limits: list[dict[str, Any]] = field(default_factory=list)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    shadow_limits: list[dict[str, Any]] = field(default_factory=list)
    """Limits that are tried out; nothing that enforces reads them."""
    limit_classes: list[dict[str, Any]] = field(default_factory=list)
    """Rules that say who is in a class of callers."""
    unvalidated: str | None = None
    """Why nothing is asked of requests."""
    unlimited: str | None = None
    """Why callers are not limited."""
    action: dict[str, Any] = field(default_factory=dict)
    rewrite: str | None = None
    request_headers: dict[str, Any] = field(default_factory=dict)
    response_headers: dict[str, Any] = field(default_factory=dict)
    security_headers: dict[str, Any] | None = None
    websocket: dict[str, Any] | None = None
    cors: dict[str, Any] | None = None
    csrf: dict[str, Any] | None = None
    login_guard: dict[str, Any] | None = None
    bot_filter: dict[str, Any] | None = None
    early_hints: bool = False
    mirror: dict[str, Any] | None = None
    request_validation: tuple[Location, RequestValidation] | None = None
    """Where it stands, and what it says."""
    response_validation: tuple[Location, ResponseValidation] | None = None
    """The same for answers."""
    attack_filter: dict[str, Any] | None = None
    body_limit: int = 0
    timeouts: dict[str, int] = field(default_factory=dict)
    live_check: dict[str, Any] | None = None
    client_certificate: bool = False
    sender_constrained: SenderConstrained | None = None
    priority: str = "normal"
    assurance: dict[str, Any] | None = None

    @property
    def callers_of(self) -> tuple[str, ...]:
        """The providers whose callers the rules are about: where all have to vouch, the first."""
        return self.providers[:1] if self.all_of else self.providers


class Merger:
    """Merges the routes of one configuration and collects what does not fit."""

    def __init__(self, gateway: Gateway, places: Places, dropped: frozenset[Location] = frozenset()) -> None:
        self.gateway, self.places = gateway, places
        self.dropped = dropped
        self.errors: list[ConfigError] = []
        self._defaults = {key: getattr(gateway.defaults.timeouts, key) or _BUILT_IN[key] for key in _TIMES}
        self._body = gateway.defaults.limits.body or _BUILT_IN["body"]
        ceiling = gateway.defaults.ceiling.timeouts
        self._able = tuple(name for name, one in gateway.listeners.items() if one.takes_routes)
        self._ceilings = {key: bound for key in _TIMES if (bound := getattr(ceiling, key))}
        self.roles = RoleTable(gateway.roles)
        self.schemas: dict[Location, Any] = {}
        """Schemas of bodies, by the `request_validation` that asks for them."""
        self.key_tenants: set[str] = set()
        """Providers of which a key belongs to a tenant."""

    def claims(self, provider: str) -> dict[str, Any]:
        """What a provider maps from its tokens; nothing for keys."""
        found = self.gateway.identity_providers.get(provider)
        return dict(getattr(found, "claims", {}))

    def maps_tenant(self, provider: str) -> bool:
        """Whether callers of this provider belong to tenants."""
        found = self.gateway.identity_providers.get(provider)
        several = isinstance(found, Jwt) and bool(found.tenants)
        keys = provider in self.key_tenants or _machine_tenants(found)
        return several or keys or "tenant" in self.claims(provider)

    def names_tenant(self, provider: str) -> bool:
        """Whether tokens of this provider say to which tenant their caller belongs."""
        found = self.gateway.identity_providers.get(provider)
        preset = isinstance(found, Jwt) and preset_of(found).tenant is not None
        return preset or "tenant" in self.claims(provider) or _machine_tenants(found)

    def claim_types(self, provider: str) -> dict[str, str]:
        """The claims that a provider declares for rules, with their types."""
        return {
            name: claim.type for name, claim in self.claims(provider).items() if name not in RESERVED_CLAIMS
        }

    def fault(self, location: Location, code: str, message: str, key: bool = False) -> None:
        """Notes an error."""
        self.errors.append(self.places.error(location, code, message, key))

    def unknown(self, location: Location, kind: str, name: str, known: dict[str, Any]) -> None:
        """Notes a reference to something that is not there."""
        section = {"listener": "listeners", "identity provider": "identity_providers"}.get(kind, f"{kind}s")
        if (section, name) in self.dropped or (section, "*") in self.dropped:
            return
        hint = nearest(name, known) or (
            f"; known here: {listed(sorted(known))}"
            if known
            else f"; no {kind} is defined, write it under `{section.replace(' ', '_')}`"
        )
        self.fault(location, f"{kind.rsplit(maxsplit=1)[-1]}_unknown", f"there is no {kind} `{name}`{hint}")

    def merge(self, name: str, route: Route) -> Policy | None:
        """The policy of a route; nothing where its parts contradict each other."""
        before = len(self.errors)
        at: Location = ("routes", name)
        if ("groups", route.group) in self.dropped:
            return None
        group = self._group(route, at)
        origins = [(group, ("groups", route.group), f"group {route.group}")] if group else []
        parts: list[tuple[Group | Route, Location, str]] = [*origins, (route, at, f"route {name}")]  # type: ignore[list-item]
        here = group or _NO_GROUP
        policy = Policy(
            name=name, group=route.group, listeners=self._listeners(route, here, at), hosts=self._hosts(route, here, at),
            path=route.match.path, methods=self._methods(route, here, at), headers=route.match.headers, query=route.match.query,
            path_allow=route.path.allow if route.path else (), access="public",
        )  # fmt: skip
        self._access(policy, route, group, at)
        for part, where, source in parts:
            _take(policy, part, where, source)
        Authorization(self, policy, at, parts).run()
        policy.live_check = live_check.merged([part.live_check for part, _, _ in parts])
        policy.priority = route.priority or here.priority or "normal"
        self._binding(policy, parts, at)
        self._assurance(policy, parts)
        Limits(self, policy, at, parts).run()
        self._action(policy, route, here, at)
        self._edits(policy, route, here, at)
        self._websocket(policy, route, here, at)
        cors_check.merge(self, policy, route, here, at)
        cors_check.merge_csrf(self, policy, route, here, at)
        self._login_guard(policy, route, at)
        hints = here.early_hints if route.early_hints is None else route.early_hints
        policy.early_hints = hints is True
        self._mirror(policy, route, here, at)
        self._security(policy, parts)
        self._bounds(policy, parts)
        self._variables(policy, route, at)
        return policy if len(self.errors) == before else None

    def _group(self, route: Route, at: Location) -> Group | None:
        if route.group is None:
            return None
        group = self.gateway.groups.get(route.group)
        if group is None:
            self.unknown((*at, "group"), "group", route.group, self.gateway.groups)
        return group

    def _listeners(self, route: Route, group: Group, at: Location) -> tuple[str, ...]:
        known = self.gateway.listeners
        for item, where in ((route, at), (group, ("groups", route.group or ""))):
            for index, listener in enumerate(item.listeners or ()):
                if listener not in known and item is route:
                    self.unknown((*where, "listeners", "any_of", index), "listener", listener, known)
                if listener in known and not known[listener].takes_routes:
                    self.fault(
                        (*where, "listeners", "any_of", index),
                        "listener_without_routes",
                        f"`{listener}` takes no routes ({known[listener].kind}); name another listener",
                    )
        if route.listeners and group.listeners:
            both = tuple(item for item in route.listeners if item in group.listeners)
            if not both:
                self.fault(
                    (*at, "listeners"),
                    "listeners_disjoint",
                    f"the group is on {listed(group.listeners)} only; name one of those, or leave `listeners` out",
                )
            return both
        chosen = route.listeners or group.listeners
        if chosen:
            return chosen
        able = self._able
        if len(able) > 1:
            self.fault(
                at,
                "listeners_missing",
                f"there are several listeners; say on which this route exists: `listeners:` with {listed(able)}",
                True,
            )
        if known and not able:
            self.fault(at, "listener_without_routes", "no listener takes routes; add one with `tls`", True)
        return able

    def _hosts(self, route: Route, group: Group, at: Location) -> tuple[str, ...] | None:
        own, shared = route.match.hosts, group.hosts
        if own is None and shared is None:
            self.fault(
                (*at, "match"),
                "hosts_missing",
                "no `hosts` here or in a group; name them, or write `hosts: any`",
                True,
            )
        if own is None or shared is None or shared == "any":
            chosen = shared if own is None else own
            return None if chosen in {None, "any"} else tuple(chosen or ())
        if own == "any":
            self.fault(
                (*at, "match", "hosts"),
                "hosts_widened",
                f"the group is for {listed(shared)} only; leave `hosts` out, or name some of those",
            )
            return shared
        outside = [host for host in own if not any(covers(wide, host) for wide in shared)]
        if outside:
            self.fault(
                (*at, "match", "hosts"),
                "hosts_widened",
                f"{listed(outside)} is not among the group's hosts, {listed(shared)}",
            )
        return own

    def _methods(self, route: Route, group: Group, at: Location) -> tuple[str, ...]:
        own = route.match.methods
        if group.methods is None:
            return own
        allowed = {*group.methods, *(("HEAD",) if "GET" in group.methods else ())}
        both = tuple(method for method in own if method in allowed)
        if not both:
            self.fault(
                (*at, "match", "methods"),
                "methods_disjoint",
                f"the group lets through {listed(group.methods)} only, so this route would take nothing",
            )
        return both

    def _access(
        self,
        policy: Policy,
        route: Route,
        group: Group | None,
        at: Location,
    ) -> None:
        here = group or _NO_GROUP
        if route.access == "public":
            self._public(route, group, at)
            return
        policy.access = "authenticated"
        own, shared = (any(rule.enforced for rule in part.authorize) for part in (route, here))
        if route.access and own:
            self.fault(
                (*at, "access"), "access_twice", "`access` and `authorize` both decide; keep one", True
            )
        if route.access and shared:
            self.fault(
                (*at, "access"),
                "access_loosened",
                f"the group `{route.group}` already decides with `authorize`; remove `access`",
                True,
            )
        if not own and not shared and not route.access and not here.access:
            more = "; `authenticate` alone is no decision" if route.authenticate or here.authenticate else ""
            if route.authorize or here.authorize:
                more = "; a rule in shadow decides nothing"
            self.fault(
                at,
                "access_missing",
                f"the route has no access decision{more}: write `access: public`, `access: authenticated` or `authorize:`",
                True,
            )
            return
        chosen = self._providers(route, here, at)
        policy.providers, policy.all_of = chosen.providers, chosen.all_of

    def _public(self, route: Route, group: Group | None, at: Location) -> None:
        if group is not None:
            self.fault(
                (*at, "access"),
                "public_in_group",
                f"a route of a group is never public; take it out of `{route.group}`, or remove `access: public`",
                True,
            )
        if route.authorize:
            self.fault(
                (*at, "access"),
                "access_twice",
                "`access: public` and `authorize` contradict each other; keep one",
                True,
            )
        elif route.authenticate:
            self.fault(
                (*at, "access"),
                "access_twice",
                "`access: public` and `authenticate` contradict each other; keep one",
                True,
            )

    def _providers(self, route: Route, group: Group, at: Location) -> Accepted:
        known = self.gateway.identity_providers
        own = route.authenticate
        for index, name in enumerate(own.items if own else ()):
            if own and name not in known:
                self.unknown((*at, "authenticate", own.quantifier, index), "identity provider", name, known)
        chosen = meet(accepted(group.authenticate), accepted(own))
        if isinstance(chosen, str):
            self.fault((*at, "authenticate"), "providers_disjoint", chosen)
            return Accepted()
        for one, other in chosen.clashes(known):
            self.fault(
                (*at, "authenticate") if own else at,
                "providers_clash",
                f"`{one}` and `{other}` both stand in one header, so no request could carry both; write `any_of`",
            )
        if not chosen.providers:
            self.fault(
                at,
                "authenticate_missing",
                "no `authenticate` here or in a group; name the identity providers whose callers may come in",
                True,
            )
        return chosen

    def _binding(
        self, policy: Policy, parts: list[tuple[Group | Route, Location, str]], at: Location
    ) -> None:
        demands = [part.sender_constrained for part, _, _ in parts if part.sender_constrained]
        if "dpop" in demands and "mtls" in demands:
            self.fault(
                (*at, "sender_constrained"),
                "binding_impossible",
                "the group asks for the other one, and a token is bound to one thing; write the same, or `any`",
            )
        policy.sender_constrained = dpop.meet(demands)

    def _assurance(self, policy: Policy, parts: list[tuple[Group | Route, Location, str]]) -> None:
        found = [(part.assurance, where) for part, where, _ in parts if part.assurance]
        merged = assurance.merged([item for item, _ in found])
        if isinstance(merged, str):
            self.fault((*found[-1][1], "assurance", "acr"), "assurance_disjoint", merged)
        elif found and policy.access == "public":
            self.fault(
                (*found[-1][1], "assurance"),
                "assurance_public",
                "a public route knows no callers; remove `assurance`",
                True,
            )
        else:
            policy.assurance = merged

    def _action(self, policy: Policy, route: Route, group: Group, at: Location) -> None:
        for key in ("service", "split"):
            if getattr(route, key) is not None and getattr(group, key) is not None:
                self.fault(
                    (*at, key),
                    "twice",
                    f"`{key}` also stands in the group `{route.group}`; keep it in one place",
                    True,
                )
        service, split = route.service or group.service, route.split or group.split
        answers = [key for key in ("redirect", "respond") if getattr(route, key) is not None]
        forwards = service is not None or split is not None
        if len(answers) + forwards != 1:
            chosen = [*answers, *(["service" if service is not None else "split"] if forwards else [])]
            message = (
                f"{listed(chosen)} exclude each other; keep one"
                if chosen
                else "the route goes nowhere; name a `service`, or write `redirect:` or `respond:`"
            )
            self.fault(at, "action_twice" if chosen else "action_missing", message, True)
            return
        if route.redirect:
            fields = route.redirect
            policy.action = {
                "redirect": {
                    key: getattr(fields, key) for key in ("status", "location", "scheme", "host", "path")
                }
            }
        elif route.respond:
            policy.action = {
                "respond": {key: getattr(route.respond, key) for key in ("status", "content_type", "body")}
            }
        else:
            policy.action = self._forward(route, service, split, at)

    def _forward(
        self, route: Route, service: str | None, split: dict[str, str] | None, at: Location
    ) -> dict[str, Any]:
        known = self.gateway.services
        if route.service is not None and route.service not in known:
            self.unknown((*at, "service"), "service", route.service, known)
        for name in route.split or ():
            if name not in known:
                self.unknown((*at, "split", name), "service", name, known)
        if split is None:
            return {"forward": [{"service": service, "weight": 10_000}]}
        shares = weights(service, split)
        if isinstance(shares, str):
            where = (*at, "split") if route.split is not None else ("groups", route.group or "", "split")
            self.fault(where, "split_sum", shares, True)
            return {}
        return {"forward": [{"service": name, "weight": weight} for name, weight in shares.items()]}

    def _edits(self, policy: Policy, route: Route, group: Group, at: Location) -> None:
        for key in _IN_ONE_PLACE if group is not _NO_GROUP else ():
            if getattr(route, key) is not None and getattr(group, key) is not None:
                self.fault(
                    (*at, key),
                    "twice",
                    f"`{key}` also stands in the group `{route.group}`; keep it in one place",
                    True,
                )
        rewrite = route.rewrite or group.rewrite
        policy.rewrite = rewrite.path if rewrite else None
        if route.rewrite and (route.redirect or route.respond):
            self.fault(
                (*at, "rewrite"),
                "rewrite_unused",
                "nothing is forwarded here, so `rewrite` has no effect; remove it",
                True,
            )
        for key in ("request_headers", "response_headers"):
            edits = getattr(route, key) or getattr(group, key)
            filled: dict[str, Any] = {"remove": [], "set": {}, "add": {}}
            if edits:
                filled = {
                    "remove": sorted({n.lower() for n in edits.remove}),
                    "set": edits.set,
                    "add": edits.add,
                }
            setattr(policy, key, filled)

    def _websocket(self, policy: Policy, route: Route, group: Group, at: Location) -> None:
        websocket = route.websocket or group.websocket
        if websocket is None:
            return
        policy.websocket = websocket.compiled()
        source = "" if route.websocket else f" (the group `{route.group}` says `websocket`)"
        where = (*at, "websocket") if route.websocket else at
        if route.redirect or route.respond:
            message = f"there is no service for WebSocket connections{source}; name a `service`, or remove `websocket`"
            self.fault(where, "websocket_unused", message, True)
        for share in policy.action.get("forward", ()):
            service = self.gateway.services.get(share["service"])
            if service is not None and service.protocol != "http1":
                message = f"`{share['service']}` says `protocol: {service.protocol}`, and WebSocket is spoken over HTTP/1.1{source}; give the route a service with `protocol: http1`"
                self.fault(where, "websocket_protocol", message, True)
        if "GET" not in policy.methods:
            message = f"a WebSocket connection is opened with GET{source}; add it to `methods`"
            self.fault((*at, "match", "methods"), "websocket_unused", message, True)

    def _login_guard(self, policy: Policy, route: Route, at: Location) -> None:
        guard = route.login_guard
        if guard is None:
            return
        policy.login_guard = guard.compiled((*at, "login_guard"))
        forwards = not (route.redirect or route.respond)
        message = guard.fault(policy.methods, forwards, policy.websocket is not None)
        if message:
            self.fault((*at, "login_guard"), "login_guard_unused", message, True)

    def _mirror(self, policy: Policy, route: Route, group: Group, at: Location) -> None:
        mirror = route.mirror or group.mirror
        if mirror is None:
            return
        policy.mirror = mirror.compiled()
        where: Location = (*at, "mirror") if route.mirror else ("groups", route.group or "", "mirror")
        service = self.gateway.services.get(mirror.service)
        if service is None:
            if route.mirror:
                self.unknown((*where, "service"), "service", mirror.service, self.gateway.services)
            return
        forwards = tuple(share["service"] for share in policy.action.get("forward", ()))
        if not forwards and not (route.redirect or route.respond):
            return  # what is wrong has been said
        message = mirror.fault(service, forwards, policy.websocket is not None)
        if message:
            self.fault(where if route.mirror else at, "mirror_impossible", message, True)

    def _security(self, policy: Policy, parts: list[tuple[Group | Route, Location, str]]) -> None:
        shared = self.gateway.defaults.security_headers
        said = [(shared, ("defaults", "security_headers"))] if shared else []
        said += [
            (part.security_headers, (*where, "security_headers"))  # type: ignore[misc]
            for part, where, _ in parts
            if part.security_headers
        ]
        if not said:
            return
        policy.security_headers, faults = security_headers.merged(said)  # type: ignore[arg-type]
        for where, message in faults:
            error = self.places.error(where, "security_headers_loosened", message)
            if error not in self.errors:
                self.errors.append(error)

    def _bounds(self, policy: Policy, parts: list[tuple[Group | Route, Location, str]]) -> None:
        largest = self.gateway.defaults.ceiling.limits.body
        body, times = self._body, dict(self._defaults)
        for part, _, _ in parts:
            body = part.limits.body or body
            for key in part.timeouts.model_fields_set:
                times[key] = getattr(part.timeouts, key) or times[key]
        policy.body_limit = units.size_bytes(body)
        policy.timeouts = {f"{key}_ms": units.milliseconds(value) for key, value in times.items()}
        where = parts[-1][1]
        if largest and policy.body_limit > units.size_bytes(largest):
            self.fault(
                (*where, "limits", "body"),
                "ceiling_exceeded",
                f"`{body}` is more than `defaults.ceiling` allows, `{largest}`",
                True,
            )
        for key, bound in self._ceilings.items():
            value, most = policy.timeouts[f"{key}_ms"], units.milliseconds(bound)
            if value > most or (key == "total" and value == 0 < most):
                shown = f"`{times[key]}`" if value else "no limit"
                self.fault(
                    (*where, "timeouts", key),
                    "ceiling_exceeded",
                    f"{shown} for `{key}` is more than `defaults.ceiling` allows, `{bound}`",
                    True,
                )

    def _variables(self, policy: Policy, route: Route, at: Location) -> None:
        found = template.read(route.match.path)
        if isinstance(found, str):
            return
        for key, target in (
            ("rewrite", policy.rewrite),
            ("redirect", route.redirect.path if route.redirect else None),
        ):
            for name in template.unknown_variables(target, found.variables) if target else []:
                place = (*at, key, "path") if getattr(route, key) else (*at, "match", "path")
                self.fault(
                    place,
                    "variable_unknown",
                    f"the route's path has no `{{{name}}}`{nearest(name, found.variables)}",
                )


def _take(policy: Policy, part: Group | Route, where: Location, source: str) -> None:
    """What a part adds whatever the other one says."""
    validation = part.request_validation
    if validation is not None and validation.none is not None:
        policy.unvalidated = validation.none
    elif validation is not None:
        policy.request_validation = ((*where, "request_validation"), validation)
    if part.response_validation is not None:
        policy.response_validation = ((*where, "response_validation"), part.response_validation)
    if part.attack_filter is not None:
        policy.attack_filter = part.attack_filter.compiled()
    if part.bot_filter is not None:
        policy.bot_filter = part.bot_filter.compiled()
    if part.external_authorization is not None:
        policy.external = ((*where, "external_authorization"), source, part.external_authorization)
    if part.client_certificate is not None:
        policy.client_certificate = True
    if part.address_filter is not None:
        policy.address_filters.append(part.address_filter.compiled(source))
    if part.geo_filter is not None:
        policy.geo_filters.append(part.geo_filter.compiled(source))


def _machine_tenants(provider: Provider | None) -> bool:
    """Whether a machine that the provider recognizes belongs to a tenant, by its entry or by a part of its name."""
    if isinstance(provider, Mtls):
        named = any("{tenant}" in name for name in provider.identities)
        return named or any(machine.tenant for machine in provider.identities.values())
    if isinstance(provider, ClientAssertion):
        return any(client.tenant for client in provider.clients.values())
    return isinstance(provider, SignedRequest) and any(key.tenant for key in provider.keys.values())


def covers(wide: str, host: str) -> bool:
    """Whether a pattern of hosts, `api.example.com` or `*.example.com`, takes all that another one or a name does."""
    return wide == host or (
        wide.startswith("*.") and host.removeprefix("*").endswith(wide[1:]) and host != wide[2:]
    )
