"""mtls: a name of the verified certificate is the caller; other names, kinds and domains are nobody."""

from __future__ import annotations

import json
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support import configs
from tests.support.clients import VERSIONS, Authority, shows


def configured(service, listener_tls, clients, provider, mode="optional", authenticate="mesh", **route):
    main = {
        "address": "127.0.0.1:0",
        "tls": {**listener_tls, "client_certificates": {"mode": mode, "ca": str(clients.file)}},
    }
    if not {"access", "authorize"} & set(route):
        route["access"] = "authenticated"
    route.setdefault("tenant", {"none": "test"})
    return {
        "listeners": {"main": main},
        "identity_providers": {"mesh": {"type": "mtls", **provider}},
        "services": {"origin": configs.service(service)},
        "routes": {"closed": configs.route(authenticate=authenticate, **route)},
    }


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


SPIFFE = {
    "subject": "spiffe",
    "trust_domains": "example.org",
    "identities": {
        "spiffe://example.org/billing": {
            "client": "billing",
            "scopes": "read",
            "roles": "ops",
            "tenant": "acme",
        },
        "spiffe://example.org/shops/{tenant}/{client}": {"kind": "device"},
    },
    "assurance": "mutual",
}


@VERSIONS
def test_a_certificate_is_its_caller(gateway, origin, listener_tls, authority, tmp_path, version):
    service, clients = origin(), Authority(tmp_path)
    gate = gateway(
        configured(service, listener_tls, clients, SPIFFE, authorize={"scopes": "read", "roles": "ops"})
    )
    file, _ = clients.issue("b", names=[uri("spiffe://example.org/billing")])
    assert gate.get("/a", tls=shows(authority, file, version)).status == 200
    line = gate.log_line(path="/a", status=200)
    assert (line["subject"], line["client_id"], line["kind"], line["authentication"], line["tenant"]) == (
        "spiffe://example.org/billing", "billing", "service", "mtls", "acme"
    )  # fmt: skip
    refused = gate.get("/a", tls=shows(authority, None, version))
    assert (refused.status, refused.reason) == (403, "client_certificate_required")
    assert len(service.requests) == 1


def test_a_pattern_gives_tenant_and_client(gateway, origin, listener_tls, authority, tmp_path):
    service, clients = origin(), Authority(tmp_path)
    config = configured(service, listener_tls, clients, SPIFFE)
    config["routes"] = {
        "till": configs.route("/{tenant}/till", authenticate="mesh", authorize={"tenant": "path.tenant"})
    }
    gate = gateway(config)
    file, _ = clients.issue("t", names=[uri("spiffe://example.org/shops/acme/till-7")])
    tls = shows(authority, file)
    assert gate.get("/acme/till", tls=tls).status == 200
    assert gate.get("/other/till", tls=tls).reason == "tenant_mismatch"
    line = gate.log_line(path="/acme/till")
    assert (line["kind"], line["client_id"], line["tenant"]) == ("device", "till-7", "acme")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "names",
    [
        [uri("spiffe://evil.org/billing")],
        [uri("spiffe://example.org/billing"), uri("spiffe://example.org/other")],
        [uri("spiffe://example.org/unheard-of")],
        [uri("spiffe://example.org/shops/acme/a/b")],
        [x509.DNSName("spiffe://example.org/billing")],
        [x509.RFC822Name("billing@example.org")],
        [x509.DNSName("billing")],
    ],
)
def test_any_other_name_is_nobody(gateway, origin, listener_tls, authority, tmp_path, names):
    service, clients = origin(), Authority(tmp_path)
    gate = gateway(configured(service, listener_tls, clients, SPIFFE))
    file, _ = clients.issue("x", names=names)
    answer = gate.get("/a", tls=shows(authority, file))
    assert (answer.status, answer.reason) == (403, "client_certificate_unknown")
    assert service.saw_nothing()


def test_subjects_and_addresses(gateway, origin, listener_tls, authority, tmp_path):
    service, clients = origin(), Authority(tmp_path)
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme, Inc."),
        x509.NameAttribute(NameOID.COMMON_NAME, "batch"),
    ])  # fmt: skip
    file, _ = clients.issue(
        "s", subject=subject, names=[x509.RFC822Name("ops@acme.example"), x509.DNSName("a.internal")]
    )
    tls = shows(authority, file)
    for kind, name, other in [
        ("common_name", "batch", "Acme"),
        ("distinguished_name", r"CN=batch,O=Acme\, Inc.", "CN=batch,O=Acme"),
        ("email", "*@acme.example", "*@other.example"),
        ("dns", "*.internal", "*.external"),
    ]:
        good = gateway(
            configured(service, listener_tls, clients, {"subject": kind, "identities": {name: {}}})
        )
        assert good.get("/a", tls=tls).status == 200, kind
        bad = gateway(
            configured(service, listener_tls, clients, {"subject": kind, "identities": {other: {}}})
        )
        assert bad.get("/a", tls=tls).reason == "client_certificate_unknown", kind
    assert len(service.requests) == 4


