"""Asks services around the gateway: whether they refuse who is nobody, who pretends, and who comes too late."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from yett.config import Compiled
from yett.config.identity import SigningKey, ring
from yett.config.service import Service
from yett.config.types import forbidden_host
from yett.control.source import Refused

HEADER, TYPE = "yett-identity", "yett-identity+jwt"
REFUSALS = frozenset({401, 403})
AT_ONCE = 8
_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What an endpoint said to one question."""

    service: str
    endpoint: str
    question: str
    """`none`, `forged`, `stale`, or `no certificate`."""
    status: int | None = None
    """The status, where there was an answer."""
    closed: str | None = None
    """Why there was none: the handshake or the connection was refused."""
    ok: bool = False
    """Whether it refused."""

    @property
    def shown(self) -> str:
        """`none 401`."""
        return f"{self.question} {self.status if self.status is not None else self.closed}"


def ask(compiled: Compiled, timeout_s: float, now: float | None = None) -> tuple[list[Answer], list[str]]:
    """Every answer, in the order of the services, and why some services were not asked.

    Nothing of an answer is read but its head; at most 8 questions are under way at once, and none takes longer than
    `timeout_s` between two bytes.

    Raises:
        Refused: there is nothing to ask.
    """
    jobs: list[tuple[_Endpoint, str]] = []
    left: list[str] = []
    passed = {
        host.service
        for one in compiled.gateway.listeners.values()
        if one.passthrough
        for host in one.passthrough.hosts.values()
    }
    led = {share["service"] for policy in compiled.policies for share in policy.action.get("forward", ())}
    for name, service in compiled.gateway.services.items():
        if name in passed and name not in led:
            left.append(f"`{name}` is forwarded unopened, so it verifies no assertion")
            continue
        for url in service.urls:
            endpoint = _Endpoint(compiled, name, service, url, timeout_s)
            jobs += [(endpoint, question) for question in endpoint.questions()]
    if not jobs:
        raise Refused([{"text": "there is no service to ask"}])
    mint = _Mint(compiled, int(time.time() if now is None else now))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda job: job[0].ask(job[1], mint), jobs)), left


