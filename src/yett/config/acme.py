"""Certificates that are ordered from an authority and renewed (ACME, RFC 8555), and what is stored of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, WithJsonSchema

from yett.config.base import Model, refuse
from yett.config.certificates import chain_fault, names_of, parse, utc_now
from yett.config.state import state_directory
from yett.config.types import _LIST_SCHEMA, Items, PublicFile, forbidden_host

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.places import Places

MAX_DOMAINS = 100
"""Names of one certificate; public authorities allow no more."""
MAX_STORED = 1 << 20
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)


def _directory(value: Any) -> Any:
    parts = urlsplit(value) if isinstance(value, str) and value.isprintable() else urlsplit("")
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise refuse(
            "url_invalid",
            f"`{value}` is no directory of an authority; write its `https://` address, such as "
            "`https://acme-v02.api.letsencrypt.org/directory`",
        )
    why = forbidden_host(parts.hostname)
    if why:
        raise refuse("address_forbidden", f"`{parts.hostname}` {why}; it is never contacted")
    return value


def _domains(value: Any) -> Any:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise refuse("list_expected", "write the names of the certificate, such as `[api.example.com]`")
    found: list[str] = []
    for index, item in enumerate(items):
        at = () if isinstance(value, str) else (index,)
        name = item.lower() if isinstance(item, str) else ""
        labels = name.split(".")
        if labels[0] == "*":
            raise refuse(
                "domain_invalid", f"`{item}`: wildcards are not proved over HTTP; name every host", at
            )
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            raise refuse("domain_invalid", f"`{item}` is no name of a host, such as `api.example.com`", at)
        if name in found:
            raise refuse("listed_twice", f"`{item}` is listed twice; remove one", at)
        found.append(name)
    if len(found) > MAX_DOMAINS:
        raise refuse("out_of_range", f"a certificate has at most {MAX_DOMAINS} names; these are {len(found)}")
    return tuple(found)


def _contact(value: Any) -> Any:
    for item in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
        if isinstance(item, str) and not re.fullmatch(r"mailto:[^\s@,?]+@[^\s@,?]+", item):
            raise refuse("contact_invalid", f"`{item}` is no contact; write `mailto:ops@example.com`")
    return value


def _agreed(value: Any) -> Any:
    if value is not True:
        raise refuse(
            "terms_not_agreed", "nothing is ordered before the authority's terms are agreed to; write `true`"
        )
    return value


class Acme(Model):
    """A certificate that is ordered from an authority (RFC 8555), proved over plain HTTP, and renewed."""

    directory: Annotated[str, BeforeValidator(_directory), WithJsonSchema({"type": "string"})]
    """The authority's directory, an `https://` address."""
    domains: Annotated[tuple[str, ...], BeforeValidator(_domains), WithJsonSchema(_LIST_SCHEMA)]
    """The names of the certificate; each has to lead to a listener without TLS of this gateway, from outside on port 80."""
    agree_to_terms: Annotated[Literal[True], BeforeValidator(_agreed)]
    """That the authority's terms of service are read and agreed to: `true`."""
    contact: Annotated[Items, BeforeValidator(_contact)] = ()
    """Whom the authority writes to: `mailto:…`; nobody otherwise."""
    ca: PublicFile | None = None
    """PEM of the authority that vouches for the directory's own TLS; otherwise those that `certifi` lists."""


@dataclass(frozen=True)
class Stored:
    """A certificate in the state directory."""

    chain: str
    """PEM, leaf first."""
    key: bytes = field(repr=False)
    """PEM."""
    names: frozenset[str]
    serial: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Ordered:
    """A certificate of the configuration that is ordered, as it was when the configuration was read."""

    listener: str
    acme: Acme
    ca: str | None
    """PEM; see `Acme.ca`."""
    root: Path
    """What is ACME's in the state directory."""
    file: Path
    """Where its chain and key are kept."""
    mark: tuple[int, int, int]
    """What identifies the content of the file."""
    stored: Stored | None
    fault: str
    """Why what is stored is of no use, if so."""

    @property
    def pending(self) -> list[str]:
        """Names without a certificate."""
        have = self.stored.names if self.stored else frozenset()
        return [name for name in self.acme.domains if name not in have]


def ordered(gateway: Gateway, places: Places, texts: dict[tuple[str | int, ...], str]) -> Iterator[Ordered]:
    """Every certificate that is ordered. Reads the state directory, writes nothing."""
    directory = state_directory(gateway.state, places) if gateway.state else None
    if directory is None:
        return
    root = directory / "acme"
    for name, listener in sorted(gateway.listeners.items()):
        acme = listener.tls.acme if listener.tls else None
        if acme:
            authority = hashlib.sha256(acme.directory.encode()).hexdigest()[:12]
            file = root / "certificates" / f"{name}-{authority}.pem"
            mark = mark_of(file)
            stored, fault = read_stored(file)
            ca = texts.get(("listeners", name, "tls", "acme", "ca"))
            yield Ordered(name, acme, ca, root, file, mark, stored, fault)


def mark_of(file: Path) -> tuple[int, int, int]:
    """What identifies the content of a file that is only ever replaced."""
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def read_stored(file: Path) -> tuple[Stored | None, str]:
    """A stored certificate, or nothing and why it is of no use. One that has ended is of use: clients say what is wrong."""
    try:
        with file.open("rb") as open_file:
            data = open_file.read(MAX_STORED)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"cannot be read ({(error.strerror or 'error').lower()})"
    return read_pair(data)


def read_pair(data: bytes) -> tuple[Stored | None, str]:
    """A key in PEM and after it its chain, or why they cannot be served."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    end = data.find(b"-----BEGIN CERTIFICATE-----")
    key, text = data[:end], data[end:]
    try:
        chain = parse(text.decode()) if end >= 0 else []
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError):
        return None, "holds no key and chain in PEM"
    if not chain:
        return None, "holds no certificate"
    if private.public_key() != chain[0].public_key():
        return None, "holds a key that does not belong to its certificate"
    fault = chain_fault(chain, utc_now())
    if fault:
        return None, f"cannot be served: {fault}"
    leaf = chain[0]
    names = frozenset(name.lower() for name in names_of(leaf))
    return Stored(
        text.decode(), key.strip(), names, leaf.serial_number, leaf.not_valid_before_utc, leaf.not_valid_after_utc
    ), ""  # fmt: skip