def test_a_certificate_and_a_token(gateway, origin, issuer, listener_tls, authority, tmp_path):
    service, clients, identity = origin(), Authority(tmp_path), issuer()
    provider = {"subject": "dns", "identities": {"b.test": {}}}
    config = configured(service, listener_tls, clients, provider, authenticate={"all_of": ["id", "mesh"]})
    config["identity_providers"]["id"] = identity.inline(tmp_path)
    gate = gateway(config)
    bearer = {"Authorization": f"Bearer {identity.token()}"}
    mine, other = shows(authority, clients.issue("b")[0]), shows(authority, clients.issue("c")[0])
    assert gate.get("/a", bearer, tls=mine).status == 200
    assert gate.get("/a", tls=mine).reason == "credential_missing"
    assert gate.get("/a", bearer, tls=other).reason == "client_certificate_unknown"
    assert gate.get("/a", bearer, tls=shows(authority, None)).reason == "client_certificate_required"
    assert len(service.requests) == 1


def test_a_token_that_was_shown_is_judged_and_the_certificate_does_not_help(
    gateway, origin, issuer, listener_tls, authority, tmp_path
):
    service, clients, identity = origin(), Authority(tmp_path), issuer()
    provider = {"subject": "dns", "identities": {"b.test": {}}}
    config = configured(service, listener_tls, clients, provider, authenticate={"any_of": ["id", "mesh"]})
    config["identity_providers"]["id"] = identity.inline(tmp_path)
    gate = gateway(config)
    mine = shows(authority, clients.issue("b")[0])
    assert gate.get("/a", {"Authorization": "Bearer a.b.c"}, tls=mine).status == 401
    assert gate.get("/a", tls=mine).status == 200
    assert gate.get("/a", tls=shows(authority, None)).reason == "credential_missing"
    assert len(service.requests) == 1


def test_http2_with_curl_and_a_certificate_of_openssl(
    gateway, origin, listener_tls, authority_file, tmp_path
):
    service, clients = origin(), Authority(tmp_path)
    gate = gateway(configured(service, listener_tls, clients, SPIFFE, mode="required"))
    key, csr, crt, ca_key = (tmp_path / name for name in ("c.key", "c.csr", "c.crt", "ca.key"))
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    ca_key.write_bytes(clients.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    extensions = tmp_path / "ext"
    extensions.write_text("extendedKeyUsage=clientAuth\nsubjectAltName=URI:spiffe://example.org/billing\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)

    openssl(
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(csr),
        "-subj",
        "/O=Acme",
    )
    openssl(
        "x509",
        "-req",
        "-in",
        str(csr),
        "-CA",
        str(clients.file),
        "-CAkey",
        str(ca_key),
        "-days",
        "2",
        "-extfile",
        str(extensions),
        "-out",
        str(crt),
    )
    host, port = gate.address()
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", authority_file, "--cert", str(crt), "--key", str(key), "--resolve",
         f"gateway.test:{port}:{host}", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"https://gateway.test:{port}/a"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == b"2 200"
    assert gate.log_line(path="/a")["subject"] == "spiffe://example.org/billing"


def test_what_the_listener_does_not_ask_for_does_not_load(gateway, origin, listener_tls, tmp_path):
    config = configured(origin(), listener_tls, Authority(tmp_path), SPIFFE)
    del config["listeners"]["main"]["tls"]["client_certificates"]
    with pytest.raises(Exception, match="asks for none"):
        gateway(config)


def test_a_withdrawn_identity_ends_with_the_reload(
    gateway, origin, listener_tls, authority, tmp_path, workers
):
    service, clients = origin(), Authority(tmp_path)
    provider = {"subject": "dns", "identities": {"b.test": {}, "c.test": {}}}
    config = configured(service, listener_tls, clients, provider)
    gate = gateway(config, workers=workers)
    tls = shows(authority, clients.issue("b")[0])
    assert gate.get("/a", tls=tls).status == 200
    less = json.loads(json.dumps(config))
    del less["identity_providers"]["mesh"]["identities"]["b.test"]
    gate.reload(less)
    assert gate.get("/a", tls=tls).reason == "client_certificate_unknown"
    assert len(service.requests) == 1
