"""Pages of other origins, and writes of foreign pages, on a route: with what they do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yett.config.base import Location, listed
from yett.config.filters.cors import PREFIX
from yett.config.headers import fold
from yett.config.providers.mtls import Mtls
from yett.config.providers.oidc import Oidc
from yett.config.route import Group, Route

if TYPE_CHECKING:
    from yett.config.merge import Merger, Policy


def merge(merger: Merger, policy: Policy, route: Route, group: Group, at: Location) -> None:
    """Fills in `policy.cors`. It stands in one of the two."""
    cors = route.cors or group.cors
    if cors is None:
        return
    own = route.cors is not None
    where: Location = (*at, "cors") if own else at
    source = "" if own else f" (the group `{route.group}` says `cors`)"
    known = {*policy.methods, *(("HEAD",) if "GET" in policy.methods else ())}
    outside = [method for method in cors.methods or () if method not in known]
    methods = policy.methods if cors.methods is None else tuple(m for m in cors.methods if m in known)
    if outside and own:
        message = f"the route does not take {listed(outside)}; name methods that it takes"
        merger.fault((*where, "methods"), "cors_methods", message)
    elif not methods:
        message = f"pages could use no method of this route{source}; give it one of {listed(cors.methods or ())}, or another group"
        merger.fault(where, "cors_methods", message, True)
    if route.websocket or group.websocket:
        message = f"browsers ask no permission for WebSocket connections{source}; name pages in `websocket: {{origins: …}}`, and remove `cors`"
        merger.fault(where, "cors_unused", message, True)
    if route.hidden or group.hidden:
        message = f"browsers ask without a credential, so the answer would show a hidden route{source}; remove `cors` or `hidden`"
        merger.fault(where, "cors_hidden", message, True)
    if route.match.headers:
        message = f"browsers ask without {listed(sorted(route.match.headers))}, so they would not find this route{source}; tell routes apart by path or query, or remove `cors`"
        merger.fault(where, "cors_conditions", message, True)
    for part, place in ((route, at), (group, ("groups", route.group or ""))):
        edits = part.response_headers
        for below, name in edits.names() if edits else ():
            if name.lower().startswith(PREFIX):
                message = f"`cors` replaces `{name}`, so this has no effect; remove it"
                merger.fault(
                    (*place, "response_headers", *below), "cors_edited", message, below[0] != "remove"
                )
    policy.cors = cors.compiled(methods)


def merge_csrf(merger: Merger, policy: Policy, route: Route, group: Group, at: Location) -> None:
    """Fills in `policy.csrf`. It stands in one of the two."""
    csrf = route.csrf or group.csrf
    if csrf is None:
        return
    policy.csrf = csrf.compiled()
    own = route.csrf is not None
    source = "" if own else f" (the group `{route.group}` says `csrf`)"
    known = [merger.gateway.identity_providers.get(name) for name in policy.providers]
    added = [isinstance(provider, Oidc | Mtls) for provider in known]
    if added and None not in known and not (all(added) if policy.all_of else any(added)):
        message = (
            f"no browser adds what callers bring here, so no page can have them write{source}; remove `csrf`"
        )
        merger.fault((*at, "csrf") if own else at, "csrf_unused", message, True)
    elif csrf.token and None not in known and not any(isinstance(provider, Oidc) for provider in known):
        message = f"nobody has a session here whose token it could be{source}; accept an `oidc` provider, or remove `token`"
        merger.fault((*at, "csrf", "token") if own else at, "csrf_token_unused", message, True)
    elif csrf.form is not None and (route.hidden or group.hidden):
        message = f"waiting for a form before anything is decided would show a hidden route{source}; remove `form` or `hidden`"
        merger.fault((*at, "csrf", "form") if own else at, "csrf_hidden", message, True)
    if csrf.form:
        _edited(merger, route, group, at)


def _edited(merger: Merger, route: Route, group: Group, at: Location) -> None:
    """What the gateway tells services for their forms cannot be edited."""
    where = at if route.request_headers else ("groups", route.group or "")
    edits = route.request_headers or group.request_headers
    for place, name in edits.names() if edits else ():
        if fold(name) == fold("x-csrf-token"):
            message = (
                f"`csrf.form` tells the service the token in `{name}`, which is not edited; remove it here"
            )
            merger.fault((*where, "request_headers", *place), "csrf_form", message, place[0] != "remove")
