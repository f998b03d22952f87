"""Listeners without routes: what does not go with them, and where they lead."""

from __future__ import annotations

from yett.config.base import Location, listed
from yett.config.listener import HttpsRedirect, Listener
from yett.config.merge import Merger, Policy
from yett.config.types import socket_address

_UNUSED = {
    "redirect": ("tls", "plaintext", "http2"),
}
_UNUSED_LIMITS = {"redirect": ("handshakes",)}
_WHY = {"redirect": "this listener only redirects to HTTPS"}


def check_special(merger: Merger, at: Location, listener: Listener) -> None:
    """What a listener without routes says in vain."""
    kind = listener.kind
    for key in _UNUSED[kind]:
        if key in listener.model_fields_set:
            merger.fault((*at, key), "key_unused", f"{_WHY[kind]}, so `{key}` has no effect; remove it", True)
    for key in _UNUSED_LIMITS[kind]:
        if key in listener.limits.model_fields_set:
            place = (*at, "limits", key)
            merger.fault(place, "key_unused", f"{_WHY[kind]}, so `{key}` has no effect; remove it", True)


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
    for name, listener in listeners.items():
        if listener.https_redirect is None:
            continue
        at: Location = ("listeners", name, "redirect")
        found = https_target(listeners, listener.https_redirect)
        if isinstance(found, str):
            merger.fault(at, "redirect_target", found)
            continue
        here = [policy for policy in policies if found[0] in policy.listeners]
        if here and not any(policy.hosts for policy in here):
            merger.fault(
                at,
                "redirect_hosts",
                f"every route of `{found[0]}` is for `hosts: any`, and clients would decide where others are sent; "
                "name the hosts in a route or group",
            )
