"""TLS of listeners as `openssl s_client` sees it: versions of a profile, suites, the chain that is served, names."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.certificates import Made, make
from tests.support.waiting import eventually


class Edge:
    """A chain with an intermediate, and listeners that serve it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = make("root", authority=True)
        self.middle = make("middle", by=self.root, authority=True)
        self.ca = directory / "root.pem"
        self.ca.write_text(self.root.pem)

    def pair(self, leaf: Made, name: str) -> dict[str, Any]:
        chain, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        chain.write_text(leaf.pem + self.middle.pem)
        key.write_text(leaf.key_pem)
        key.chmod(0o600)
        return {"chain": str(chain), "key": {"file": str(key)}}

    def config(self, origin: Any, profile: str, *leaves: Made) -> dict[str, Any]:
        pairs = [self.pair(leaf, f"leaf-{n}") for n, leaf in enumerate(leaves)]
        tls = {"profile": profile, "certificates": pairs}
        return {**configs.public(origin), "listeners": {"main": {"address": "127.0.0.1:0", "tls": tls}}}

    def sees(self, gate: Any, *options: str, name: str = "one.test") -> str:
        """What `openssl s_client` says of a connection."""
        host, port = gate.address()
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name, "-verify_hostname", name,
             "-CAfile", str(self.ca), "-showcerts", *options],
            input=b"Q\n", capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        return (done.stdout + done.stderr).decode("latin-1")


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return Edge(tmp_path)


@pytest.mark.parametrize(
    ("profile", "option", "version"),
    [
        ("modern", "-tls1_3", "TLSv1.3"),
        ("modern", "-tls1_2", None),
        ("intermediate", "-tls1_3", "TLSv1.3"),
        ("intermediate", "-tls1_2", "TLSv1.2"),
        ("intermediate", "-tls1_1", None),
    ],
)
def test_a_profile_speaks_its_versions(gateway, origin, edge, profile, option, version):
    gate = gateway(edge.config(origin(), profile, make("one", by=edge.middle, names=["one.test"])))
    said = edge.sees(gate, option, "-cipher", "ALL:@SECLEVEL=0")
    if version is None:
        assert "Verify return code: 0" not in said or "Cipher is (NONE)" in said
        # TLS 1.1 is not even spoken well enough by some clients to be told why.
        eventually(lambda: gate.metric("yett_tls_handshake_failures_total") == 1)
    else:
        assert re.search(rf"New, {version}, Cipher is ", said), said
        assert "Verify return code: 0 (ok)" in said


def test_the_whole_chain_is_served_in_order(gateway, origin, edge):
    leaf = make("one", by=edge.middle, names=["one.test"])
    said = edge.sees(gateway(edge.config(origin(), "intermediate", leaf)))
    served = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", said, re.DOTALL)
    assert served == [leaf.pem, edge.middle.pem]


def test_a_name_gets_its_certificate(gateway, origin, edge):
    one = make("one", by=edge.middle, names=["one.test"])
    two = make("two", by=edge.middle, names=["*.two.test"])
    gate = gateway(edge.config(origin(), "modern", one, two))
    for name, subject in [("one.test", "one"), ("a.two.test", "two"), ("unknown.test", "one")]:
        said = edge.sees(gate, name=name)
        assert re.search(rf"subject=CN ?= ?{subject}\b", said), said
        assert ("Verify return code: 0 (ok)" in said) == (name != "unknown.test")


@pytest.mark.parametrize(
    "suite",
    ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"],
)
def test_suites_outside_of_the_profile_are_not_spoken(gateway, origin, edge, suite):
    gate = gateway(edge.config(origin(), "intermediate", make("one", by=edge.middle, names=["one.test"])))
    said = edge.sees(gate, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said or "alert handshake failure" in said, said
    assert gate.metric("yett_tls_handshake_failures_total", cause="no_shared_cipher") == 1


def test_application_protocols(gateway, origin, edge):
    gate = gateway(edge.config(origin(), "intermediate", make("one", by=edge.middle, names=["one.test"])))
    assert "ALPN protocol: h2" in edge.sees(gate, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in edge.sees(gate, "-alpn", "http/1.1")
    assert "alert no application protocol" in edge.sees(gate, "-alpn", "smtp")
