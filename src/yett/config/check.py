"""What does not fit together, beyond the merge of single routes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit

from yett.config import oidc_check, service_http2, template
from yett.config.authorization.check import check_authorization
from yett.config.base import Location, listed
from yett.config.check_acme import check_acme
from yett.config.check_introspection import check_introspection
from yett.config.check_machines import check_machines
from yett.config.decision_log import check_decision_log
from yett.config.dpop import check_dpop
from yett.config.endpoint import ConsistentHash, is_name
from yett.config.geo_check import check_geo
from yett.config.headers import HeaderEdits, owned
from yett.config.jwt_check import check_jwt, issuers_of
from yett.config.listener import Http2, Listener
from yett.config.listener_check import check_passthrough, check_redirects, check_special
from yett.config.login_challenge import check_challenges
from yett.config.merge import Merger, Policy
from yett.config.providers.api_key import ApiKey
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.jwt import Jwt
from yett.config.providers.oidc import Oidc
from yett.config.rates import quotas
from yett.config.route import Group, Route
from yett.config.security_events import check_events
from yett.config.service import Service
from yett.config.service_token import check_service_tokens
from yett.config.spiffe import check_spiffe
from yett.config.state import check_state
from yett.config.types import is_loopback, socket_address
from yett.config.units import share, size_bytes

_CREDENTIAL_CARRIERS = {
    "cookie",
    "origin",
    "accept",
    "content-type",
    "content-encoding",
    "user-agent",
    "referer",
    "range",
    "if-match",
    "if-none-match",
}


def check_all(merger: Merger, policies: list[Policy]) -> None:
    """Everything that is not the merge of one route."""
    gateway = merger.gateway
    _listeners(merger)
    check_acme(merger)
    check_spiffe(merger, policies)
    check_state(merger)
    quotas.check_state(merger)
    check_decision_log(merger)
    _admin(merger)
    for name, provider in gateway.identity_providers.items():
        at: Location = ("identity_providers", name)
        if isinstance(provider, Jwt):
            check_jwt(merger, at, provider)
        elif isinstance(provider, Oidc):
            oidc_check.check(merger, at, provider)
        elif isinstance(provider, ApiKey):
            _api_key(merger, at, provider)
    # the route of the gateway's own key set is nobody's to write
    written = [policy for policy in policies if policy.name in gateway.routes]
    check_introspection(merger, written)
    check_service_tokens(merger, written)
    _providers_together(merger)
    _services(merger)
    _groups(merger)
    _address_filters(merger)
    check_geo(merger)
    for name, route in gateway.routes.items():
        _edits(merger, ("routes", name), route)
    _client_certificates(merger, written)
    check_machines(merger, written)
    check_dpop(merger, written)
    check_events(merger, written)
    oidc_check.check_routes(merger, written)
    check_challenges(merger, written)
    _priorities(merger)
    check_redirects(merger, policies)
    check_passthrough(merger, policies)
    check_authorization(merger, written)
    _sensitive(merger, written)
    _ambiguous(merger, policies)


def _http2(merger: Merger, at: Location, listener: Listener) -> None:
    spoken = isinstance(listener.http2, Http2) and listener.http2.prior_knowledge
    if listener.tls is not None and spoken:
        merger.fault(
            (*at, "http2", "prior_knowledge"),
            "http2_unused",
            "clients of a listener with TLS choose HTTP/2 in its handshake; remove `prior_knowledge`",
            True,
        )
    if listener.tls is None and listener.http2 and not spoken:
        merger.fault(
            (*at, "http2"),
            "http2_unused",
            "without TLS only clients that begin with HTTP/2 can use it; write `http2: {prior_knowledge: true}`, or remove `http2`",
            True,
        )


def _listeners(merger: Merger) -> None:
    listeners = merger.gateway.listeners
    if not listeners and not merger.dropped:
        merger.fault(
            ("listeners",), "listener_missing", "no listener is defined; name one with its `address`", True
        )
    passes = any(listener.passthrough for listener in listeners.values())
    if not merger.gateway.routes and not merger.dropped and not passes:
        merger.fault(("routes",), "route_missing", "no route is defined; every request would be 404", True)
    seen: dict[tuple[str, int], str] = {}
    for name, listener in listeners.items():
        at: Location = ("listeners", name)
        if not listener.takes_routes:
            check_special(merger, at, listener)
        elif listener.tls is None and listener.plaintext is None:
            merger.fault(
                at,
                "plaintext_reason",
                'no `tls`: add it, or say why plain HTTP is fine here: `plaintext: "local try-out"`',
                True,
            )
        if listener.takes_routes and listener.tls is not None and listener.plaintext is not None:
            merger.fault(
                (*at, "plaintext"), "plaintext_unused", "this listener speaks TLS; remove `plaintext`", True
            )
        if listener.takes_routes and listener.tls is None and listener.limits.handshakes is not None:
            merger.fault(
                (*at, "limits", "handshakes"),
                "key_unused",
                "this listener speaks no TLS, so `handshakes` has no effect; remove it",
                True,
            )
        if listener.takes_routes:
            _http2(merger, at, listener)
        address = socket_address(listener.address)
        if address and address[1] and address in seen:
            merger.fault(
                (*at, "address"),
                "address_twice",
                f"`{listener.address}` is also the address of `{seen[address]}`; choose another port",
            )
        if address:
            seen[address] = name
        limits = listener.limits
        total = limits.connections or merger.gateway.defaults.limits.connections or 10_000
        shared = merger.gateway.defaults.limits.connections_per_address
        if (limits.connections_per_address or shared or 0) >= total:
            merger.fault(
                (
                    *(at if limits.connections_per_address else ("defaults",)),
                    "limits",
                    "connections_per_address",
                ),
                "out_of_range",
                f"the whole listener has at most {total} connections, so one address would get all of them; "
                "make it less",
            )
        if (
            limits.request_line
            and limits.header_bytes
            and size_bytes(limits.request_line) > size_bytes(limits.header_bytes)
        ):
            merger.fault(
                (*at, "limits", "request_line"),
                "out_of_range",
                "the request line is a part of the head; make it at most `header_bytes`",
            )


def _admin(merger: Merger) -> None:
    admin = merger.gateway.admin
    if admin is None:
        return
    if not is_loopback(admin.address) and admin.token is None:
        merger.fault(
            ("admin", "address"),
            "admin_open",
            f"`{admin.address}` can be reached from elsewhere; use `127.0.0.1`, or add `token: {{file: …}}`",
        )
    for name, listener in merger.gateway.listeners.items():
        if listener.address == admin.address and not admin.address.endswith(":0"):
            merger.fault(
                ("admin", "address"),
                "address_twice",
                f"`{admin.address}` is also the address of `{name}`; choose another port",
            )


def _api_key(merger: Merger, at: Location, provider: ApiKey) -> None:
    if owned(provider.header, False) or provider.header in _CREDENTIAL_CARRIERS:
        merger.fault(
            (*at, "header"),
            "header_owned",
            f"`{provider.header}` has another meaning; choose one such as `x-api-key`",
        )


def _providers_together(merger: Merger) -> None:
    issuers: dict[str, str] = {}
    headers: dict[str, str] = {}
    for name, provider in merger.gateway.identity_providers.items():
        keys: Iterable[str]
        if isinstance(provider, Jwt):
            keys, seen, word = issuers_of(provider), issuers, "issuer"
        elif isinstance(provider, ClientAssertion):
            # Clients are the issuers of their assertions.
            keys, seen, word = tuple(provider.clients), issuers, "clients"
        elif isinstance(provider, ApiKey):
            keys, seen, word = (provider.header,), headers, "header"
        else:
            continue
        clash = next((seen[key] for key in keys if key in seen), None)
        if clash is not None:
            merger.fault(
                ("identity_providers", name, word),
                "provider_ambiguous",
                f"`{clash}` has the same {'issuer' if word == 'clients' else word}; a credential has to lead to one provider",
            )
        seen.update(dict.fromkeys(keys, name))


def _services(merger: Merger) -> None:
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


def _groups(merger: Merger) -> None:
    gateway = merger.gateway
    for name, group in gateway.groups.items():
        at: Location = ("groups", name)
        for index, listener in enumerate(group.listeners or ()):
            if listener not in gateway.listeners:
                merger.unknown((*at, "listeners", "any_of", index), "listener", listener, gateway.listeners)
        spec = group.authenticate
        for index, provider in enumerate(spec.items if spec else ()):
            if spec and provider not in gateway.identity_providers:
                merger.unknown(
                    (*at, "authenticate", spec.quantifier, index),
                    "identity provider",
                    provider,
                    gateway.identity_providers,
                )
        for service in [*([group.service] if group.service else []), *(group.split or ())]:
            if service not in gateway.services:
                where = ("split", service) if service != group.service else ("service",)
                merger.unknown((*at, *where), "service", service, gateway.services)
        if group.mirror and group.mirror.service not in gateway.services:
            merger.unknown((*at, "mirror", "service"), "service", group.mirror.service, gateway.services)
        if group.access and any(rule.enforced for rule in group.authorize):
            merger.fault(
                (*at, "access"), "access_twice", "`access` and `authorize` both decide; keep one", True
            )
        _edits(merger, at, group)


def _address_filters(merger: Merger) -> None:
    gateway = merger.gateway
    for kind, items in (
        ("listeners", gateway.listeners),
        ("groups", gateway.groups),
        ("routes", gateway.routes),
    ):
        for name, item in items.items():
            filters = item.address_filter
            for key in ("allow", "deny"):
                for index, used in enumerate(getattr(filters, key, ())):
                    if used not in gateway.address_lists:
                        at: Location = (kind, name, "address_filter", key, "any_of", index)
                        merger.unknown(at, "address list", used, gateway.address_lists)


def _edits(merger: Merger, at: Location, part: Group | Route) -> None:
    if part.request_headers is not None:
        _header_edits(merger, (*at, "request_headers"), part.request_headers)
    if part.response_headers is not None:
        _header_edits(merger, (*at, "response_headers"), part.response_headers)


def _header_edits(merger: Merger, at: Location, edits: HeaderEdits) -> None:
    response = at[-1] == "response_headers"
    seen: dict[str, str] = {}
    for where, name in edits.names():
        if owned(name, response):
            merger.fault(
                (*at, *where),
                "header_owned",
                f"`{name}` belongs to the gateway, which sets or checks it itself; remove it here",
                where[0] != "remove",
            )
        if name in seen:
            merger.fault(
                (*at, *where),
                "header_twice",
                f"`{name}` also stands in `{seen[name]}`; keep one",
                where[0] != "remove",
            )
        seen[name] = str(where[0])
    if not edits.names():
        merger.fault(
            at,
            "header_edits_empty",
            "nothing is changed here; write `remove`, `set` or `add`, or remove the key",
            True,
        )


def _priorities(merger: Merger) -> None:
    """A priority means something only where something is shed."""
    gateway = merger.gateway
    if gateway.process.load_shedding is not None:
        return
    for kind, items in (("groups", gateway.groups), ("routes", gateway.routes)):
        for name, item in items.items():
            if item.priority is not None:
                merger.fault(
                    (kind, name, "priority"),
                    "priority_unused",
                    "nothing is refused by priority; add `process: {load_shedding: {delay: 50ms}}`, or remove `priority`",
                    True,
                )


def _client_certificates(merger: Merger, policies: list[Policy]) -> None:
    """A route that requires a certificate stands only on listeners that ask for one."""
    listeners = merger.gateway.listeners
    for policy in policies:
        if not policy.client_certificate:
            continue
        own = merger.gateway.routes[policy.name].client_certificate
        at: Location = ("routes", policy.name) if own else ("groups", policy.group or "")
        for name in policy.listeners:
            tls = listeners[name].tls if name in listeners else None
            if name in listeners and (tls is None or tls.client_certificates is None):
                merger.fault(
                    (*at, "client_certificate"),
                    "client_certificate_unasked",
                    f"`{policy.name}` stands on `{name}`, which asks clients for no certificate; "
                    "add `tls: {client_certificates: …}` there, or name other `listeners`",
                )


def _sensitive(merger: Merger, policies: list[Policy]) -> None:
    gateway = merger.gateway
    for policy in policies:
        group = gateway.groups.get(policy.group or "")
        if group is None or group.sensitive is None:
            continue
        at: Location = ("routes", policy.name)
        label = f"`{policy.group}` is sensitive ({group.sensitive})"
        if not any({"roles", "permissions", "callers"} & set(rule) for rule in policy.rules):
            merger.fault(at, "sensitive_roles", f"{label}: name `roles` or `callers` in `authorize`", True)
        if not any("scopes" in rule for rule in policy.rules):
            merger.fault(at, "sensitive_scope", f"{label}: name `scopes` in `authorize`", True)
        keys = [name for name in policy.providers if isinstance(gateway.identity_providers.get(name), ApiKey)]
        if keys and not (policy.all_of and len(keys) < len(policy.providers)):
            merger.fault(
                at,
                "sensitive_provider",
                f"{label}: a key of {listed(keys)} can be passed on by anyone; accept tokens only, or `all_of` a key and a token",
                True,
            )
        if not policy.rate_limits and not policy.address_limits:
            merger.fault(at, "sensitive_limit", f"{label}: add a `rate_limit` or an `address_limit`", True)
        if not gateway.routes[policy.name].listeners and not group.listeners:
            merger.fault(at, "sensitive_listeners", f"{label}: say on which `listeners` it exists", True)


def _ambiguous(merger: Merger, policies: list[Policy]) -> None:
    """Two routes that could both take a request with equal precedence.

    Precedence is decided by host, then by the shape of the path segment by segment, then by the number of header and
    query conditions. So only routes that are equal in all of these can collide, and only where methods and listeners
    overlap and no condition excludes the other.
    """
    buckets: dict[tuple[str, str, int], list[Policy]] = defaultdict(list)
    reported: set[tuple[str, str]] = set()
    for policy in policies:
        found = template.read(policy.path)
        shape = policy.path if isinstance(found, str) else found.shape
        count = len(policy.headers) + len(policy.query)
        for host in policy.hosts or ("",):
            for other in buckets[(host, shape, count)]:
                if (other.name, policy.name) not in reported and _overlap(policy, other):
                    reported.add((other.name, policy.name))
                    place = merger.places.shown_at(("routes", other.name))
                    message = f"`{policy.name}` and `{other.name}` ({place}) could both take the same request; change a path, method, host or condition of one"
                    merger.fault(("routes", policy.name, "match", "path"), "route_ambiguous", message)
            buckets[(host, shape, count)].append(policy)


def _overlap(one: Policy, other: Policy) -> bool:
    def methods(policy: Policy) -> set[str]:
        return {*policy.methods, *(("HEAD",) if "GET" in policy.methods else ())}

    def excluded(mine: dict[str, str], theirs: dict[str, str]) -> bool:
        return any(name in theirs and theirs[name] != value for name, value in mine.items())

    return (
        _meet(one.listeners, other.listeners)
        and _meet(methods(one), methods(other))
        and not excluded(one.headers, other.headers)
        and not excluded(one.query, other.query)
    )


def _meet(one: Iterable[str], other: Iterable[str]) -> bool:
    return not set(one).isdisjoint(other)
