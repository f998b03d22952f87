"""What `yett selftest --services` makes of services that are not what the configuration means, or answer oddly."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Yett
from tests.support.certificates import Made, make
from yett.config import compile_file
from yett.control import selftest

Answerer = Callable[[socket.socket], None]


class Peer:
    """Accepts connections and lets a function answer each."""

    def __init__(self, answer: Answerer, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.context = answer, context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.heads: list[bytes] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(20)
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.heads.append(connection.recv(65536))
                self.answer(connection)

    def close(self) -> None:
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def start(answer: Answerer, context: ssl.SSLContext | None = None) -> Peer:
            found = Peer(answer, context)
            stack.callback(found.close)
            return found

        yield start


def says(*parts: bytes) -> Answerer:
    def answer(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def config(tmp_path: Path, port: int, **service: Any) -> Path:
    scheme = "https" if "tls" in service else "http"
    plaintext = {} if "tls" in service else {"plaintext": "test"}
    document = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:8080", "plaintext": "test"}},
        "services": {"s": {"endpoints": f"{scheme}://127.0.0.1:{port}", **plaintext, **service}},
        "routes": {
            "read": {
                "match": {"hosts": "api.example.com", "path": "/é/{id}", "methods": "GET"},
                "access": "public",
                "service": "s",
            }
        },
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(document))
    return file


def ask(file: Path, timeout: float = 20) -> dict[str, selftest.Answer]:
    answers, _ = selftest.ask(compile_file(file), timeout)
    return {one.question: one for one in answers}


# plain


def test_an_interim_answer_is_not_the_answer(tmp_path: Path, peer: Callable[..., Peer]) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    service = peer(
        says(b"HTT", b"P/1.1 100 Continue\r\n", b"\r\n" + early, b"HTTP/1.1 40", b"3 Forbidden\r\n\r\n")
    )
    found = ask(config(tmp_path, service.port))["none"]
    assert (found.status, found.ok) == (403, True)
    assert service.heads[0].startswith(b"GET /%C3%A9/yett-selftest HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_service_that_sees_the_host_of_clients_is_asked_for_it(
    tmp_path: Path, peer: Callable[..., Peer]
) -> None:
    service = peer(says(b"HTTP/1.1 401 Unauthorized\r\n\r\n"))
    assert ask(config(tmp_path, service.port, host="preserve"))["none"].ok
    assert b"\r\nHost: api.example.com\r\n" in service.heads[0]


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        (b"", "the connection was refused"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "no answer (not HTTP/1.1)"),
        (b"HTTP/1.1 4010 No\r\n\r\n", "no answer (not HTTP/1.1)"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the connection was refused"),
    ],
)
def test_what_is_no_answer_is_no_refusal(
    tmp_path: Path, peer: Callable[..., Peer], said: bytes, closed: str
) -> None:
    found = ask(config(tmp_path, peer(says(said)).port))["none"]
    assert (found.status, found.closed, found.ok) == (None, closed, False)


def test_a_service_that_drips_is_given_up(tmp_path: Path, peer: Callable[..., Peer]) -> None:
    """A byte now and then does not keep the question open."""

    def drip(connection: socket.socket) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)

    found = ask(config(tmp_path, peer(drip).port), 0.5)["none"]
    assert (found.closed, found.ok) == ("no answer (too late)", False)


def test_http2_alone_is_not_asked(yett: Yett, tmp_path: Path, peer: Callable[..., Peer]) -> None:
    service = peer(says(b"HTTP/1.1 401 Unauthorized\r\n\r\n"))
    file = config(tmp_path, service.port)
    document = json.loads(file.read_text())
    document["services"]["rpc"] = {**document["services"]["s"], "protocol": "http2"}
    file.write_text(json.dumps(document))
    done = yett("selftest", "--services", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == (
        f"refuses  s http://127.0.0.1:{service.port}: none 401\n"
        "not asked: `rpc` says `protocol: http2`, and questions are HTTP/1.1; let its own tests ask it\n"
    )
    assert len(service.heads) == 1


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Made:
    found = make("authority", authority=True)
    (tmp_path / "ca.pem").write_text(found.pem)
    client = make("gateway", by=found, names=["gateway.internal"], client=True)
    (tmp_path / "gateway.pem").write_text(client.pem)
    (tmp_path / "gateway.key").write_text(client.key_pem)
    (tmp_path / "gateway.key").chmod(0o600)
    return found


TLS = {"ca": "ca.pem", "certificate": "gateway.pem", "key": {"file": "gateway.key"}}


def serving(
    tmp_path: Path, authority: Made, verify: ssl.VerifyMode, by: Made | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make("s", by=by or authority, names=["127.0.0.1"]).written(tmp_path / "s.pem"))
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = verify
    return context


def by_certificate(connection: socket.socket) -> None:
    """As nginx: 400 where the certificate is missing; behind it, a service that refuses."""
    assert isinstance(connection, ssl.SSLSocket)
    status = b"401 Unauthorized" if connection.getpeercert() else b"400 Bad Request"
    connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")


def test_400_is_a_refusal_where_the_certificate_is_missing(
    tmp_path: Path, authority: Made, peer: Callable[..., Peer]
) -> None:
    service = peer(by_certificate, serving(tmp_path, authority, ssl.CERT_OPTIONAL))
    found = ask(config(tmp_path, service.port, tls=TLS))
    assert {name: (one.status, one.ok) for name, one in found.items()} == {
        "none": (401, True),
        "no certificate": (400, True),
    }


def test_a_service_that_talks_without_a_certificate_is_found(
    tmp_path: Path, authority: Made, peer: Callable[..., Peer]
) -> None:
    def careless(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(
            b"HTTP/1.1 401 No\r\n\r\n" if connection.getpeercert() else b"HTTP/1.1 200 OK\r\n\r\n"
        )

    service = peer(careless, serving(tmp_path, authority, ssl.CERT_OPTIONAL))
    found = ask(config(tmp_path, service.port, tls=TLS))
    assert found["none"].ok
    assert (found["no certificate"].status, found["no certificate"].ok) == (200, False)


def test_somebody_else_in_its_place_is_no_refusal(
    tmp_path: Path, authority: Made, peer: Callable[..., Peer]
) -> None:
    """Also not to the question without a certificate, which a closed connection would answer."""
    other = make("another authority", authority=True)
    service = peer(says(b"HTTP/1.1 401 No\r\n\r\n"), serving(tmp_path, authority, ssl.CERT_NONE, by=other))
    found = ask(config(tmp_path, service.port, tls=TLS))
    for one in found.values():
        assert not one.ok
        assert one.closed is not None
        assert one.closed.startswith("its certificate is not trusted: ")
    assert service.heads == []


def test_a_certificate_with_another_name_is_no_refusal(
    tmp_path: Path, authority: Made, peer: Callable[..., Peer]
) -> None:
    service = peer(says(b"HTTP/1.1 401 No\r\n\r\n"), serving(tmp_path, authority, ssl.CERT_NONE))
    found = ask(config(tmp_path, service.port, tls={**TLS, "server_name": "other.internal"}))
    assert [one.ok for one in found.values()] == [False, False]
    assert service.heads == []
