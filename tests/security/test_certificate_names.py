"""Threat: a certificate of the right authority carries a known name in the wrong place."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support import configs
from tests.support.clients import Authority, shows

ID = "spiffe://example.org/billing"


def configured(service, listener_tls, clients, **provider):
    main = {
        "address": "127.0.0.1:0",
        "tls": {**listener_tls, "client_certificates": {"mode": "required", "ca": str(clients.file)}},
    }
    return {
        "listeners": {"main": main},
        "identity_providers": {"mesh": {"type": "mtls", **provider}},
        "services": {"origin": configs.service(service)},
        "routes": {"closed": configs.route(authenticate="mesh", access="authenticated")},
    }


@pytest.mark.parametrize(
    "names",
    [
        [x509.DNSName(ID)],
        [x509.RFC822Name(f"{ID}@x")],
        [x509.UniformResourceIdentifier(f"{ID}/")],
        [x509.UniformResourceIdentifier("spiffe://EXAMPLE.org/billing")],
        [x509.UniformResourceIdentifier("spiffe://example.org/./billing")],
        [x509.UniformResourceIdentifier("spiffe://example.org.evil.org/billing")],
        [x509.UniformResourceIdentifier("https://example.org/billing")],
        [x509.UniformResourceIdentifier(ID), x509.UniformResourceIdentifier("spiffe://evil.org/x")],
        [],
    ],
)
def test_a_spiffe_id_is_one_uri_of_ours(gateway, origin, listener_tls, authority, tmp_path, names):
    service, clients = origin(), Authority(tmp_path)
    config = configured(
        service, listener_tls, clients, subject="spiffe", trust_domains="example.org", identities={ID: {}}
    )
    gate = gateway(config)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ID)])
    file, _ = clients.issue("x", names=names, subject=subject)
    assert gate.get("/a", tls=shows(authority, file)).reason == "client_certificate_unknown"
    assert service.saw_nothing()


def test_a_subject_cannot_be_written_to_look_like_another(gateway, origin, listener_tls, authority, tmp_path):
    service, clients = origin(), Authority(tmp_path)
    wanted = "CN=batch,O=Acme"
    gate = gateway(
        configured(service, listener_tls, clients, subject="distinguished_name", identities={wanted: {}})
    )
    name = lambda *parts: x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])  # noqa: E731
    cases = {
        "right": (name((NameOID.ORGANIZATION_NAME, "Acme"), (NameOID.COMMON_NAME, "batch")), 200),
        "glued": (name((NameOID.COMMON_NAME, "batch,O=Acme")), 403),
        "twice": (
            name(
                (NameOID.ORGANIZATION_NAME, "Acme"),
                (NameOID.COMMON_NAME, "batch"),
                (NameOID.COMMON_NAME, "x"),
            ),
            403,
        ),
        "other": (name((NameOID.ORGANIZATIONAL_UNIT_NAME, "Acme"), (NameOID.COMMON_NAME, "batch")), 403),
    }
    for label, (subject, status) in cases.items():
        file, _ = clients.issue(label, subject=subject)
        assert gate.get("/a", tls=shows(authority, file)).status == status, label
    assert service.saw_no_more_than(1)
