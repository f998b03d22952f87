"""Who may use a route: the policies of two routes, part by part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from yett.config.base import listed
from yett.policy import needed
from yett.policy.diff import addresses, attacks, bots, browsers, logins, places, rules, shadow, validation
from yett.policy.diff.change import (
    Change,
    at,
    bound,
    flag,
    moves,
    narrows,
    rest,
    subset,
    switched,
    unknown,
    widens,
)
from yett.policy.diff.limits import classes, concurrency, limits
from yett.policy.diff.quotas import quotas

Document = dict[str, Any]
FIELDS = (
    "access", "tenants", "deny", "shadow", "external_authorization", "client_certificate", "sender_constrained", "live_check",
    "assurance", "address_filters", "geo_filters", "address_limits", "rate_limits", "limit_classes", "concurrency_limits", "quotas", "shadow_limits", "body_limit",
    "websocket", "cors", "csrf", "login_guard", "bot_filter",
    "response_tenant", "classification", "hidden",
    "request_validation", "attack_filter",
)  # fmt: skip


# A part of `route` in an expression: `route.name`, `route['name']`.
READS = re.compile(r"\broute\s*[.\[]")


def reads_route(route: Document) -> bool:
    """Whether an expression may say something else of a route that is called, grouped or classified otherwise."""
    return READS.search(json.dumps(route)) is not None


def compare(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    """Everything that decides who gets in and with how much. `kinds` are the types of providers by name."""
    yield from _access(old, new, kinds)
    yield from rules.tenants(old.get("tenants", []), new.get("tenants", []))
    yield from rules.deny(old.get("deny", []), new.get("deny", []))
    yield from shadow.compare(old.get("shadow"), new.get("shadow"))
    yield from shadow.limits(old.get("shadow_limits", []), new.get("shadow_limits", []))
    yield from _external(old.get("external_authorization"), new.get("external_authorization"))
    yield from flag(
        "client_certificate", "a client certificate is needed now", "no client certificate is needed any more",
        bool(old.get("client_certificate")), bool(new.get("client_certificate")),
    )  # fmt: skip
    yield from _bound_tokens(old.get("sender_constrained"), new.get("sender_constrained"))
    yield from at("live_check", _live(old.get("live_check"), new.get("live_check")))
    yield from at("assurance", _assurance(old.get("assurance"), new.get("assurance")))
    yield from at(
        "address_filters", addresses.filters(old.get("address_filters", []), new.get("address_filters", []))
    )
    yield from at("geo_filters", places.filters(old.get("geo_filters", []), new.get("geo_filters", [])))
    for key in ("address_limits", "rate_limits"):
        yield from limits(key, old[key], new[key])
    yield from concurrency(old.get("concurrency_limits", []), new.get("concurrency_limits", []))
    yield from quotas(old.get("quotas", []), new.get("quotas", []))
    yield from classes(old.get("limit_classes", []), new.get("limit_classes", []))
    validated = old.get("request_validation"), new.get("request_validation")
    yield from at("request_validation", validation.compare(*validated))
    yield from at("attack_filter", attacks.compare(old.get("attack_filter"), new.get("attack_filter")))
    yield from bound("body", "the largest body of a request", old["body_limit"], new["body_limit"], " bytes")
    yield from _websocket(old.get("websocket"), new.get("websocket"))
    yield from at("cors", browsers.cors(old.get("cors"), new.get("cors")))
    yield from at("csrf", browsers.csrf(old.get("csrf"), new.get("csrf")))
    yield from at("bot_filter", bots.compare(old.get("bot_filter"), new.get("bot_filter")))
    yield from at("login_guard", logins.login_guard(old.get("login_guard"), new.get("login_guard")))
    before, after = old.get("response_tenant"), new.get("response_tenant")
    if before != after:
        text = "the tenant of answers is checked " + ("now" if before is None else "otherwise or not at all")
        yield (narrows if before is None else widens)("response_tenant", text, before, after)
    yield from _facts(old, new)


def _rules(route: Document) -> list[Document]:
    return needed.rules_of(route)["rule"]


def _access(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    before, after = old["access"], new["access"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        if isinstance(before, dict):
            yield widens("access", "it is open to anyone now", before, after)
        elif isinstance(after, dict):
            yield narrows("access", "it is not open to anyone any more", before, after)
        elif before != after:
            yield unknown("access", "who gets in", before, after)
        return
    one, other = before["authenticated"], after["authenticated"]
    yield from _providers(one, other, kinds)
    yield from rules.rules(_rules(old), _rules(new), new["match"]["methods"])
    yield from at("access", rest("", "who gets in", one, other, {"providers", "all_of", "rules"}))
    yield from at("access", rest("", "access", before, after, {"authenticated"}))


def _providers(old: Document, new: Document, kinds: dict[str, str]) -> Iterator[Change]:
    """Who vouches."""
    before, after = old["providers"], new["providers"]
    if bool(old.get("all_of")) != bool(new.get("all_of")):
        if max(len(before), len(after)) > 1:
            text = "whether one provider or each has to vouch is different; requests with several credentials were refused"
            yield widens("authenticate", text, old, new)
            return
        yield moves("authenticate.all_of", "one provider vouches, as before", old, new)
    if new.get("all_of") and before != after:
        yield widens("authenticate", f"others have to vouch together: {listed(after)}", before, after)
        return
    added, removed = set(after) - set(before), set(before) - set(after)
    if added:
        yield widens("authenticate", f"callers of {listed(sorted(added))} are accepted, too", before, after)
    if removed:
        why = _takes_over(removed, set(after), kinds)
        text = f"callers of {listed(sorted(removed))} are not accepted any more"
        if why:
            yield widens("authenticate.less", f"{text}, but {why}", before, after)
        else:
            yield narrows("authenticate.less", text, before, after)
    if not added and not removed and before != after:
        yield moves("authenticate.order", "the order of its providers is different", before, after)


def _takes_over(removed: set[str], left: set[str], kinds: dict[str, str]) -> str | None:
    """Why a credential that one provider refused may now be judged by another one."""
    gone = {kinds.get(name) for name in removed}
    stay = [kinds.get(name) for name in left]
    if "introspection" in stay and gone & {"jwt", "introspection", "client_assertion"}:
        return "their tokens are asked about elsewhere"
    if "oidc" in gone and ("mtls" in stay or "oidc" in stay):
        return "requests with a broken session count by what else they have"
    if ("mtls" in gone and "mtls" in stay) or ("signed_request" in gone and "signed_request" in stay):
        return "what two of them knew was ambiguous"
    return None


def _external(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old == new:
        return
    operation = {"source", "timeout_ms"}
    before, after = (
        {key: value for key, value in (one or {}).items() if key not in operation} for one in (old, new)
    )
    where = "external_authorization"
    if before == after:
        yield moves(where, "the external check stands elsewhere or has another time limit", old, new)
    elif not before:
        yield narrows(where, "an external check has to agree", old, new)
    else:
        text = "the external check is gone" if not after else "another external check is asked, or otherwise"
        yield widens(where, text, old, new)


def _bound_tokens(old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or (old == "any" and new is not None):
        yield narrows("sender_constrained", f"tokens have to be bound: {new}", old, new)
    else:
        text = f"tokens had to be bound ({old}), now {new or 'not at all'}"
        yield widens("sender_constrained", text, old, new)


def _live(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None or new is None:
        strict = "the credential is confirmed by its issuer"
        loose = "the credential is not confirmed by its issuer any more"
        yield from switched("on", strict, loose, old, new)
        return
    yield from bound("max_age", "the age of an issuer's word", old["max_age_ms"], new["max_age_ms"], " ms")
    if old.get("provider") != new.get("provider"):
        yield widens("provider", "somebody else confirms credentials", old, new)
    yield from rest("", "how credentials are confirmed", old, new, {"max_age_ms", "provider"})


def _assurance(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None or new is None:
        strict, loose = "a stronger or more recent login is needed", "a weaker or older login is enough"
        yield from switched("on", strict, loose, old, new)
        return
    levels = [one.get("acr") or [] for one in (old, new)]
    yield from subset("acr", "kinds of login", levels[0], levels[1], any_if_empty=True)
    ages = [one.get("max_age_s") for one in (old, new)]
    yield from bound("max_age", "the age of a login", ages[0], ages[1], " s")
    yield from rest("", "how callers log in", old, new, {"acr", "max_age_s"})


def _websocket(old: Document | None, new: Document | None) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield unknown("websocket", "what is asked of WebSocket connections", old, new)
        return
    yield from _origins(old["origins"], new["origins"])
    for key, what in (("message", "the largest WebSocket message"), ("connections", "open WebSocket connections"), ("idle_ms", "a silent WebSocket connection stays")):  # fmt: skip
        yield from bound(f"websocket.{key}", what, old[key], new[key])
    known = {"origins", "message", "connections", "idle_ms"}
    yield from at("websocket", rest("", "what is asked of WebSocket connections", old, new, known))


def _origins(old: Any, new: Any) -> Iterator[Change]:
    """Pages that may connect. `any` lets fewer of them bring cookies than a list does."""
    where = "websocket.origins"
    pages = [_pages(one) for one in (old, new)]
    if pages[0] is not None and pages[1] is not None:
        yield from subset(where, "pages that may connect", pages[0], pages[1])
    elif (old, new) == ("any", "same"):
        yield narrows(where, "pages of the same host may connect, before all", old, new)
    elif old != new:
        yield widens(where, "other pages may connect, or with cookies", old, new)


def _pages(origins: Any) -> list[str] | None:
    """Pages that may connect beside none of the same host; nothing where it is no list."""
    if origins == "same":
        return []
    return list(origins["listed"]) if isinstance(origins, dict) and origins.keys() == {"listed"} else None


def _facts(old: Document, new: Document) -> Iterator[Change]:
    """What conditions may read of a route beside the request."""
    changed = [key for key in ("name", "group", "classification") if old.get(key) != new.get(key)]
    pair = [old.get(key) for key in changed], [new.get(key) for key in changed]
    if changed and (reads_route(old) or reads_route(new)):
        text = f"{listed(changed)} of the route is different, and a condition, limit or cost may read it"
        yield widens("facts", text, *pair)
    elif set(changed) - {"name"}:
        yield moves("facts", f"{listed(changed)} of the route is different", *pair)
    hidden = [bool(one.get("hidden")) for one in (old, new)]
    seen = "who is refused sees that it is there"
    yield from flag("hidden", "who is refused sees nothing of it", seen, *hidden)
