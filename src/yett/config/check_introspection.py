"""What does not fit together of providers whose tokens are asked about."""

from __future__ import annotations

from yett.config.base import Location, listed
from yett.config.live_check import LiveCheck
from yett.config.merge import Merger, Policy
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.oidc import Oidc
from yett.config.units import milliseconds

_RESERVED_CLAIMS = {"scopes", "roles", "tenant", "client"}


def check_introspection(merger: Merger, policies: list[Policy]) -> None:
    """Each provider, and the routes that accept it."""
    for name, provider in merger.gateway.identity_providers.items():
        if isinstance(provider, Introspection):
            _provider(merger, ("identity_providers", name), provider)
        elif isinstance(provider, Jwt) and provider.introspection:
            _block(merger, ("identity_providers", name), provider)
    known = merger.gateway.identity_providers
    for policy in policies:
        if policy.live_check is not None:
            _live(merger, policy)
        asked = [name for name in policy.providers if isinstance(known.get(name), Introspection)]
        if len(asked) > 1 and not policy.all_of:
            own = merger.gateway.routes[policy.name].authenticate
            at: Location = ("routes", policy.name) if own else ("groups", policy.group or "")
            merger.fault(
                (*at, "authenticate"),
                "provider_ambiguous",
                f"{listed(asked)} are both asked about tokens, and nothing in a token says which; accept one of them",
                True,
            )


def _block(merger: Merger, at: Location, provider: Jwt) -> None:
    """The `introspection` of a jwt provider."""
    found = provider.introspection
    if found is None:
        return
    if found.endpoint and found.endpoint.startswith("http://") and provider.plaintext is None:
        merger.fault(
            (*at, "introspection", "endpoint"),
            "plaintext_reason",
            f"`{found.endpoint}` is plain HTTP, where anyone on the way could read tokens and vouch for them; use https, or add `plaintext:` with a reason",
        )
    timeout(merger, (*at, "introspection"), found.timeout)
    name = str(at[1])
    gateway = merger.gateway
    asking = any(route.live_check for route in gateway.routes.values())
    if not asking and not any(group.live_check for group in gateway.groups.values()):
        merger.fault(
            (*at, "introspection"),
            "key_unused",
            f"no route has a `live_check`, so nobody is asked about tokens of `{name}`; add one, or remove `introspection`",
            True,
        )


def _live(merger: Merger, policy: Policy) -> None:
    """A live check has somebody to ask, for at least one kind of caller."""
    route = merger.gateway.routes[policy.name]
    group = merger.gateway.groups.get(policy.group or "")
    places: list[tuple[Location, LiveCheck]] = []
    if group is not None and group.live_check:
        places.append((("groups", policy.group or "", "live_check"), group.live_check))
    if route.live_check:
        places.append((("routes", policy.name, "live_check"), route.live_check))
    known = merger.gateway.identity_providers
    if policy.access == "public":
        merger.fault(
            places[-1][0], "key_unused", "a public route knows no callers; remove `live_check`", True
        )
        return
    for at, check in places:
        named = known.get(check.provider or "")
        if check.provider and named is None:
            merger.unknown((*at, "provider"), "identity provider", check.provider, dict(known))
        elif check.provider and not isinstance(named, Introspection):
            merger.fault(
                (*at, "provider"),
                "live_check_provider",
                f"`{check.provider}` is not of type `introspection`; name one that is, or leave `provider` out",
            )
        if milliseconds(check.max_age) > 3_600_000:
            merger.fault(
                (*at, "max_age"), "out_of_range", f"`{check.max_age}` is no live check; write at most `1h`"
            )
    names = [check.provider for _, check in places if check.provider]
    at = places[-1][0]
    if len(set(names)) > 1:
        merger.fault(
            (*at, "provider"), "twice", "`provider` also stands in the group; keep it in one place", True
        )
    tokens = [name for name in policy.providers if isinstance(known.get(name), Jwt | Introspection)]
    sessions = [name for name in policy.providers if isinstance(known.get(name), Oidc)]
    if policy.providers and not tokens and not sessions:
        merger.fault(
            at,
            "live_check_unanswered",
            f"nobody can confirm a credential of {listed(policy.providers)}; remove `live_check`",
            True,
        )
    if (
        route.live_check
        and route.live_check.provider
        and policy.providers
        and not any(isinstance(known.get(name), Jwt) for name in policy.providers)
    ):
        merger.fault(
            (*at, "provider"),
            "key_unused",
            f"`{route.live_check.provider}` is asked about signed tokens, and {listed(policy.providers)} give none; remove `provider`",
            True,
        )
    silent = [name for name in tokens if isinstance(one := known[name], Jwt) and one.introspection is None]
    if silent and not names:
        merger.fault(
            at,
            "live_check_unanswered",
            f"there is nobody to ask about tokens of {listed(silent)}; add `introspection` there, or name a `provider` here",
            True,
        )


def _provider(merger: Merger, at: Location, provider: Introspection) -> None:
    if provider.audience is None and provider.clients is None:
        merger.fault(
            at,
            "audience_missing",
            "any token of this issuer would do: name the `audience` that its tokens for you have, or the `clients` that may come",
            True,
        )
    if provider.endpoint is None and provider.issuer is None:
        merger.fault(
            at,
            "endpoint_missing",
            "nothing says whom to ask: name the `endpoint`, or the `issuer` whose metadata says where it is",
            True,
        )
    if provider.endpoint is not None and provider.hosts:
        merger.fault(
            (*at, "hosts"),
            "key_unused",
            "`endpoint` says where tokens are asked about, so no metadata is read; remove one of them",
            True,
        )
    plain = [
        ((*at, key), value)
        for key in ("issuer", "endpoint")
        if (value := getattr(provider, key)) and value.startswith("http://")
    ]
    if provider.plaintext is None:
        for place, url in plain:
            merger.fault(
                place,
                "plaintext_reason",
                f"`{url}` is plain HTTP, where anyone on the way could read tokens and vouch for them; use https, or add `plaintext:` with a reason",
            )
    elif not plain:
        merger.fault(
            (*at, "plaintext"), "plaintext_unused", "nothing here is plain HTTP; remove `plaintext`", True
        )
    leeway = milliseconds(provider.leeway)
    if leeway > 300_000 or leeway % 1000:
        merger.fault(
            (*at, "leeway"),
            "out_of_range",
            f"`{provider.leeway}` is out of range; write whole seconds, at most `5m`",
        )
    timeout(merger, at, provider.timeout)
    for key in ("max_age", "inactive_max_age"):
        value = getattr(provider.cache, key)
        if milliseconds(value) > 3_600_000:
            merger.fault(
                (*at, "cache", key),
                "out_of_range",
                f"`{value}` is longer than any answer should count; write at most `1h`",
            )
    for name, claim in provider.claims.items():
        if name in _RESERVED_CLAIMS and "type" in claim.model_fields_set:
            merger.fault(
                (*at, "claims", name, "type"),
                "claim_invalid",
                f"the type of `{name}` is fixed; remove `type`",
                True,
            )


def timeout(merger: Merger, at: Location, value: str) -> None:
    """A caller does not wait longer than this for an answer about its token."""
    if milliseconds(value) > 10_000:
        merger.fault(
            (*at, "timeout"), "out_of_range", f"`{value}` is longer than a caller waits; write at most `10s`"
        )
