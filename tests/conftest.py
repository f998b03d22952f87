"""Fixtures: each test has its own gateway, origins and issuers on free ports, closed in that order."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.authorization_server import AuthorizationServer
from tests.support.gateway import Config, Gateway
from tests.support.issuer import Issuer
from tests.support.openid_provider import OpenIdProvider, signing_key
from tests.support.origin import Origin
from tests.support.process import Process
from tests.support.site import Site, start
from tests.support.websocket import WebSocketService


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--takeovers", default=3, type=int, help="takeovers under load in a row (3)")
    parser.addoption(
        "--pairs", default=300, type=int, help="random pairs of configurations for yett diff (300)"
    )
    parser.addoption("--tokens", default=10_000, type=int, help="callers with a token each (10,000)")
    parser.addoption("--reloads", default=50, type=int, help="reloads under load in a row (50)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Short temporary paths also where tests run side by side: a socket's path has 107 bytes at most."""
    side_by_side = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if side_by_side and not config.option.basetemp:
        directory = tempfile.mkdtemp(prefix="y")
        config.option.basetemp = directory
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", "gateway.test", "127.0.0.1", "::1")


@pytest.fixture
def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """For origins and issuers that speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """For clients of a gateway that speaks TLS."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def listener_tls(certificate: trustme.LeafCert, tmp_path: Path) -> dict[str, Any]:
    """The `tls` of a listener."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    key.chmod(0o600)
    return {"profile": "intermediate", "certificates": [{"chain": str(chain), "key": {"file": str(key)}}]}


@pytest.fixture
def _cleanup() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def origin(_cleanup: contextlib.ExitStack) -> Callable[..., Origin]:
    """`origin()` starts a service."""

    def start(**options: Any) -> Origin:
        started = Origin(**options)
        _cleanup.callback(started.close)
        return started

    return start


@pytest.fixture
def websocket(_cleanup: contextlib.ExitStack) -> Callable[..., WebSocketService]:
    """`websocket()` starts a WebSocket service; it echoes unless told otherwise."""

    def start(*arguments: Any, **options: Any) -> WebSocketService:
        started = WebSocketService(*arguments, **options)
        _cleanup.callback(started.close)
        return started

    return start


@pytest.fixture
def issuer(_cleanup: contextlib.ExitStack) -> Callable[..., Issuer]:
    """`issuer()` starts an identity provider."""

    def start(*kinds: str, **options: Any) -> Issuer:
        started = Issuer(kinds=kinds or ("EC",), **options)
        _cleanup.callback(started.close)
        return started

    return start


@pytest.fixture(scope="module")
def _login_provider(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenIdProvider]:
    trusted = tmp_path_factory.mktemp("provider") / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    provider = OpenIdProvider(authority=trusted)
    yield provider
    provider.close()


@pytest.fixture
def site(
    _cleanup: contextlib.ExitStack,
    _login_provider: OpenIdProvider,
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    listener_tls: dict[str, Any],
    client_tls: ssl.SSLContext,
    tmp_path: Path,
) -> Callable[..., Site]:
    """`site()` starts a gateway with a login. `own_provider`: a provider of its own, which the test may
    stop; `kind`: that of the provider's key."""

    def begin(own_provider: bool = False, kind: str = "EC", **options: Any) -> Site:
        provider = _login_provider
        if own_provider:
            provider = OpenIdProvider()
            _cleanup.callback(provider.close)
        else:
            provider.configure(ttl={}, accounts={}, claims={}, acr_values=[], features={}, clients=[])
            provider.publish(signing_key("first", kind))
        started = start(gateway, provider, origin(), listener_tls, client_tls, tmp_path, **options)
        _cleanup.callback(started.close)
        return started

    return begin


@pytest.fixture
def authorization_server(_cleanup: contextlib.ExitStack) -> Callable[..., AuthorizationServer]:
    """`authorization_server()` starts one that is asked about tokens, and asked for them."""

    def start(**options: Any) -> AuthorizationServer:
        started = AuthorizationServer(**options)
        _cleanup.callback(started.close)
        return started

    return start


@pytest.fixture
def gateway(_cleanup: contextlib.ExitStack, tmp_path: Path) -> Callable[..., Gateway]:
    """`gateway(config)` starts a gateway."""
    count = 0

    def start(config: Config | str, workers: int = 1) -> Gateway:
        nonlocal count
        directory = tmp_path / f"gateway-{count}"
        directory.mkdir()
        count += 1
        started = Gateway(config, workers, directory)
        _cleanup.callback(started.stop)
        return started

    return start


@pytest.fixture(params=[1, 4], ids=["1-worker", "4-workers"])
def workers(request: pytest.FixtureRequest) -> int:
    """A figure in the configuration is for the process, however many workers share it."""
    return int(request.param)


@pytest.fixture
def run(_cleanup: contextlib.ExitStack, tmp_path: Path) -> Callable[..., Process]:
    """`run(config)` starts `yett run` as a process of its own."""

    def start(config: Config, *options: str, **more: Any) -> Process:
        started = Process(config, tmp_path, *options, **more)
        _cleanup.callback(started.stop)
        return started

    return start
