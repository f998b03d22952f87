"""What has to fit together where certificates are ordered."""

from __future__ import annotations

from yett.config.merge import Merger

_ANSWERING = {"requests", "redirect"}


def check_acme(merger: Merger) -> None:
    """A place for what is stored, a listener that answers challenges, and a certificate of some kind for every listener."""
    gateway = merger.gateway
    ordering = []
    for name, listener in gateway.listeners.items():
        if listener.tls is None:
            continue
        at = ("listeners", name, "tls")
        if listener.tls.acme:
            ordering.append((*at, "acme"))
        elif not listener.tls.certificates and not listener.tls.spiffe:
            merger.fault(
                at,
                "certificate_missing",
                "no certificate is named; give `certificates: {chain: …, key: {file: …}}`, order one with `acme`, or get one with `spiffe`",
                True,
            )
    if not ordering:
        return
    if gateway.state is None or gateway.state.directory is None:
        merger.fault(
            ordering[0],
            "state_missing",
            "accounts and certificates have to be kept somewhere; add `state: {directory: /var/lib/yett}`",
            True,
        )
    answering = [one for one in gateway.listeners.values() if one.tls is None and one.kind in _ANSWERING]
    if not answering:
        merger.fault(
            ordering[0],
            "challenge_unanswered",
            "the authority asks over plain HTTP whether the names are ours; add a listener for port 80 with `redirect: https`",
            True,
        )
