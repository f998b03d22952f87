"""external_authorization in the form of Envoy's ext_authz, against a gRPC server with the published types."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import configs
from tests.support.go_tools import go_program


class Check:
    """The server; `told` is what the oldest question that was not read yet said."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.start("")

    def start(self, address: str) -> None:
        self.process = subprocess.Popen(
            [go_program("ext_authz"), address, *self._arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def check() -> Iterator[Check]:
    server = Check()
    yield server
    server.kill()


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()

    def start(url: str, **changes: Any):
        config = configs.protected(service, identity, tmp_path)
        plain = {"plaintext": "test"} if url.startswith("http:") else {}
        asked = {
            "url": url,
            "protocol": "grpc",
            "timeout": "2s",
            "headers": ["x-a"],
            "to_service": ["x-level"],
        }
        config["routes"]["closed"] = configs.route(
            "/a",
            "GET",
            authenticate="id",
            authorize={"scopes": "read"},
            external_authorization={**asked, **plain, **changes},
        )
        gate = gateway(config)

        def ask(how: str, **headers: str):
            sent = {"X-A": how, **{name.replace("_", "-"): value for name, value in headers.items()}}
            return gate.get("/a?q=1", [*identity.bearer(scope="read").items(), *sent.items()])

        return gate, ask

    start.service = service
    return start


def test_it_is_asked_and_obeyed(shop, check):
    _, ask = shop(f"http://127.0.0.1:{check.port}")
    refused = ask("deny")
    assert (refused.status, refused.reason) == (403, "external_denied")
    assert b"own words" not in refused.body
    assert shop.service.saw_nothing()
    assert ask("allow").status == 200
    # what it sets and is listed comes from it alone
    assert ask("level", X_Level="9", X_Other="9").status == 200
    seen = shop.service.requests[-1]
    assert (seen.all("x-level"), seen.all("x-other")) == (["3"], ["9"])


def test_what_it_is_told(shop, check):
    _, ask = shop(f"http://127.0.0.1:{check.port}")
    assert ask("allow", X_B="2", Cookie="c=1").status == 200
    told = check.told()
    assert told["bounded"] is True
    attributes = told["asked"]["attributes"]
    http = attributes["request"]["http"]
    assert (http["method"], http["path"], http["scheme"]) == ("GET", "/a?q=1", "http")
    assert http["headers"] == {"x-a": "allow"} and http["id"]
    assert attributes["source"]["address"]["socketAddress"]["address"] == "127.0.0.1"
    assert attributes["source"]["principal"] == "alice"
    context = attributes["contextExtensions"]
    assert (context["route"], context["principal.scopes"]) == ("closed", "read")
    assert "Bearer" not in json.dumps(told)


@pytest.mark.parametrize("answer", ["remove", "empty", "error", "slow"])
def test_doubt_denies(shop, check, answer):
    _, ask = shop(f"http://127.0.0.1:{check.port}", timeout="1s")
    refused = ask(answer)
    assert (refused.status, refused.reason) == (503, "external_unavailable")
    assert shop.service.saw_nothing()
    # and the next question is answered
    assert ask("allow").status == 200


def test_a_server_that_goes_and_comes_back(shop, check):
    _, ask = shop(f"http://127.0.0.1:{check.port}")
    assert ask("allow").status == 200
    check.kill()
    assert ask("allow").reason == "external_unavailable"
    check.start(f"127.0.0.1:{check.port}")
    assert ask("allow").status == 200


def test_a_server_of_something_else(shop):
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_answer_http1, args=(other,), daemon=True).start()
        _, ask = shop(f"http://127.0.0.1:{other.getsockname()[1]}")
        assert ask("allow").reason == "external_unavailable"
        assert shop.service.saw_nothing()


def _answer_http1(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def test_over_tls(shop, listener_tls, authority_file):
    (pair,) = listener_tls["certificates"]
    server = Check(pair["chain"], pair["key"]["file"])
    try:
        url = f"https://localhost:{server.port}"
        _, ask = shop(url, ca=authority_file)
        assert ask("allow").status == 200
        _, ask = shop(url)
        assert ask("allow").reason == "external_unavailable"
    finally:
        server.kill()
