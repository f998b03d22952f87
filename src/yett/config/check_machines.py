"""Providers for machines: what does not fit together."""

from __future__ import annotations

from yett.config.base import Location, listed
from yett.config.merge import Merger, Policy
from yett.config.providers.mtls import Mtls
from yett.config.providers.signed_request import SignedRequest


def check_machines(merger: Merger, policies: list[Policy]) -> None:
    """Within each provider, then with the routes that accept it."""
    providers = merger.gateway.identity_providers
    for name, provider in providers.items():
        if isinstance(provider, Mtls):
            for where, code, message in provider.faults():
                merger.fault(("identity_providers", name, *where), code, message, len(where) > 1)
    for policy in policies:
        if not policy.providers:
            continue
        _certificates(merger, policy)
        signed = [name for name in policy.providers if isinstance(providers.get(name), SignedRequest)]
        if len(signed) > 1 and not policy.all_of:
            merger.fault(
                _at(merger, policy),
                "provider_ambiguous",
                f"{listed(signed)} both read signatures, and a request has one; accept one of them here",
            )


def _certificates(merger: Merger, policy: Policy) -> None:
    """A provider of certificates means something only where the listener asks for them."""
    listeners, providers = merger.gateway.listeners, merger.gateway.identity_providers
    own = [name for name in policy.providers if isinstance(providers.get(name), Mtls)]
    for listener in policy.listeners if own else ():
        tls = listeners[listener].tls if listener in listeners else None
        if listener in listeners and (tls is None or tls.client_certificates is None):
            merger.fault(
                _at(merger, policy),
                "client_certificate_unasked",
                f"`{own[0]}` knows callers by their certificates, and `{listener}` asks for none; "
                "add `tls: {client_certificates: …}` there, or name other `listeners`",
            )


def _at(merger: Merger, policy: Policy) -> Location:
    route = merger.gateway.routes[policy.name]
    return (
        ("routes", policy.name, "authenticate")
        if route.authenticate
        else ("groups", policy.group or "", "authenticate")
    )
