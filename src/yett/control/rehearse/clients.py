"""Certificates of clients: each fault that one can have, with a rehearsal authority in the place of the configured ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from cryptography import x509

from yett.config.certificates import names_of, parse
from yett.control.rehearse.authority import DAY, HOUR, SERVER, Authority, Issued
from yett.control.rehearse.cases import SERVED, Played, Stage, load
from yett.control.rehearse.scratch import CLOSED, OPEN, Pair, Scratch, Trust

_NAME = "yett-rehearsal.invalid"


def client_cases(
    scratch: Scratch,
    listener: str,
    tls: dict[str, Any],
    clients: dict[str, Any],
    secrets: dict[str, bytes],
    now: datetime,
) -> Iterator[Played]:
    """One client a case, on the route that requires a certificate where it has one to show."""
    yield _stranger(scratch, listener, tls, clients, secrets, now)
    if clients.get("crls"):
        yield Played(listener, "revocation lists: as configured", "in date", *_lists(clients["crls"], now))
    ours = Stage.built(Authority("yett rehearsal root", now))
    authority = Authority("yett rehearsal clients", now)
    revoked = authority.issue("revoked")
    lists = (authority.revoke(revoked.certificate.serial_number),) if clients.get("crls") else ()
    trust = Trust(clients["mode"], authority.pem, lists)

    def play(case: str, expected: str, shown: Issued | None, path: str = CLOSED) -> Played:
        happened = scratch.ask(_NAME, ours.root.pem, shown, path)
        return Played(listener, f"client certificate: {case}", expected, happened)

    refused = load(scratch, ours.pair(_NAME), trust)
    if refused:
        yield Played(listener, "client certificate: rehearsal authority in place", SERVED, *refused)
        return
    yield play("good", SERVED, authority.issue("good"))
    if clients["mode"] == "required":
        yield play("none", "the gateway refuses: no_client_certificate", None)
    else:
        yield play("none, a route that requires one", "answered 403 client_certificate_required", None)
        yield play("none, another route", SERVED, None, OPEN)
    for case, cause, shown in _faulty(authority, now):
        yield play(case, f"the gateway refuses: {cause}", shown)
    if not lists:
        return
    yield play("revoked", "the gateway refuses: client_certificate_revoked", revoked)
    old = Trust(clients["mode"], authority.pem, (authority.revoke(until=-HOUR),))
    refused = load(scratch, ours.pair(_NAME), old)
    played = play("good, revocation list out of date", "the gateway refuses: revocation_list_expired", authority.issue("good"))  # fmt: skip
    yield Played(played.listener, played.case, played.expected, *refused) if refused else played


def _lists(crls: Iterable[str], now: datetime) -> tuple[str, str]:
    """Whether all are in date, and when the first ends. One that is not refuses every client."""
    ends = [
        end for text in crls for one in _split(text) if (end := x509.load_pem_x509_crl(one).next_update_utc)
    ]
    first = min(ends, default=now)
    return ("in date" if first > now else "out of date"), f"until {first:%Y-%m-%d %H:%M} UTC"


def _split(text: str) -> list[bytes]:
    end = "-----END X509 CRL-----"
    return [(part + end).encode() for part in text.split(end)[:-1]]


def _faulty(authority: Authority, now: datetime) -> Iterator[tuple[str, str, Issued]]:
    other = Authority("yett rehearsal other", now)
    yield "expired", "client_certificate_expired", authority.issue("expired", after=-2 * DAY, until=-HOUR)
    yield "not yet valid", "client_certificate_not_yet_valid", authority.issue("early", after=HOUR)
    yield "of another authority", "client_certificate_unknown_ca", other.issue("stranger")
    yield "for servers only", "client_certificate_purpose", authority.issue("server", purpose=SERVER)


def _stranger(
    scratch: Scratch,
    listener: str,
    tls: dict[str, Any],
    clients: dict[str, Any],
    secrets: dict[str, bytes],
    now: datetime,
) -> Played:
    """The one case that needs nothing in the place of anything: real certificate, authorities and lists, and a stranger."""
    ours = Stage.built(Authority("yett rehearsal root", now)).pair(_NAME)
    # where the only certificate is still to come, the rehearsal's stands in its place
    pair = next(iter(tls["certificates"]), {"chain": ours.chain, "key": ""})
    key = secrets.get(pair["key"], ours.key)
    leaf = parse(pair["chain"])[0]
    names = names_of(leaf)
    name = names[0].replace("*", "rehearsal", 1) if names else _NAME
    trust = Trust(clients["mode"], clients["ca"], tuple(clients.get("crls", ())))
    case = "client certificate: of a stranger, everything as configured"
    expected = "the gateway refuses: client_certificate_unknown_ca"
    refused = load(scratch, Pair(pair["chain"], key), trust)
    if refused:
        return Played(listener, case, expected, *refused)
    shown = Authority("yett rehearsal clients", now).issue("stranger")
    return Played(listener, case, expected, scratch.ask(name, pair["chain"], shown, CLOSED))
