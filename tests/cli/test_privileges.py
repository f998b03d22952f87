"""`yett run --user`: started as root, serves as somebody else."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import Running, Yett, config
from yett.control import channel, privileges

Run = Callable[..., Running]
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="gives up the rights of root")
NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the user that the gateway becomes."""
    directory = Path(tempfile.mkdtemp(prefix="yett-user-"))
    os.chown(directory, NOBODY, NOBODY)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def low_port() -> int:
    """One that only root may bind, and that nobody has."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first < 1024:
        pytest.skip("every user may bind low ports here")
    for port in random.sample(range(200, 1024), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every low port is taken")


def readable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def status(path: Path) -> dict[str, list[str]]:
    fields = (line.split(":", 1) for line in path.read_text().splitlines())
    return {name: value.split() for name, value in fields}


def start(run: Run, home: Path, text: str, *words: str) -> Running:
    file = readable(home / "gateway.yaml", text)
    return run(file, "--socket", home / "c.sock", "--user", "nobody:nogroup", *words)


def test_low_ports_are_bound_and_nothing_is_kept(run: Run, home: Path, low_port: int) -> None:
    text = config().replace("127.0.0.1:0", f"127.0.0.1:{low_port}")
    gateway = start(run, home, text, "--workers", "2", "--admin", "127.0.0.1:0")
    assert gateway.port == low_port
    assert gateway.get("/hello").body == b"one"
    threads = list(Path(f"/proc/{gateway.process.pid}/task").iterdir())
    assert len(threads) > 4
    for thread in threads:
        found = status(thread / "status")
        assert found["Uid"] == found["Gid"] == [str(NOBODY)] * 4
        assert found["Groups"] == [str(NOBODY)]
        assert [int(found[name][0], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
        assert found["NoNewPrivs"] == ["1"]
    assert not any("root" in event["what"] for event in gateway.events("weakened"))
    assert (home / "c.sock").stat().st_uid == NOBODY
    assert channel.ask(home / "c.sock", {"command": "status"}, 10)["pid"] == gateway.process.pid
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    assert not (home / "c.sock").exists()


def test_a_key_that_only_root_reads(
    run: Run, home: Path, certificate: trustme.LeafCert, authority: trustme.CA
) -> None:
    """Read at start; a reload cannot, says so, and the old configuration serves on."""
    chain, key = home / "chain.pem", home / "key.pem"
    readable(chain, b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode())
    key.write_bytes(certificate.private_key_pem.bytes())
    key.chmod(0o600)
    tls = f"tls: {{certificates: {{chain: {chain}, key: {{file: {key}}}}}}}"
    text = config().replace('plaintext: "test"', tls)
    gateway = start(run, home, text)
    before = channel.ask(home / "c.sock", {"command": "status"}, 10)["revision"]
    readable(home / "gateway.yaml", text.replace("body: one", "body: two"))
    gateway.signal(signal.SIGHUP)
    gateway.wait_for("configuration_refused")
    errors = [event["message"] for event in gateway.events("configuration_error")]
    assert any(str(key) in error and "ermission" in error for error in errors), errors
    after = channel.ask(home / "c.sock", {"command": "status"}, 10)
    assert after["revision"] == before
    assert after["gateway"]["ready"] is True
    os.chown(key, NOBODY, NOBODY)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for("configuration_applied", 2)


def test_a_reload_cannot_bind_a_low_port(run: Run, home: Path, low_port: int) -> None:
    gateway = start(run, home, config())
    text = config().replace("127.0.0.1:0", f"127.0.0.1:{low_port}")
    readable(home / "gateway.yaml", text)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for("configuration_refused")
    (error,) = (event["message"] for event in gateway.events("configuration_error"))
    assert f"127.0.0.1:{low_port}" in error and "CAP_NET_BIND_SERVICE" in error
    assert gateway.get("/hello").body == b"one"


def test_a_takeover_by_root_for_the_same_user(run: Run, home: Path, low_port: int) -> None:
    text = config().replace("127.0.0.1:0", f"127.0.0.1:{low_port}")
    first = start(run, home, text, "--workers", "1")
    second = start(run, home, text, "--workers", "3", "--takeover")
    assert first.end() == 0
    assert second.port == low_port
    assert all(second.get("/hello").status == 200 for _ in range(10))
    assert status(Path(f"/proc/{second.process.pid}/status"))["CapEff"] == ["0" * 16]
    third = run(home / "gateway.yaml", "--socket", home / "c.sock", "--takeover", wait=False)
    assert third.end() == 1, "as root"
    assert "a takeover needs the same user" in "".join(third.lines)
    assert second.get("/hello").body == b"one"


def test_an_address_in_use_is_found_before(run: Run, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        file = readable(home / "gateway.yaml", config().replace("127.0.0.1:0", where))
        gateway = run(file, "--socket", home / "c.sock", "--user", "nobody", wait=False)
        assert gateway.end() == 1
    assert "already in use" in "".join(gateway.lines)


def test_a_log_that_the_user_may_not_write(run: Run, home: Path) -> None:
    log = home / "access.jsonl"
    readable(log, "")
    file = readable(
        home / "gateway.yaml", config().replace("access_log: off", f"access_log: {{file: {log}}}")
    )
    gateway = run(file, "--socket", home / "c.sock", "--user", "nobody:nogroup", wait=False)
    assert gateway.end() == 1
    assert "cannot be opened" in "".join(gateway.lines)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("no-such-user", "there is no user"),
        ("nobody:no-such-group", "there is no group"),
        ("root", "is root"),
        ("0", "is root"),
        ("nobody:root", "is root"),
    ],
)
def test_who_it_cannot_be(run: Run, file: Path, user: str, message: str) -> None:
    gateway = run(file, "--user", user, wait=False)
    assert gateway.end() == 1
    assert message in "".join(gateway.lines)


def test_only_root_becomes_somebody_else() -> None:
    os.seteuid(NOBODY)
    try:
        with pytest.raises(privileges.Denied, match="only root may become"):
            privileges.account("daemon")
    finally:
        os.seteuid(0)


def test_running_as_root_is_weaker(run: Run, yett: Yett, file: Path) -> None:
    gateway = run(file)
    assert any("runs as root" in event["what"] for event in gateway.events("weakened"))
    shown = json.loads(yett("status", file, "--format", "json").stdout)
    assert any("runs as root" in line for line in shown["weakened"])
