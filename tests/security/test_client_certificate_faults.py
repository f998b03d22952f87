"""Threat: a certificate for another purpose, of another authority, expired or revoked is taken for a client."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.clients import DAY, NOW, VERSIONS, Authority, configured, shows
from tests.support.waiting import eventually


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


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
