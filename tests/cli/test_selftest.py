"""`yett selftest --services`: which services answer whoever comes around the gateway."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Yett
from tests.support import assertions
from tests.support.services import Asgi
from yett.backend import IdentityMiddleware, Verifier
from yett.config.identity import key_set, read_keys
from yett.demo.processes import Running
from yett.demo.shop import Shop, find_directory, free_ports


class Service:
    """An application that answers 200, and keeps what reached it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def claims(scope: Any) -> dict[str, Any] | None:
    """What an assertion says, without a look at its signature."""
    text = dict(scope["headers"]).get(b"yett-identity")
    return None if text is None else json.loads(base64.urlsafe_b64decode(text.split(b".")[1] + b"=="))


class Careless(Service):
    """Takes any assertion that is of now, whoever signed it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = claims(scope)
        if found is None or found["exp"] < time.time():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await super().__call__(scope, receive, send)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return assertions.make_keys(tmp_path)


@pytest.fixture
def serve(request: pytest.FixtureRequest):
    def start(app: Any) -> Asgi:
        started = Asgi(app)
        request.addfinalizer(started.close)
        return started

    return start


def verifier(tmp_path: Path, keys: Path, audience: str, **changes: Any) -> Verifier:
    public = tmp_path / "identity.jwks.json"
    public.write_text(key_set(read_keys(keys.read_bytes())))
    return Verifier(audience=audience, issuer=assertions.ISSUER, keys=public, **changes)


def config(tmp_path: Path, keys: Path, **services: Any) -> Path:
    file = tmp_path / "gateway.yaml"
    document = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:8080", "plaintext": "test"}},
        "identity": {"issuer": assertions.ISSUER, "keys": {"file": str(keys)}},
        "services": {
            name: {
                "endpoints": f"http://127.0.0.1:{port}",
                "plaintext": "test",
                **({"identity_assertion": {"anonymous": True}} if signed else {}),
            }
            for name, (port, signed) in services.items()
        },
        "routes": {
            f"read-{name}": {
                "match": {"hosts": "any", "path": f"/{name}/{{id}}/{{rest...}}", "methods": "GET"},
                "access": "public",
                "service": name,
            }
            for name in services
        },
    }
    file.write_text(json.dumps(document))
    return file


def test_a_service_that_verifies_refuses_everything(yett: Yett, tmp_path: Path, keys: Path, serve) -> None:
    app = Service()
    port = serve(IdentityMiddleware(app, verifier(tmp_path, keys, "good"))).port
    done = yett("selftest", "--services", config(tmp_path, keys, good=(port, True)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"refuses  good http://127.0.0.1:{port}: none 401, forged 401, stale 401\n"
    assert app.seen == []


def test_each_way_of_not_verifying_is_found(yett: Yett, tmp_path: Path, keys: Path, serve) -> None:
    open_, careless, late = Service(), Careless(), Service()
    # ten minutes behind: it takes what ended long ago
    behind = verifier(tmp_path, keys, "late", clock=lambda: time.time() - 620)
    file = config(
        tmp_path, keys,
        open=(serve(open_).port, False), careless=(serve(careless).port, True), late=(serve(IdentityMiddleware(late, behind)).port, True),
    )  # fmt: skip
    done = yett("selftest", "--services", file, "--format", "json")
    assert done.returncode == 1
    found = {
        (one["service"], one["question"]): (one["status"], one["ok"])
        for one in json.loads(done.stdout)["answers"]
    }
    assert found == {
        ("open", "none"): (200, False),
        ("careless", "none"): (401, True),
        ("careless", "forged"): (200, False),
        ("careless", "stale"): (401, True),
        ("late", "none"): (401, True),
        ("late", "forged"): (401, True),
        ("late", "stale"): (200, False),
    }
    assert open_.seen == [("GET", "/open/yett-selftest/yett-selftest")]
    text = yett("selftest", "--services", file)
    assert text.stdout.count("FINDING") == 3
    assert (
        "forged: answered 200 in place of 401 or 403: it believes an assertion that nobody signed"
        in text.stdout
    )


def test_a_service_that_says_nothing_is_a_finding(yett: Yett, tmp_path: Path, keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        file = config(
            tmp_path, keys, deaf=(deaf.getsockname()[1], True), gone=(closed.getsockname()[1], False)
        )
        done = yett("selftest", "--services", file, "--timeout", "0.3")
    assert done.returncode == 1
    assert "none: whether it refuses is not known: no answer (too late)" in done.stdout
    assert "no answer (connection refused)" in done.stdout


def test_what_is_no_use(yett: Yett, tmp_path: Path, keys: Path) -> None:
    done = yett("selftest", config(tmp_path, keys, one=(1, False)))
    assert (done.returncode, done.stderr) == (
        2,
        "say what to test: `yett selftest --services gateway.yaml`\n",
    )
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    assert yett("selftest", "--services", tmp_path / "bad.yaml").returncode == 1


def test_the_shop_refuses(yett: Yett, tmp_path: Path) -> None:
    """Mutual TLS, names in certificates, and assertions that are checked."""
    directory = tmp_path / "shop"
    shutil.copytree(find_directory(None), directory, ignore=shutil.ignore_patterns(".state", "__pycache__"))
    shop = Shop(directory, directory / ".state", free_ports())
    with Running(shop, watch=False, quiet=True):
        done = yett("selftest", "--services", shop.configuration())
        assert done.returncode == 0, done.stdout + done.stderr
        said = "none 401, forged 401, stale 401, no certificate the connection was refused"
        assert done.stdout.count(said) == 4
        # another service's certificate, and one of no authority of ours
        file = shop.configuration()
        text = file.read_text()
        file.write_text(text.replace("uri:spiffe://shop.example/orders", "uri:spiffe://shop.example/other"))
        done = yett("selftest", "--services", file)
        assert done.returncode == 1
        assert "its certificate has none of the names in `san`" in done.stdout
