"""`yett keys assertion` and `yett identity jwks`: keys that sign, made and rotated; their public part for services."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from yett.config import compile_file
from yett.config.identity import RingError, read_keys, ring_fault
from yett.control import assertion_keys
from yett.control.keys import KeysError
from yett.errors import ConfigurationError

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG = """
version: 1
listeners: {main: {address: "127.0.0.1:8080", plaintext: test}}
identity: {issuer: https://gateway.test, keys: {file: identity.keys.pem}, publish: PUBLISH}
services: {origin: {endpoints: https://origin.internal, identity_assertion: {anonymous: true}}}
routes: {open: {match: {hosts: any, path: /open, methods: GET}, access: public, service: origin}}
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "yett", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def configured(directory: Path, publish: str = "1h") -> Path:
    file = directory / "gateway.yaml"
    file.write_text(CONFIG.replace("PUBLISH", publish))
    return file


def fault(directory: Path, publish: str = "1h") -> str:
    with pytest.raises(ConfigurationError) as caught:
        compile_file(configured(directory, publish))
    (error,) = caught.value.errors
    return error.message


def test_the_commands(tmp_path: Path) -> None:
    keys, public = tmp_path / "identity.keys.pem", tmp_path / "jwks.json"
    made = run("keys", "assertion", "create", "--file", str(keys))
    assert made.returncode == 0 and "EdDSA" in made.stdout, made.stderr
    assert keys.stat().st_mode & 0o077 == 0
    again = run("keys", "assertion", "create", "--file", str(keys))
    assert again.returncode == 1 and "there already" in again.stderr
    rotated = run("keys", "assertion", "rotate", "--file", str(keys), "--algorithm", "ES256")
    assert rotated.returncode == 0 and "signs from" in rotated.stdout, rotated.stderr
    early = run("keys", "assertion", "rotate", "--file", str(keys))
    assert early.returncode == 1 and "rotate after that" in early.stderr
    assert run("keys", "assertion", "rotate", "--file", str(keys), "--publish", "8d").returncode == 2
    assert run("keys", "assertion", "rotate", "--file", str(tmp_path / "none")).returncode == 1
    file = configured(tmp_path)
    printed = run("identity", "jwks", str(file))
    written = run("identity", "jwks", str(file), "--output", str(public))
    assert printed.returncode == written.returncode == 0, printed.stderr + written.stderr
    assert printed.stdout == public.read_text()
    found = json.loads(printed.stdout)["keys"]
    assert sorted(key["alg"] for key in found) == ["ES256", "EdDSA"]
    assert all("d" not in key for key in found)
    assert {key["kid"] for key in found} == {key.id for key in read_keys(keys.read_bytes())}
    secret = "".join(line for line in keys.read_text().splitlines() if line.startswith("MC"))
    checked = run("check", str(file), "--format", "json")
    assert checked.returncode == 0
    for said in (made, rotated, printed, written, checked):
        assert secret not in said.stdout + said.stderr


def test_a_file_without_identity_signs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        'version: 1\nlisteners: {main: {address: "127.0.0.1:8080", plaintext: test}}\n'
        "routes: {a: {match: {hosts: any, path: /a, methods: GET}, access: public, respond: {}}}\n"
    )
    done = run("identity", "jwks", str(file))
    assert done.returncode == 1 and "no `identity`" in done.stderr


def test_a_life_of_keys(tmp_path: Path) -> None:
    """Each new key is published an hour before it signs; each old one leaves an hour after it signed its last."""
    file = tmp_path / "identity.keys.pem"
    first = assertion_keys.create(file, "EdDSA", NOW)
    second = assertion_keys.rotate(file, HOUR, None, NOW + 24 * HOUR)
    assert second.signs_from == NOW + 25 * HOUR and second.created == NOW + 24 * HOUR
    with pytest.raises(KeysError, match="2026-11-29T13:00:00Z"):
        assertion_keys.rotate(file, HOUR, None, NOW + 24 * HOUR + timedelta(minutes=59))
    third = assertion_keys.rotate(file, HOUR, "ES256", NOW + 25 * HOUR + timedelta(minutes=59))
    assert {key.id for key in read_keys(file.read_bytes())} == {first.id, second.id, third.id}
    fourth = assertion_keys.rotate(file, HOUR, None, NOW + 48 * HOUR)
    kept = read_keys(file.read_bytes())
    assert {key.id for key in kept} == {third.id, fourth.id}
    assert [key.algorithm for key in kept] == ["ES256", "ES256"]
    assert all(key.created and key.signs_from for key in kept)


def test_keys_of_openssl_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "identity.keys.pem"
    for kind in (["-algorithm", "ed25519"], ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]):
        subprocess.run(["openssl", "genpkey", *kind, "-out", str(file)], check=True, capture_output=True)
        assert compile_file(configured(tmp_path)).ir
    added = assertion_keys.rotate(file, HOUR, None)
    assert added.algorithm == "ES256"
    assert len(json.loads(compile_file(configured(tmp_path)).ir)["identity"]["keys"]) == 2


def test_keys_that_do_not_load(tmp_path: Path) -> None:
    file = tmp_path / "identity.keys.pem"
    first = assertion_keys.create(file, "EdDSA", NOW)
    one = file.read_text()
    assertion_keys.rotate(file, HOUR, None, NOW + HOUR)
    both = file.read_text()
    assert compile_file(configured(tmp_path)).ir
    assert "would sign before services" in fault(tmp_path, "2h")
    file.write_text(one + one)
    assert "stands twice" in fault(tmp_path)
    file.write_text(both.replace("Created: 2026-11-28T13:00:00Z\n", ""))
    assert "`Created:` and `Signs-From:`" in fault(tmp_path)
    file.write_text(both.replace("Signs-From: 2026-11-28T14:00:00Z", "Signs-From: 2026-11-28T12:00:00Z"))
    assert "same moment" in fault(tmp_path)
    file.write_text(both.replace("2026-11-28T14:00:00Z", "tomorrow"))
    assert "cannot be read, `tomorrow`" in fault(tmp_path)
    file.write_text(both.replace("2026-11-28T14:00:00Z", "2026-11-28T14:00:00"))
    assert "without a zone" in fault(tmp_path)
    for command in (
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ["openssl", "genpkey", "-algorithm", "ed448"],
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout"],
    ):
        subprocess.run([*command, "-out", str(file)], check=True, capture_output=True)
        assert "PKCS #8" in fault(tmp_path) or "of another kind" in fault(tmp_path)
    with pytest.raises(RingError, match="no private key"):
        read_keys(b"-----BEGIN CERTIFICATE-----\n")
    many = [first] * 17
    assert "more than 16" in (ring_fault(many, 1000, "1s") or "")
