"""Listeners without routes: what does not go with them, and where they lead."""

from __future__ import annotations

from yett.config.base import Location, listed
from yett.config.endpoint import ConsistentHash
from yett.config.listener import HttpsRedirect, Listener
from yett.config.merge import Merger, Policy
from yett.config.types import socket_address

_UNUSED = {
    "redirect": ("tls", "plaintext", "http2"),
    "passthrough": (
        "tls",
        "plaintext",
        "http2",
        "redirect",
        "trusted_proxies",
        "address_filter",
        "geo_filter",
        "address_limit",
    ),
}
_UNUSED_LIMITS = {
    "redirect": ("handshakes",),
    "passthrough": ("handshakes", "request_line", "header_bytes", "headers"),
}
_UNUSED_TIMES = {"redirect": (), "passthrough": ("head", "body", "keep_alive")}
_WHY = {
    "redirect": "this listener only redirects to HTTPS",
    "passthrough": "this listener passes TLS on unopened",
}
_FOR_REQUESTS = (
    "tls",
    "host",
    "protocol",
    "http2",
    "forward_credential",
    "identity_assertion",
    "pool",
    "limits",
    "circuit_breaker",
    "retry",
)


def check_special(merger: Merger, at: Location, listener: Listener) -> None:
    """What a listener without routes says in vain."""
    kind = listener.kind
    for key in _UNUSED[kind]:
        if key in listener.model_fields_set:
            merger.fault((*at, key), "key_unused", f"{_WHY[kind]}, so `{key}` has no effect; remove it", True)
    inside = (("limits", listener.limits, _UNUSED_LIMITS), ("timeouts", listener.timeouts, _UNUSED_TIMES))
    for part, given, unused in inside:
        for key in unused[kind]:
            if key in given.model_fields_set:
                message = f"{_WHY[kind]}, so `{key}` has no effect; remove it"
                merger.fault((*at, part, key), "key_unused", message, True)


def https_target(listeners: dict[str, Listener], redirect: HttpsRedirect) -> tuple[str, int] | str:
    """The listener with TLS that is meant, and its port as clients see it; or why there is none."""
    able = [name for name, item in listeners.items() if item.tls is not None and item.takes_routes]
    if redirect.listener is not None and redirect.listener not in able:
        return f"`{redirect.listener}` is not a listener with TLS" + (
            f"; write {listed(able)}" if able else ""
        )
    if not able:
        return "there is no listener with TLS to redirect to; add one"
    if redirect.listener is None and len(able) > 1:
        return f"several listeners speak TLS; write `redirect: {{listener: …}}` with {listed(able)}"
    name = redirect.listener or able[0]
    address = socket_address(listeners[name].address)
    port = redirect.port or (address[1] if address else 0)
    if not port:
        return f"`{name}` has no fixed port; write `redirect: {{port: …}}` with the one that clients use"
    return name, port


def check_redirects(merger: Merger, policies: list[Policy]) -> None:
    """A redirect leads to a listener with TLS, and to hosts that routes there name."""
    listeners = merger.gateway.listeners
    able = any(item.tls is not None and item.takes_routes for item in listeners.values())
    for name, listener in listeners.items():
        if listener.https_redirect is None:
            continue
        named = listener.https_redirect.listener
        if (named or not able) and merger.any_dropped("listeners", named):
            continue  # the target is wrong by itself, which is said there
        at: Location = ("listeners", name, "redirect")
        found = https_target(listeners, listener.https_redirect)
        if isinstance(found, str):
            merger.fault(at, "redirect_target", found)
            continue
        here = [policy for policy in policies if found[0] in policy.listeners]
        if here and not merger.dropped and not any(policy.hosts for policy in here):
            merger.fault(
                at,
                "redirect_hosts",
                f"every route of `{found[0]}` is for `hosts: any`, and clients would decide where others are sent; "
                "name the hosts in a route or group",
            )


def check_passthrough(merger: Merger, policies: list[Policy]) -> None:
    """TLS is passed on to services that speak it, and that say nothing in vain."""
    gateway = merger.gateway
    forwarded = {share["service"] for policy in policies for share in policy.action.get("forward", ())}
    checked: set[str] = set()
    for name, listener in gateway.listeners.items():
        if listener.passthrough is None:
            continue
        for host, target in listener.passthrough.hosts.items():
            at: Location = ("listeners", name, "passthrough", "hosts", host, "service")
            service = gateway.services.get(target.service)
            if service is None:
                merger.unknown(at, "service", target.service, gateway.services)
                continue
            if any(endpoint.url.startswith("http://") for endpoint in service.endpoints):
                merger.fault(
                    at,
                    "passthrough_plain",
                    f"`{target.service}` speaks no TLS, and clients bring it; write `https://` there",
                )
            if isinstance(service.balance, ConsistentHash):
                merger.fault(
                    at,
                    "key_unused",
                    f"`{target.service}` chooses by requests (`consistent_hash`), which stay closed here",
                )
            if target.service in forwarded or target.service in checked:
                continue
            checked.add(target.service)
            for key in _FOR_REQUESTS:
                # Health checks open connections of their own.
                if key in service.model_fields_set and not (key == "tls" and service.health_check):
                    message = f"connections to `{target.service}` are only passed on, so `{key}` has no effect; remove it"
                    merger.fault(("services", target.service, key), "key_unused", message, True)
