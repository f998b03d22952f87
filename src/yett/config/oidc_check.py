"""What does not fit together around logins: addresses, lifetimes, paths of the gateway itself, listeners without TLS."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yett.config.base import Location
from yett.config.merge import Merger, Policy
from yett.config.providers.oidc import RESERVED, Oidc
from yett.config.units import milliseconds
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.places import Places
    from yett.config.resolve import Material


def check(merger: Merger, at: Location, provider: Oidc) -> None:
    """One provider."""
    _addresses(merger, at, provider)
    session = provider.session
    idle, absolute = milliseconds(session.idle), milliseconds(session.absolute)
    for key, value in (("idle", idle), ("absolute", absolute)):
        if value % 1000 or value == 0:
            merger.fault(
                (*at, "session", key),
                "out_of_range",
                f"`{getattr(session, key)}` is out of range; write whole seconds, such as `30m`",
            )
    if idle > absolute:
        merger.fault(
            (*at, "session", "idle"),
            "out_of_range",
            f"a session is over after `absolute: {session.absolute}` in any case; make `idle` at most that",
        )
    leeway = milliseconds(provider.leeway)
    if leeway > 300_000 or leeway % 1000:
        merger.fault(
            (*at, "leeway"),
            "out_of_range",
            f"`{provider.leeway}` is out of range; write whole seconds, at most `5m`",
        )
    if session.store == "server" and merger.gateway.state is None:
        merger.fault(
            (*at, "session", "store"),
            "state_missing",
            "sessions are kept in `state`, and there is none; write `state: {directory: /var/lib/yett}` or `state: {redis: …}`, or remove `store`",
        )
    for claim, spec in provider.claims.items():
        if claim in RESERVED and "type" in spec.model_fields_set:
            merger.fault(
                (*at, "claims", claim, "type"),
                "claim_invalid",
                f"the type of `{claim}` is fixed; remove `type`",
                True,
            )


def _addresses(merger: Merger, at: Location, provider: Oidc) -> None:
    urls = provider.urls()
    plain = [(place, url) for place, url in urls if url.startswith("http://")]
    if provider.plaintext is None:
        for place, url in plain:
            merger.fault(
                (*at, *place),
                "plaintext_reason",
                f"`{url}` is plain HTTP, where anyone on the way could log in as anyone; use https, or add `plaintext:` with a reason",
            )
    elif not plain:
        merger.fault(
            (*at, "plaintext"), "plaintext_unused", "nothing here is plain HTTP; remove `plaintext`", True
        )
    own = urlsplit(provider.issuer).hostname
    for place, url in urls[1:]:
        host = urlsplit(url).hostname
        if host != own and host not in provider.hosts:
            merger.fault(
                (*at, *place),
                "provider_host",
                f"`{host}` is not the issuer's host, `{own}`; add it to `hosts` if it is meant",
            )


def check_routes(merger: Merger, policies: list[Policy]) -> None:
    """Where providers and routes meet."""
    gateway = merger.gateway
    logins = {name: item for name, item in gateway.identity_providers.items() if isinstance(item, Oidc)}
    bases: dict[str, str] = {}
    for name, provider in logins.items():
        at: Location = ("identity_providers", name, "path")
        base = provider.base(name)
        for other, owner in bases.items():
            if f"{base}/".startswith(f"{other}/") or f"{other}/".startswith(f"{base}/"):
                merger.fault(
                    at, "path_reserved", f"`{owner}` answers under `{other}` already; name another `path`"
                )
        bases[base] = name
        for route, item in gateway.routes.items():
            path = item.match.path
            if path == base or path.startswith(f"{base}/"):
                merger.fault(
                    ("routes", route, "match", "path"),
                    "path_reserved",
                    f"under `{base}` the gateway itself answers for `{name}`; choose another path, or another `path` for `{name}`",
                )
    for policy in policies:
        here = [name for name in policy.providers if name in logins]
        for listener in policy.listeners if here else ():
            spec = gateway.listeners.get(listener)
            if spec is not None and spec.tls is None and spec.trusted_proxies is None:
                merger.fault(
                    ("routes", policy.name),
                    "login_insecure",
                    f"`{here[0]}` keeps sessions in cookies that go over HTTPS only, and `{listener}` speaks plain HTTP; "
                    "give it `tls`, or the `trusted_proxies` that end TLS before it",
                    True,
                )


def key_errors(gateway: Gateway, material: Material, places: Places) -> list[ConfigError]:
    """Session keys that are none, without anything of them."""
    from yett.config.resolve import secret_name

    errors: list[ConfigError] = []
    for name, provider in gateway.identity_providers.items():
        seen: set[bytes] = set()
        for index in range(len(provider.session.keys) if isinstance(provider, Oidc) else 0):
            at: Location = ("identity_providers", name, "session", "keys", index)
            text = material.secrets.get(secret_name(at))
            key = None if text is None else _session_key(text)
            if text is not None and key is None:
                errors.append(
                    places.error(
                        at,
                        "session_key_invalid",
                        "a session key is 32 random bytes in base64 or hexadecimal; make one with `openssl rand -base64 32`",
                    )
                )
            elif key is not None and key in seen:
                errors.append(places.error(at, "session_key_invalid", "this key stands twice; remove one"))
            if key is not None:
                seen.add(key)
    return errors


def _session_key(text: bytes) -> bytes | None:
    """The key, as the data plane reads it (`providers/oidc/seal.rs`)."""
    text = text.strip()
    try:
        if len(text) == 64:
            key = bytes.fromhex(text.decode("ascii"))
        else:
            plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
            key = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (ValueError, UnicodeDecodeError, binascii.Error):
        return None
    return key if len(key) == 32 else None
