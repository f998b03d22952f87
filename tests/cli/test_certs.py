"""`yett certs`: the list, and the comparison with what is really served."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest

from tests.cli.conftest import Yett
from tests.support.certificates import DAY, Made, make


@pytest.fixture(scope="module")
def root() -> Made:
    return make("root", authority=True)


class Service:
    """A TLS service that shakes hands and hangs up."""

    def __init__(self, made: Made, directory: Path) -> None:
        (directory / "service.pem").write_text(made.pem + made.key_pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / "service.pem")
        self.socket = socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            try:
                self.context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()


@pytest.fixture
def service(root: Made, tmp_path: Path) -> Iterator[Service]:
    running = Service(make("service", by=root, names=["127.0.0.1"]), tmp_path)
    yield running
    running.socket.close()


def write(directory: Path, leaf: Made, listener_port: int, service_port: int, ca: Made) -> Path:
    (directory / "edge.pem").write_text(leaf.pem)
    (directory / "edge.key").write_text(leaf.key_pem)
    (directory / "ca.pem").write_text(ca.pem)
    file = directory / "gateway.yaml"
    file.write_text(
        "version: 1\n"
        f"listeners: {{public: {{address: 127.0.0.1:{listener_port}, tls: {{certificates: {{chain: edge.pem, key: {{file: edge.key}}}}}}}}}}\n"
        f"services: {{billing: {{endpoints: https://127.0.0.1:{service_port}, tls: {{ca: ca.pem}}}}}}\n"
        'routes: {a: {match: {hosts: any, path: "/", methods: GET}, access: public, service: billing}}\n'
    )
    return file


def test_the_list_has_days_and_findings(yett: Yett, tmp_path: Path, root: Made) -> None:
    leaf = make("edge", by=root, names=["localhost"], until=20 * DAY)
    file = write(tmp_path, leaf, 8443, 9443, root)
    done = yett("certs", "list", file)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "19 days" in lines[0]
    assert "listener public" in lines[0]
    assert "localhost" in lines[0]
    assert "service_ca billing" in lines[1]
    strict = yett("certs", "list", file, "--within", "25", "--format", "json")
    assert strict.returncode == 1
    found = json.loads(strict.stdout)
    assert not found["ok"]
    assert [one["days_left"] for one in found["certificates"]] == [19, 29]
    assert "PRIVATE" not in strict.stdout + done.stdout


def test_an_error_of_the_configuration_is_a_finding(yett: Yett, tmp_path: Path, root: Made) -> None:
    file = write(tmp_path, make("edge"), 8443, 9443, root)
    (tmp_path / "edge.pem").unlink()
    done = yett("certs", "list", file)
    assert done.returncode == 1
    assert "gateway.yaml:2:" in done.stderr


def test_connect_compares_what_is_served(yett: Yett, tmp_path: Path, root: Made, service: Service) -> None:
    served = make("edge", by=root, names=["localhost"])
    folder = tmp_path / "listener"
    folder.mkdir()
    listener = Service(served, folder)
    file = write(tmp_path, served, listener.port, service.port, root)
    done = yett("certs", "check", file, "--connect", "--format", "json")
    found = json.loads(done.stdout)
    assert [one["fault"] for one in found["connections"]] == ["", ""]
    assert [one["protocol"] for one in found["connections"]] == ["TLSv1.3", "TLSv1.3"]
    # the authority of the test is the one thing to say, and no finding: it may be one's own
    assert (done.returncode, found["findings"]) == (0, [])
    (note,) = found["notes"]
    assert "which this system does not know" in note
    renewed = make("edge", by=root, names=["localhost"])
    other = make("other", authority=True)
    file = write(tmp_path, renewed, listener.port, service.port, other)
    done = yett("certs", "check", file, "--connect")
    assert done.returncode == 1
    assert "serves another certificate for `localhost` than its file holds" in done.stdout
    assert "service `billing` at" in done.stdout
    assert "does not prove who it is" in done.stdout
    listener.socket.close()


def test_connect_says_who_cannot_be_reached(yett: Yett, tmp_path: Path, root: Made) -> None:
    free = socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    file = write(tmp_path, make("edge", by=root, names=["localhost"]), port, port + 1, root)
    done = yett("certs", "check", file, "--connect", "--timeout", "1")
    assert done.returncode == 1
    assert f"listener `public` at 127.0.0.1:{port} cannot be reached" in done.stdout
