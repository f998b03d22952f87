"""Routes that require a client certificate are not reached without one, whatever is confused: names, pieces, purposes, sessions."""

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
from tests.support.waiting import eventually
from tests.support.wire import Wire, head
from yett import _core
from yett.errors import ConfigurationError

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
        self, name: str, purposes: tuple[Any, ...] = FOR_CLIENTS, end: datetime.datetime = NOW + DAY
    ) -> tuple[Path, int]:
        """A client's certificate and key in one file, and its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(f"{name}.test"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
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


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


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


@VERSIONS
def test_a_route_requires_what_the_listener_only_asks_for(
    gateway, origin, listener_tls, authority, clients, version
):
    service = origin()
    gate = gateway(configured(service, listener_tls, mode="optional", ca=str(clients.file)))
    without = shows(authority, None, version)
    assert gate.get("/open", tls=without).status == 200
    refused = gate.get("/closed", tls=without)
    assert (refused.status, refused.reason) == (403, "client_certificate_required")
    assert len(service.requests) == 1
    assert gate.get("/closed", tls=shows(authority, clients.issue("partner")[0], version)).status == 200
    line = gate.log_line(path="/closed", status=200)
    assert len(line["client_certificate"]) == 64 and "partner" in line["client_certificate_subject"]


@VERSIONS
@pytest.mark.parametrize(
    "case", ["none", "other_authority", "expired", "server_only", "no_purpose", "revoked", "old_list"]
)
def test_a_certificate_that_does_not_hold_ends_the_handshake(
    gateway, origin, listener_tls, authority, clients, tmp_path, version, case
):
    causes = {
        "none": "no_client_certificate", "other_authority": "client_certificate_unknown_ca",
        "expired": "client_certificate_expired", "server_only": "client_certificate_purpose",
        "no_purpose": "client_certificate_purpose", "revoked": "client_certificate_revoked",
        "old_list": "revocation_list_expired",
    }  # fmt: skip
    issued = {
        "other_authority": lambda: Authority(tmp_path, "others").issue("x"),
        "expired": lambda: clients.issue("x", end=NOW - DAY),
        "server_only": lambda: clients.issue("x", (ExtendedKeyUsageOID.SERVER_AUTH,)),
        "no_purpose": lambda: clients.issue("x", ()),
    }
    file, serial = (None, 1) if case == "none" else issued.get(case, lambda: clients.issue("x"))()
    demand = {"mode": "required", "ca": str(clients.file)}
    if case in {"revoked", "old_list"}:
        demand["crl"] = clients.revoke(
            serial if case == "revoked" else 1, end=NOW - DAY if case == "old_list" else NOW + DAY
        )
    service = origin()
    gate = gateway(configured(service, listener_tls, **demand))
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        gate.get("/open", tls=shows(authority, file, version))
    name = "yett_tls_handshake_failures_total"
    eventually(lambda: gate.metric(name, cause=causes[case]) == 1, what=f"{causes[case]}: {gate.metrics()}")
    assert service.requests == []


def test_a_certificate_that_a_list_leaves_alone_is_served(gateway, origin, listener_tls, authority, clients):
    file, serial = clients.issue("good")
    demand = {"mode": "required", "ca": str(clients.file), "crl": clients.revoke(serial + 1)}
    gate = gateway(configured(origin(), listener_tls, **demand))
    assert gate.get("/closed", tls=shows(authority, file)).status == 200


@VERSIONS
def test_a_session_from_before_does_not_resume_once_the_list_changed(
    gateway, origin, listener_tls, authority, clients, version
):
    file, serial = clients.issue("leaver")
    demand = {"mode": "required", "ca": str(clients.file), "crl": clients.revoke(serial + 1)}
    service = origin()
    config = configured(service, listener_tls, **demand)
    gate = gateway(config)
    context = shows(authority, file, version)

    def ask(session: Any) -> tuple[bool, ssl.SSLSession]:
        raw = Wire(gate.address())
        raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost", session=session)
        with raw:
            assert raw.ask(target="/closed").status == 200
            return raw.socket.session_reused, raw.socket.session

    first, session = ask(None)
    again, session = ask(session)
    assert (first, again) == (False, True), "sessions resume while nothing changes"
    kept = Wire(gate.address(), tls=context, server_name="localhost")
    assert kept.ask(target="/closed").status == 200
    before = len(service.requests)
    config["listeners"]["main"]["tls"]["client_certificates"]["crl"] = clients.revoke(serial)
    gate.reload(config)
    assert kept.closed(5.0), "a connection of the old trust closes"
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        ask(session)
    assert len(service.requests) == before


def test_authorities_that_are_none_do_not_load(gateway, origin, listener_tls, authority, clients, tmp_path):
    config = configured(origin(), listener_tls, mode="optional", ca=str(clients.file))
    gate = gateway(config)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for ca in (empty, tmp_path / "missing.pem", clients.issue("leaf")[0].with_name("chain.pem")):
        config["listeners"]["main"]["tls"]["client_certificates"]["ca"] = str(ca)
        with pytest.raises((ConfigurationError, _core.ApplyError)):
            gate.reload(config)
    assert gate.get("/closed", tls=shows(authority, None)).status == 403, "the old one serves on"


def test_a_host_with_another_certificate_is_misdirected(gateway, origin, listener_tls, authority, tmp_path):
    issued = authority.issue_cert("other.test", "shared.test")
    chain, key = tmp_path / "other.pem", tmp_path / "other.key"
    chain.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    pairs = [*listener_tls["certificates"], {"chain": str(chain), "key": {"file": str(key)}}]
    service = origin()
    config = configs.public(service)
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": {"certificates": pairs}}}
    gate, tls = gateway(config), shows(authority, None)
    for sni, host, status in [
        ("gateway.test", "gateway.test", 200),
        ("gateway.test", "localhost", 200),
        ("other.test", "SHARED.test:8443", 200),
        ("gateway.test", "other.test", 421),
        ("other.test", "gateway.test", 421),
        ("127.0.0.1", "gateway.test", 200),
        ("127.0.0.1", "other.test", 421),
    ]:
        before = len(service.requests)
        answer = gate.get("/a", tls=tls, server_name=sni, host=host)
        assert answer.status == status, (sni, host)
        assert answer.reason == ("misdirected_request" if status == 421 else None)
        assert len(service.requests) - before == (status == 200)


def test_a_hello_in_single_bytes_is_the_same_hello(gateway, origin, listener_tls, authority, clients):
    service = origin()
    gate = gateway(configured(service, listener_tls, mode="optional", ca=str(clients.file)))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shows(authority, None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Wire(gate.address()) as wire:

        def step(work: Any) -> Any:
            while True:
                try:
                    done = work()
                except ssl.SSLWantReadError:
                    done = None
                for byte in outgoing.read():
                    wire.send(bytes([byte]))
                if done is not None:
                    return done
                incoming.write(wire.socket.recv(65536))

        step(lambda: session.do_handshake() or True)
        step(lambda: session.write(head("GET", "/closed")))
        assert step(lambda: session.read(4096)).startswith(b"HTTP/1.1 403")
    assert service.requests == []
