"""What does not fit together of the sockets that are opened: listeners that take routes, and the admin listener."""

from __future__ import annotations

from yett.config.base import Location
from yett.config.listener import Http2, Listener
from yett.config.listener_check import check_special
from yett.config.merge import Merger
from yett.config.types import is_loopback, socket_address
from yett.config.units import size_bytes


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


def check_listeners(merger: Merger) -> None:
    """Every listener: TLS or a reason for none, addresses, bounds."""
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


def check_admin(merger: Merger) -> None:
    """The admin listener: whom it can be reached by."""
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
