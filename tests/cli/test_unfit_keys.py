"""A key that cannot serve with its certificate is an error of `yett check`, with its place; so is what the data plane says."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

CONFIGURATION = """\
version: 1
listeners:
  public:
    address: 127.0.0.1:0
    tls: {certificates: {chain: edge.pem, key: {file: edge.key}}}
services:
  origin:
    endpoints: https://origin.internal
    tls: {ca: ca.pem, certificate: ours.pem, key: {file: ours.key}}
routes:
  all:
    match: {hosts: any, path: "/{rest...}", methods: GET}
    access: public
    service: origin
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("edge", "ours"):
        issued = authority.issue_cert(f"{name}.example.com")
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIGURATION)
    return path


def yett(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("yett")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_keys_that_fit_pass(file: Path) -> None:
    done = yett("check", str(file))
    assert done.returncode == 0, done.stderr


def test_a_key_of_another_certificate_has_its_place(file: Path) -> None:
    edge, ours = (file.with_name(f"{name}.key") for name in ("edge", "ours"))
    edge_pem = edge.read_bytes()
    edge.write_bytes(ours.read_bytes())
    ours.write_bytes(edge_pem)
    done = yett("check", str(file))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{file}:{place}: the private key does not belong to the first certificate of the chain; "
        "name the key that it was made with"
        for place in ("5:55", "9:58")
    ] + ["2 errors"]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_key_with_a_pass_phrase_is_no_key_of_a_gateway(file: Path, command: str) -> None:
    key = file.with_name("edge.key")
    plain = load_pem_private_key(key.read_bytes(), None)
    locked = BestAvailableEncryption(b"only for this test")
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    done = yett(command, str(file))
    assert done.returncode == 1
    assert f"{file}:5:55: the private key is encrypted" in done.stderr


def test_what_is_no_key_is_refused(file: Path) -> None:
    file.with_name("edge.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    done = yett("check", str(file))
    assert done.returncode == 1
    assert f"{file}:5:55: the private key cannot be read" in done.stderr
    assert "AAAA" not in done.stderr


def test_an_address_in_use_has_its_place(file: Path) -> None:
    """Only the data plane can know: its word gets the place of what was written."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = f"127.0.0.1:{held.getsockname()[1]}"
        file.write_text(CONFIGURATION.replace("127.0.0.1:0", address))
        done = yett("run", str(file))
    assert done.returncode == 1
    assert f"{file}:4:14: address `{address}` is already in use" in done.stderr