class _Endpoint:
    """One endpoint, reached with the TLS settings of its service."""

    def __init__(self, compiled: Compiled, name: str, service: Service, url: str, timeout_s: float) -> None:
        self.name, self.service, self.url, self.timeout_s = name, service, url, timeout_s
        self.parts = urlsplit(url)
        self.path = _path(compiled, name)
        document = next(one for one in json.loads(compiled.ir)["services"] if one["name"] == name)
        tls = document["tls"] or {}
        self.ca: str | None = tls.get("ca")
        self.certificate: str | None = tls.get("certificate")
        self.key = compiled.secrets.get(tls.get("key") or "")

    def questions(self) -> list[str]:
        """What it is asked."""
        asked = ["none"]
        if self.service.identity_assertion is not None:
            asked += ["forged", "stale"]
        return [*asked, "no certificate"] if self.certificate else asked

    def ask(self, question: str, mint: _Mint) -> Answer:
        headers = {"Host": self._host(), "User-Agent": "yett-selftest", "Connection": "close"}
        if question in {"forged", "stale"}:
            headers[HEADER] = mint.assertion(self.name, self.service, self.path, stale=question == "stale")
        try:
            status = self._get(headers, own=question != "no certificate")
        except _Another as error:
            return Answer(self.name, self.url, question, closed=str(error))
        except (ssl.SSLError, ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError):
            # an end that asks for a certificate ends the handshake, or the connection after it (TLS 1.3)
            refused = question == "no certificate"
            return Answer(self.name, self.url, question, closed="the connection was refused", ok=refused)
        except (OSError, http.client.HTTPException) as error:
            return Answer(self.name, self.url, question, closed=f"no answer ({_why(error)})")
        return Answer(self.name, self.url, question, status, ok=status in REFUSALS)

    def _host(self) -> str:
        return self.parts.netloc if self.service.host in {"endpoint", "preserve"} else self.service.host

    def _get(self, headers: dict[str, str], *, own: bool) -> int:
        host, secure = self.parts.hostname or "", self.parts.scheme == "https"
        port = self.parts.port or (443 if secure else 80)
        with contextlib.ExitStack() as stack:
            connection: socket.socket = stack.enter_context(
                socket.create_connection((host, port), self.timeout_s)
            )
            why = forbidden_host(connection.getpeername()[0])
            if why:
                raise _Another(f"its address {why}; it is never contacted")
            if secure:
                named = (self.service.tls.server_name if self.service.tls else None) or host
                connection = stack.enter_context(
                    self._context(own=own).wrap_socket(connection, server_hostname=named)
                )
                self._check_names(connection)
            client = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
            stack.callback(client.close)
            client.sock = connection
            client.request("GET", quote(self.path, safe="/-._~!$&'()*+,;=:@"), headers=headers)
            return client.getresponse().status

    def _context(self, *, own: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self._wanted("uri"):
            context.check_hostname = False  # a URI stands in place of the name, and is looked for below
        if own and self.certificate and self.key:
            with _in_memory(self.certificate.encode() + b"\n" + self.key) as path:
                context.load_cert_chain(path)
        return context

    def _wanted(self, kind: str) -> set[str]:
        names = self.service.tls.san if self.service.tls else ()
        return {name.partition(":")[2] for name in names if name.startswith(f"{kind}:")}

    def _check_names(self, connection: Any) -> None:
        wanted = {("URI", name) for name in self._wanted("uri")}
        wanted |= {("DNS", name) for name in self._wanted("dns")}
        wanted |= {("IP Address", name) for name in self._wanted("ip")}
        found = set(connection.getpeercert().get("subjectAltName", ()))
        if wanted and not wanted & found:
            raise _Another("its certificate has none of the names in `san`")


class _Another(Exception):
    """Who answers is not the service that the configuration means."""


class _Mint:
    """Assertions that have to be refused."""

    def __init__(self, compiled: Compiled, now: int) -> None:
        self.now = now
        identity = compiled.gateway.identity
        self.issuer = identity.issuer if identity else ""
        self.keys = ring(identity, compiled.secrets) if identity else []
        self.secrets = compiled.secrets

    def assertion(self, name: str, service: Service, path: str, *, stale: bool) -> str:
        """For `GET path`: signed by the gateway's key and ended ten minutes ago, or of now and signed by a key of nobody."""
        from yett.backend import request_digest

        key = next(
            one for one in self.keys if one.signs_from is None or one.signs_from.timestamp() <= self.now
        )
        issued = self.now - 630 if stale else self.now
        audience = (service.identity_assertion.audience if service.identity_assertion else None) or name
        claims = {
            "iss": self.issuer, "aud": audience, "sub": "yett-selftest", "kind": "user", "idp": "yett-selftest", "client_id": "yett-selftest",
            "scope": "", "amr": ["jwt"], "jti": secrets.token_urlsafe(16), "iat": issued, "exp": issued + 30, "htm": "GET",
            "req": request_digest("GET", path, b""),
        }  # fmt: skip
        header = {"alg": key.algorithm, "kid": key.id, "typ": TYPE}
        message = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{message}.{_b64(_signed(self._private(key, stale=stale), message.encode()))}"

    def _private(self, key: SigningKey, *, stale: bool) -> Any:
        if stale:
            return load_pem_private_key(_PEM.findall(self.secrets[key.secret])[key.index], None)
        return (
            ed25519.Ed25519PrivateKey.generate()
            if key.algorithm == "EdDSA"
            else ec.generate_private_key(ec.SECP256R1())
        )


def _signed(key: Any, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _path(compiled: Compiled, service: str) -> str:
    """A path that a route leads to this service with GET, its variables filled in; the root where there is none."""
    for policy in compiled.policies:
        leads = any(share["service"] == service for share in policy.action.get("forward", ()))
        if leads and "GET" in policy.methods:
            return re.sub(r"\{[a-z0-9_]+(\.\.\.)?\}", "yett-selftest", policy.rewrite or policy.path)
    return "/"


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "too late"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return "not HTTP/1.1"


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A file that stands on no disk: the library reads keys from files only."""
    descriptor = os.memfd_create("yett", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
