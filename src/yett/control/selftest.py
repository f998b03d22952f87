"""Asks services around the gateway: whether they refuse who is nobody, who pretends, and who comes too late."""

from __future__ import annotations

import contextlib
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
from yett.config.identity import SigningKey, b64, ring
from yett.config.service import Service
from yett.config.types import forbidden_host
from yett.control.source import Refused

HEADER, TYPE = "yett-identity", "yett-identity+jwt"
REFUSALS = frozenset({401, 403})
AT_ONCE = 8
LONGEST_HEAD = 65536
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?= |\r|$)")
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
    `timeout_s` (beside the resolution of a name).

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
    documents = {one["name"]: one for one in json.loads(compiled.ir)["services"]}
    led = {share["service"] for policy in compiled.policies for share in policy.action.get("forward", ())}
    for name, service in compiled.gateway.services.items():
        if name in passed and name not in led:
            left.append(f"`{name}` is forwarded unopened, so it verifies no assertion")
            continue
        if service.protocol == "http2":
            left.append(
                f"`{name}` says `protocol: http2`, and questions are HTTP/1.1; let its own tests ask it"
            )
            continue
        for url in service.urls:
            endpoint = _Endpoint(compiled, documents[name], service, url, timeout_s)
            jobs += [(endpoint, question) for question in endpoint.questions()]
    if not jobs:
        raise Refused([{"text": "there is no service to ask"}])
    mint = _Mint(compiled, int(time.time() if now is None else now))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda job: job[0].ask(job[1], mint), jobs)), left


class _Endpoint:
    """One endpoint, reached with the TLS settings of its service."""

    def __init__(
        self, compiled: Compiled, document: dict[str, Any], service: Service, url: str, timeout_s: float
    ) -> None:
        """`document` is the service as it was compiled, its files read."""
        self.service, self.url, self.timeout_s = service, url, timeout_s
        self.name = name = str(document["name"])
        self.parts = urlsplit(url)
        self.path, host = _where(compiled, name)
        self.host = host if service.host == "preserve" and host else self.parts.netloc
        if service.host not in {"endpoint", "preserve"}:
            self.host = service.host
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
        headers = {"Host": self.host, "User-Agent": "yett-selftest", "Accept": "*/*", "Connection": "close"}
        bare = question == "no certificate"
        if question in {"forged", "stale"}:
            headers[HEADER] = mint.assertion(self.name, self.service, self.path, stale=question == "stale")
        target = quote(self.path, safe="/-._~!$&'()*+,;=:@")
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        try:
            status = self._answer("\r\n".join(lines).encode("latin-1"), own=not bare)
        except _Another as error:
            return Answer(self.name, self.url, question, closed=str(error))
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted: {error.verify_message}"
            return Answer(self.name, self.url, question, closed=why)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError, _Closed):
            # an end that asks for a certificate ends the handshake, or the connection after it (TLS 1.3)
            return Answer(self.name, self.url, question, closed="the connection was refused", ok=bare)
        except (OSError, ValueError) as error:
            return Answer(self.name, self.url, question, closed=f"no answer ({_why(error)})")
        # whoever ends TLS before a service says 400 where the certificate is missing (nginx)
        return Answer(
            self.name, self.url, question, status, ok=status in REFUSALS or (bare and status == 400)
        )

    def _answer(self, request: bytes, *, own: bool) -> int:
        """The status of the answer, within the time of one question."""
        end = time.monotonic() + self.timeout_s
        host, secure = self.parts.hostname or "", self.parts.scheme == "https"
        with contextlib.ExitStack() as stack:
            connection: socket.socket = stack.enter_context(_connected(host, self._port(), end))
            if secure:
                connection.settimeout(_left(end))
                named = (self.service.tls.server_name if self.service.tls else None) or host
                connection = stack.enter_context(
                    self._context(own=own).wrap_socket(connection, server_hostname=named)
                )
                self._check_names(connection)
            connection.settimeout(_left(end))
            connection.sendall(request)
            return _status(connection, end)

    def _port(self) -> int:
        return self.parts.port or (443 if self.parts.scheme == "https" else 80)

    def _context(self, *, own: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # newer versions of Python ask more of an authority's certificate than the gateway does
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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
    """Who answers is not the service that the configuration means, or is nobody to ask."""


class _Closed(Exception):
    """The connection ended before an answer."""


def _left(end: float) -> float:
    """Seconds until then. Raises `TimeoutError` where there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(host: str, port: int, end: float) -> socket.socket:
    """A connection to the first address that takes one; never to one that the gateway would not contact."""
    failure: OSError = OSError("has no address")
    for family, kind, number, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        why = forbidden_host(str(address[0]))
        if why:
            raise _Another(f"its address {why}; it is never contacted")
        found = socket.socket(family, kind, number)
        try:
            found.settimeout(_left(end))
            found.connect(address)
        except OSError as error:
            found.close()
            failure = error
        else:
            return found
    raise failure


def _status(connection: socket.socket, end: float) -> int:
    """The status of the final answer (RFC 9112 section 4); what comes before it is left out (RFC 9110 section 15.2)."""
    held = b""
    while len(held) <= LONGEST_HEAD:
        status = _STATUS.match(held)
        if status and status[1][:1] != b"1":
            return int(status[1])
        if status is None and len(held) >= len("HTTP/1.1 200"):
            break
        _, ended, rest = held.partition(b"\r\n\r\n")
        if status and ended:
            held = rest
            continue
        connection.settimeout(_left(end))
        received = connection.recv(4096)
        if not received:
            raise _Closed
        held += received
    raise ValueError("no status line")


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
        message = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{message}.{b64(_signed(self._private(key, stale=stale), message.encode()))}"

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


def _where(compiled: Compiled, service: str) -> tuple[str, str | None]:
    """Path and host that a route leads to this service with GET, variables filled in; the root where there is none."""
    for policy in compiled.policies:
        leads = any(share["service"] == service for share in policy.action.get("forward", ()))
        if leads and "GET" in policy.methods:
            path = re.sub(r"\{[a-z0-9_]+(\.\.\.)?\}", "yett-selftest", policy.rewrite or policy.path)
            return path, next((host for host in policy.hosts or () if not host.startswith("*")), None)
    return "/", None


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "too late"
    if isinstance(error, socket.gaierror):
        return "its name has no address"
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
