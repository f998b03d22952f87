"""Client certificates under test: an authority with revocation lists, and listeners that ask."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import configs

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
FOR_CLIENTS = (ExtendedKeyUsageOID.CLIENT_AUTH,)


class Authority:
    """Issues certificates and revocation lists."""

    def __init__(self, directory: Path, name: str = "clients") -> None:
        self.directory, self.key = directory, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self.name, self.key.public_key(), NOW + 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(
            builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def _builder(self, subject: x509.Name, key: Any, end: datetime.datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().issuer_name(self.name).subject_name(subject).public_key(key)
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 30 * DAY)
            .not_valid_after(end)
        )

    def issue(
        self,
        name: str,
        purposes: tuple[Any, ...] = FOR_CLIENTS,
        end: datetime.datetime = NOW + DAY,
        names: list[x509.GeneralName] | None = None,
        subject: x509.Name | None = None,
    ) -> tuple[Path, int]:
        """A client's certificate and key in one file, and its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usual = [x509.DNSName(f"{name}.test"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
        names = usual if names is None else names
        builder = self._builder(subject, key.public_key(), end)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        made = builder.sign(self.key, hashes.SHA256())
        file = self.directory / f"{name}-both.pem"
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        return file, made.serial_number

    def revoke(self, *serials: int, end: datetime.datetime = NOW + DAY) -> str:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(NOW - 2 * DAY).next_update(end)
        builder = builder.add_extension(x509.CRLNumber(1), False)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        file = self.directory / "clients.crl"
        file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(file)


def configured(origin: Any, listener_tls: dict[str, Any], **demand: Any) -> dict[str, Any]:
    main = {"address": "127.0.0.1:0", "tls": {**listener_tls, "client_certificates": demand}}
    closed = configs.route("/closed", client_certificate="required")
    return {
        "listeners": {"main": main},
        "services": {"origin": configs.service(origin)},
        "routes": {"open": configs.route("/open"), "closed": closed},
    }


def shows(
    authority: Any, file: Path | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    if file is not None:
        context.load_cert_chain(file)
    return context


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
