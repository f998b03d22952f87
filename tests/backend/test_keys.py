"""The gateway's keys at a service: fetched when needed, at a bounded rate, rotated without a restart."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.backend.minting import Mint
from tests.support.waiting import eventually
from yett.backend import KeyFile, KeyUrl, Refused
from yett.backend.keys import KeysError, read_key_set


class Server:
    """Answers with what it is told to; counts."""

    def __init__(self, body: bytes) -> None:
        self.body, self.status, self.fields, self.asked = (
            body,
            200,
            {"cache-control": "public, max-age=100"},
            0,
        )
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                self.send_response(server.status)
                for name, value in server.fields.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/identity/jwks.json"


@pytest.fixture
def serve(_cleanup: Any) -> Any:
    def start(body: bytes) -> Server:
        server = Server(body)
        _cleanup.callback(server.http.server_close)
        _cleanup.callback(server.http.shutdown)
        return server

    return start


def ask(verifier: Any, assertion: str) -> str:
    try:
        return str(verifier.verify(assertion, method="GET", path="/").subject)
    except Refused as refused:
        return refused.code


def test_unknown_ids_do_not_fetch_more_often_than_said(serve: Any) -> None:
    mint, other = Mint(), Mint(kid="two")
    server = serve(mint.jwks())
    keys = KeyUrl(server.url, plaintext="test", min_interval_s=60)
    verifier = mint.verifier(keys=keys)
    assert ask(verifier, mint.assertion()) == "alice"
    assert keys.refresh_s == 100
    for number in range(50):
        assert ask(verifier, other.sign(other.claims(), kid=f"unknown-{number}")) == "assertion_key_unknown"
    assert server.asked == 1


def test_a_new_key_is_found_and_an_old_one_forgotten(serve: Any) -> None:
    old, new = Mint(), Mint("ES256", "two")
    server = serve(old.jwks())
    verifier = old.verifier(keys=KeyUrl(server.url, plaintext="test", min_interval_s=0))
    assert ask(verifier, old.assertion()) == "alice"
    server.body = old.jwks(new)
    assert ask(verifier, new.assertion()) == "alice"
    assert ask(verifier, old.assertion()) == "alice"
    server.body = new.jwks()
    assert ask(verifier, new.sign(new.claims(), kid="three")) == "assertion_key_unknown"
    assert ask(verifier, old.assertion()) == "assertion_key_unknown"


def test_a_set_that_cannot_be_had_counts_on_for_a_while(serve: Any) -> None:
    mint = Mint()
    server = serve(mint.jwks())
    keys = KeyUrl(server.url, plaintext="test", min_interval_s=0)
    verifier = mint.verifier(keys=keys)
    assert ask(verifier, mint.assertion()) == "alice"
    for status, body, fields in (
        (500, b"", {}),
        (302, b"", {"location": server.url}),
        (200, b"x" * 300_000, {}),
        (200, b"{}", {}),
    ):
        server.status, server.body, server.fields = status, body, fields
        assert ask(verifier, mint.sign(mint.claims(), kid="unknown")) == "assertion_key_unknown"
        assert ask(verifier, mint.assertion()) == "alice", status
    asked = server.asked
    assert asked == 5, "a redirect was followed"
    keys.stale_s = 0
    assert ask(verifier, mint.assertion()) == "keys_unavailable"


def test_keys_that_were_never_had(serve: Any) -> None:
    mint = Mint()
    server = serve(b"")
    server.status = 503
    verifier = mint.verifier(keys=KeyUrl(server.url, plaintext="test"))
    with pytest.raises(Refused) as caught:
        verifier.verify(mint.assertion(), method="GET", path="/")
    assert (caught.value.code, caught.value.status) == ("keys_unavailable", 503)


def test_an_old_set_is_read_again_beside_requests(serve: Any) -> None:
    mint = Mint()
    server = serve(mint.jwks())
    keys = KeyUrl(server.url, plaintext="test", min_interval_s=0)
    verifier = mint.verifier(keys=keys)
    assert ask(verifier, mint.assertion()) == "alice"
    keys.refresh_s = 0
    assert ask(verifier, mint.assertion()) == "alice"
    eventually(lambda: server.asked >= 2, what="a second fetch")


def test_a_file(tmp_path: Any) -> None:
    old, new = Mint(), Mint(kid="two")
    path = tmp_path / "jwks.json"
    path.write_bytes(old.jwks())
    verifier = old.verifier(keys=KeyFile(path, min_interval_s=0))
    assert ask(verifier, old.assertion()) == "alice"
    path.write_bytes(new.jwks())
    assert ask(verifier, new.assertion()) == "alice"
    assert ask(verifier, old.assertion()) == "assertion_key_unknown"
    path.unlink()
    assert ask(verifier, new.assertion()) == "alice"


def test_key_sets_that_are_none() -> None:
    jwk = Mint().jwk
    for wrong in (
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b"[" * 10_000,
        json.dumps({"keys": [{**jwk, "d": "AA"}]}).encode(),
    ):
        with pytest.raises(KeysError):
            read_key_set(wrong)
    with pytest.raises(KeysError):
        read_key_set(json.dumps({"keys": [{**jwk, "x": "AAAA"}]}).encode())
    skipped = [
        {"kty": "oct", "k": "AAAA", "kid": "s"},
        {"kty": "RSA", "kid": "r"},
        {**jwk, "kid": 7},
        {**jwk, "use": "enc"},
    ]
    assert read_key_set(json.dumps({"keys": skipped}).encode()) == {}
