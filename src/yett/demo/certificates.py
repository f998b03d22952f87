"""Local authorities: one for the gateway's certificate for `localhost`, one for the services and the gateway among themselves."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from yett.demo import DemoError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=7)
TRUST_DOMAIN = "spiffe://shop.example"


@dataclass(frozen=True)
class Leaf:
    """A certificate to make: `NAME.pem` and `NAME.key`."""

    name: str
    authority: str
    uri: str | None = None
    dns: str | None = None
    client: bool = False


def leaves(services: tuple[str, ...]) -> tuple[Leaf, ...]:
    """The edge's, the gateway's towards services, and each service's."""
    inside = tuple(Leaf(name, "internal-ca", f"{TRUST_DOMAIN}/{name}") for name in services)
    gateway = Leaf("gateway", "internal-ca", f"{TRUST_DOMAIN}/gateway", client=True)
    return (Leaf("edge", "ca", dns="localhost"), gateway, *inside)


def ensure_certificates(state: Path, services: tuple[str, ...]) -> None:
    """Makes all certificates with their keys and authorities, or makes them anew when they are about to expire.

    The authorities' own keys are forgotten once they have signed: nobody can make another certificate with them.

    Raises:
        DemoError: the `demo` extra is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError:
        raise DemoError("the demo needs more packages: pip install 'yett[demo]'") from None
    from yett.demo.shop import write_private

    wanted = leaves(services)
    now = datetime.now(UTC)
    files = [state / f"{name}.pem" for name in ("ca", "internal-ca", *(leaf.name for leaf in wanted))]
    if all(file.exists() for file in (*files, *(state / f"{leaf.name}.key" for leaf in wanted))):
        ends = (x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc for file in files)
        if min(ends) - RENEW_BEFORE > now:
            return
    authorities = {name: _Authority(f"Yett demo {name}", now) for name in ("ca", "internal-ca")}
    for leaf in wanted:
        certificate, key = authorities[leaf.authority].issue(leaf)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(state / f"{leaf.name}.key", private.decode())
        (state / f"{leaf.name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    for name, authority in authorities.items():
        (state / f"{name}.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))


class _Authority:
    """Signs, and is forgotten."""

    def __init__(self, name: str, now: datetime) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        self._name, self._now = name, now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = (
            self._builder(name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, leaf: Leaf) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate for this machine, for one purpose."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(leaf.dns)] if leaf.dns else []
        names += [x509.UniformResourceIdentifier(leaf.uri)] if leaf.uri else []
        if not leaf.client:
            names += [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if leaf.client else ExtendedKeyUsageOID.SERVER_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        return (
            self._builder(leaf.dns or leaf.name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        ), key

    def _builder(self, subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(minutes=5))
            .not_valid_after(self._now + LIFETIME)
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
