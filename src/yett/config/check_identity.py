"""Whether assertions of identity fit the rest: keys, public routes, claims, names of headers."""

from __future__ import annotations

from yett.config.base import Location, listed, nearest
from yett.config.filters.identity_assertion import IdentityAssertion
from yett.config.headers import OF_REQUESTS, fold, owned
from yett.config.identity import ROUTE, key_set, ring
from yett.config.merge import Merger, Policy
from yett.config.providers.jwt import Jwt
from yett.config.resolve import Material
from yett.config.units import milliseconds


def check_identity(merger: Merger, policies: list[Policy]) -> None:
    """Notes what does not fit."""
    services = merger.gateway.services
    asked = {name: item.identity_assertion for name, item in services.items() if item.identity_assertion}
    identity = merger.gateway.identity
    if identity is not None:
        if not asked:
            merger.fault(
                ("identity",),
                "key_unused",
                "no service has `identity_assertion`, so nothing is signed; add it to a service, or remove `identity`",
                True,
            )
        if identity.jwks is not None:
            _listener(merger, identity.jwks.listener)
    for name, assertion in asked.items():
        at: Location = ("services", name, "identity_assertion")
        if identity is None:
            merger.fault(
                at,
                "identity_missing",
                "there are no keys to sign with; add `identity: {issuer: …, keys: {file: …}}` at the top of the file",
                True,
            )
        _one(merger, at, assertion)
    if asked:
        _public(merger, policies, asked)
        _edits(merger, {fold(header): name for name, one in asked.items() for header in one.headers})


def _listener(merger: Merger, name: str) -> None:
    listeners = merger.gateway.listeners
    at: Location = ("identity", "jwks", "listener")
    if name not in listeners:
        merger.unknown(at, "listener", name, listeners)
    elif not listeners[name].takes_routes:
        merger.fault(
            at,
            "listener_without_routes",
            f"`{name}` answers no requests ({listeners[name].kind}); name another",
        )


def _one(merger: Merger, at: Location, assertion: IdentityAssertion) -> None:
    if assertion.reuse and milliseconds(assertion.reuse) >= milliseconds(assertion.lifetime):
        message = f"an assertion that lives `{assertion.lifetime}` cannot serve for `{assertion.reuse}`; make `reuse` shorter"
        merger.fault((*at, "reuse"), "out_of_range", message)
    if assertion.reuse and assertion.body:
        message = "an assertion for one body is not used again; remove `reuse`, or `body`"
        merger.fault((*at, "reuse"), "key_unused", message, True)
    known = {
        claim
        for provider in merger.gateway.identity_providers.values()
        if isinstance(provider, Jwt)
        for claim in provider.claims
    } - {"scopes", "roles", "tenant", "client"}
    for where, name in assertion.named_claims():
        if name not in known:
            hint = nearest(name, {*known, "roles"}) or f"; declared are {listed(sorted(known))}"
            message = f"no identity provider declares the claim `{name}`{hint}"
            merger.fault((*at, *where), "claim_unknown", message)
    seen: dict[str, str] = {}
    for header in assertion.headers:
        if owned(header, False) or header in OF_REQUESTS:
            message = f"`{header}` has another meaning; choose one such as `x-user`"
            merger.fault((*at, "headers", header), "header_owned", message, True)
        if fold(header) in seen:
            message = f"`{header}` and `{seen[fold(header)]}` are one to some services; keep one"
            merger.fault((*at, "headers", header), "header_twice", message, True)
        seen[fold(header)] = header
        for name, provider in merger.gateway.identity_providers.items():
            if getattr(provider, "header", None) and fold(str(getattr(provider, "header"))) == fold(header):  # noqa: B009
                message = f"`{name}` takes keys from `{header}`; choose another name"
                merger.fault((*at, "headers", header), "header_owned", message, True)


def _public(merger: Merger, policies: list[Policy], asked: dict[str, IdentityAssertion]) -> None:
    """A service learns of nobody only where it is said."""
    reached: set[str] = set()
    for policy in policies:
        if policy.access != "public":
            continue
        targets = [share["service"] for share in policy.action.get("forward", ())]
        targets += [policy.mirror["service"]] if policy.mirror else []
        for name in targets:
            reached.add(name)
            if name in asked and not asked[name].anonymous:
                merger.fault(
                    ("routes", policy.name),
                    "assertion_anonymous",
                    f"the route is public, and `{name}` is told who calls; write `identity_assertion: {{anonymous: true}}` there, or `access: authenticated` here",
                    True,
                )
    for name, assertion in asked.items():
        if assertion.anonymous and name not in reached and not merger.dropped:
            merger.fault(
                ("services", name, "identity_assertion", "anonymous"),
                "key_unused",
                "no public route leads here; remove `anonymous`",
                True,
            )


def _edits(merger: Merger, headers: dict[str, str]) -> None:
    for kind, items in (("groups", merger.gateway.groups), ("routes", merger.gateway.routes)):
        for name, item in items.items():
            edits = item.request_headers
            for where, header in edits.names() if edits else ():
                if fold(header) in headers and not owned(header, False):
                    merger.fault(
                        (kind, name, "request_headers", *where),
                        "header_owned",
                        f"`{header}` tells `{headers[fold(header)]}` who calls (`identity_assertion`); remove it here",
                        where[0] != "remove",
                    )


def key_set_policy(merger: Merger, material: Material) -> list[Policy]:
    """The route on which services fetch the key set."""
    identity = merger.gateway.identity
    if identity is None or identity.jwks is None:
        return []
    # half of it, so that a new key is known everywhere before it signs
    keep = milliseconds(identity.publish) // 2000
    policy = Policy(
        name=ROUTE, group=None, listeners=(identity.jwks.listener,), hosts=None, path=identity.jwks.path, methods=("GET",),
        headers={}, query={}, path_allow=(), access="public",
    )  # fmt: skip
    policy.action = {
        "respond": {"status": 200, "content_type": "application/jwk-set+json", "body": key_set(ring(identity, material.secrets))}
    }  # fmt: skip
    empty: dict[str, object] = {"remove": [], "set": {}, "add": {}}
    policy.request_headers = dict(empty)
    policy.response_headers = {**empty, "set": {"cache-control": f"public, max-age={keep}"}}
    policy.timeouts = {f"{key}_ms": 0 for key in ("connect", "first_byte", "idle", "total")}
    return [policy]
