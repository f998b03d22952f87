"""Certificates of a configuration: which there are, when they end, and whether each chain fits together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from yett.config.base import Location
from yett.config.places import Places
from yett.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509

    from yett.config.resolve import Material

MAX_CHAIN = 10
"""Certificates of a chain that is served; TLS clients stop reading not far beyond."""

Use = Literal[
    "listener",
    "client_ca",
    "service_ca",
    "service_client",
    "provider_ca",
    "provider_client",
    "check_ca",
    "acme_ca",
]
_USES: dict[tuple[str, str], Use] = {
    ("listeners", "chain"): "listener",
    ("listeners", "ca"): "client_ca",
    ("services", "ca"): "service_ca",
    ("services", "certificate"): "service_client",
    ("identity_providers", "ca"): "provider_ca",
    ("identity_providers", "certificate"): "provider_client",
    ("groups", "ca"): "check_ca",
    ("routes", "ca"): "check_ca",
}
_CHAINS = {"listener", "service_client", "provider_client"}


@dataclass(frozen=True)
class Certificate:
    """One certificate that the configuration uses."""

    use: Use
    """`listener` and `service_client`: ours, or part of its chain. The others: authorities that we trust."""
    owner: str
    """The listener, service or provider."""
    at: Location
    """The key that names its file."""
    position: int
    """In its file; 0 is the leaf of a chain."""
    subject: str
    """RFC 4514."""
    issuer: str
    """RFC 4514."""
    names: tuple[str, ...]
    """Subject alternative names: DNS names and addresses."""
    serial: str
    """Hexadecimal."""
    fingerprint: str
    """SHA-256 of the DER form, hexadecimal."""
    not_before: datetime
    not_after: datetime
    public_key: bytes
    """SubjectPublicKeyInfo, DER; empty for a kind of key that is not known here."""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative when it has ended."""
        return (self.not_after - now).days


def parse(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM text in order. Raises `ValueError` where one cannot be read."""
    from cryptography import x509

    return x509.load_pem_x509_certificates(text.encode())


def files(material: Material) -> Iterator[tuple[Use, str, Location, str]]:
    """Every PEM text of certificates: use, owner, place, text."""
    for at, text in sorted(material.texts.items(), key=lambda item: [str(step) for step in item[0]]):
        use = _USES.get((str(at[0]), str(at[-1])))
        if use == "client_ca" and at[-2] == "acme":
            use = "acme_ca"
        if use is not None and "BEGIN CERTIFICATE" in text:
            yield use, str(at[1]), at, text


def inventory(material: Material) -> list[Certificate]:
    """Every certificate in use. Raises `ValueError` where one cannot be read: `chain_errors` says which."""
    return [
        _described(use, owner, at, position, found)
        for use, owner, at, text in files(material)
        for position, found in enumerate(parse(text))
    ]


def _described(use: Use, owner: str, at: Location, position: int, found: x509.Certificate) -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    return Certificate(
        use, owner, at, position, found.subject.rfc4514_string(), found.issuer.rfc4514_string(), names_of(found),
        f"{found.serial_number:x}", found.fingerprint(SHA256()).hex(), found.not_valid_before_utc, found.not_valid_after_utc,
        _public_key(found),
    )  # fmt: skip


def _public_key(found: x509.Certificate) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""


def names_of(found: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def chain_errors(material: Material, places: Places, now: datetime) -> list[ConfigError]:
    """Files that cannot be read, chains whose certificates do not follow each other, intermediates that have ended.

    A leaf that has ended is a warning only: it must not keep the other routes from loading.
    """
    errors: list[ConfigError] = []
    for use, _, at, text in files(material):
        try:
            chain = parse(text)
        except ValueError:
            errors.append(
                places.error(
                    at, "certificate_unreadable", "one of the certificates in this file cannot be read"
                )
            )
            continue
        if use in _CHAINS:
            message = chain_fault(chain, now)
            if message:
                errors.append(places.error(at, "chain_invalid", message))
    return errors


def chain_fault(chain: list[x509.Certificate], now: datetime) -> str | None:
    """Why a chain must not be served, if there is a reason."""
    if len(chain) > MAX_CHAIN:
        return f"the chain has {len(chain)} certificates; at most {MAX_CHAIN} are of use, the leaf first"
    for index, (lower, upper) in enumerate(itertools.pairwise(chain), 1):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:
            hint = "put the leaf first, then the certificate that signed it, and so on"
            return f"certificate {index + 1} of the chain did not sign certificate {index}; {hint}"
    for index, upper in enumerate(chain[1:], 2):
        if upper.not_valid_after_utc <= now:
            ended = f"{upper.not_valid_after_utc:%Y-%m-%d}"
            return f"certificate {index} of the chain (an intermediate) ended on {ended}; get the current one from the authority"
    return None


def utc_now() -> datetime:
    """The time for the checks above."""
    return datetime.now(UTC)
