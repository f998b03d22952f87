"""What is not wrong with certificates, but worth saying: soon ended, unknown to the system, not valid yet."""

from __future__ import annotations

import functools
import ssl
import warnings as notices
from collections.abc import Iterable
from datetime import datetime

from yett.config.acme import Ordered
from yett.config.certificates import Certificate

SOON_DAYS = 14
"""Fewer days left than these are worth a warning."""


def warnings(found: Iterable[Certificate], now: datetime, roots: frozenset[str] | None = None) -> list[str]:
    """A sentence for each. `roots` are the subjects that the system trusts (found out where not given)."""
    known = list(found)
    return dates(known, now) + strangers(known, roots)


def dates(found: Iterable[Certificate], now: datetime) -> list[str]:
    """A sentence for each that is not valid now, or not for long."""
    said: list[str] = []
    for one in found:
        if "spiffe" in one.at:
            # hours long, private, and the agent's to renew
            continue
        what = f"{_WORDS[one.use]} `{one.owner}`"
        which = "certificate" if one.position == 0 else f"certificate {one.position + 1}"
        if one.not_before > now:
            said.append(f"{which} of {what} is not valid before {one.not_before:%Y-%m-%d %H:%M} UTC")
        elif one.not_after <= now:
            ours = one.use in {"listener", "service_client"}
            said.append(
                f"{which} of {what} ended on {one.not_after:%Y-%m-%d}; "
                + ("everyone who checks it refuses it" if ours else _STILL_TRUSTED)
            )
        elif one.days_left(now) < SOON_DAYS:
            said.append(f"{which} of {what} ends in {one.days_left(now)} days, on {one.not_after:%Y-%m-%d}")
    return said


def strangers(found: Iterable[Certificate], roots: frozenset[str] | None = None) -> list[str]:
    """A sentence for each listener whose chain ends at an authority that the system does not know: a mistake, or one of ours."""
    top = {one.at: one for one in found if one.use == "listener" and "spiffe" not in one.at}
    if not top:
        return []
    known = system_roots() if roots is None else roots
    return [
        f"the chain of listener `{one.owner}` ends at `{one.issuer}`, which this system does not know: clients need it"
        for one in top.values()
        if one.issuer not in known
    ]


def pending(ordered: Iterable[Ordered]) -> list[str]:
    """A sentence for each listener with names that have no certificate yet."""
    said = []
    for one in ordered:
        if one.fault:
            said.append(
                f"the stored certificate of listener `{one.listener}` {one.fault}; a new one is ordered"
            )
        if one.pending:
            names = ", ".join(f"`{name}`" for name in one.pending)
            said.append(
                f"listener `{one.listener}` has no certificate for {names} yet; such handshakes fail until it is issued"
            )
    return said


_STILL_TRUSTED = "what it signed is accepted all the same, so name the authority that follows it"
_WORDS = {
    "listener": "listener",
    "client_ca": "the authority for clients of listener",
    "service_ca": "the authority of service",
    "service_client": "our client certificate for service",
    "acme_ca": "the authority of the ACME directory of listener",
    "provider_ca": "the authority of identity provider",
    "check_ca": "the authority of the external check of",
    "provider_client": "our client certificate for identity provider",
}


@functools.cache
def system_roots() -> frozenset[str]:
    """Subjects (RFC 4514) of the authorities that the system trusts."""
    from cryptography import x509

    context = ssl.create_default_context()
    subjects = set()
    with notices.catch_warnings():
        # old roots have odd serials, which the library complains about
        notices.simplefilter("ignore")
        for der in context.get_ca_certs(binary_form=True):
            try:
                subjects.add(x509.load_der_x509_certificate(der).subject.rfc4514_string())
            except ValueError:
                continue
    return frozenset(subjects)
