"""SPIFFE with its reference library (go-spiffe): a Workload API that gives what a test says, services and clients that use it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.go_tools import go_program

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """An X.509-SVID, as an agent gives it."""

    id: str
    chain: bytes
    """DER."""
    key: bytes
    """DER of PKCS #8."""
    serial: int


class TrustDomain:
    """A trust domain with one authority."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        built = self._builder(self._name, self._key, f"spiffe://{name}", authority=True)
        self.certificate = built.sign(self._key, hashes.SHA256())

    @property
    def bundle(self) -> bytes:
        """DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def issue(self, path: str, names: Sequence[str] = ("localhost",), id: str | None = None) -> Identity:
        """A certificate for `spiffe://NAME/PATH`, or for an `id` that may be of another trust domain."""
        key = ec.generate_private_key(ec.SECP256R1())
        uri = id or f"spiffe://{self.name}{path}"
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIRE")])
        made = self._builder(subject, key, uri, names=names).sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return Identity(uri, made.public_bytes(Encoding.DER), private, made.serial_number)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, uri: str, *,
        authority: bool = False, names: Sequence[str] = (),
    ) -> x509.CertificateBuilder:  # fmt: skip
        now = datetime.now(UTC)
        uses = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
        )  # fmt: skip
        usage = x509.KeyUsage(
            digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **uses
        )
        alternatives = [x509.UniformResourceIdentifier(uri), *(x509.DNSName(name) for name in names)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - HOUR)
            .not_valid_after(now + HOUR)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        )
        if not authority:
            purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        return builder


class WorkloadApi:
    """An agent: what it gives is what `give` said last, and nothing before."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.start()

    def start(self) -> None:
        """Also again after `stop`; it gives nothing then."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [go_program("spiffe"), "api", str(self.socket)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def give(self, *identities: Identity, domain: TrustDomain, federated: Sequence[TrustDomain] = ()) -> None:
        """To everyone who listens, at once. Without identities it denies."""

        def text(data: bytes) -> str:
            return base64.b64encode(data).decode()

        document: dict[str, Any] = {
            "Identities": [
                {"ID": one.id, "Chain": text(one.chain), "Key": text(one.key), "Bundle": text(domain.bundle)}
                for one in identities
            ],
            "Federated": {f"spiffe://{one.name}": text(one.bundle) for one in federated},
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "set\n"

    def stop(self) -> None:
        _end(self._process)


class WorkloadService:
    """A service over mutual TLS that takes one workload; its answer is whom it saw."""

    def __init__(self, socket: Path, caller: str) -> None:
        self._process = subprocess.Popen(
            [go_program("spiffe"), "service", str(socket), caller],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"https://127.0.0.1:{self.port}"

    def stop(self) -> None:
        _end(self._process)


def asked(socket: Path, server: str, url: str) -> str:
    """What a client with its identity gets from a server that has to be this workload: `STATUS BODY`, or what is wrong."""
    done = subprocess.run(
        [go_program("spiffe"), "client", str(socket), server, url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return (done.stdout or done.stderr).strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
