"""Certificates made for a test: an authority, intermediates, leaves with any fault."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def written(self, path: Path) -> str:
        """Certificate and key in one file that only its owner reads."""
        path.write_text(self.pem + self.key_pem)
        path.chmod(0o600)
        return str(path)


def make(
    name: str,
    *,
    by: Made | None = None,
    authority: bool = False,
    names: Sequence[str] = (),
    client: bool = False,
    after: timedelta = -DAY,
    until: timedelta = 30 * DAY,
) -> Made:
    """A certificate signed by `by` (by itself where there is none), valid from now + `after` to now + `until`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + after)
        .not_valid_after(now + until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_name(one) for one in names]), critical=False
        )
    return Made(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _name(text: str) -> x509.GeneralName:
    """`uri:…` and `dns:…` are that, whatever follows; otherwise an address or a DNS name."""
    kind, _, rest = text.partition(":")
    if kind == "uri":
        return x509.UniformResourceIdentifier(rest)
    if kind == "dns":
        return x509.DNSName(rest)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
