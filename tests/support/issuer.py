"""An identity provider: signs tokens with joserfc, and serves its key set over HTTP or HTTPS."""

from __future__ import annotations

import base64
import functools
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from tests.support.waiting import eventually

AUDIENCE = "shop"
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


@functools.cache
def make_key(kind: str = "EC", number: int = 0) -> Key:
    """A key with the id `{kind}-{number}`; the same one each time within a run, since RSA keys take long to make."""
    options = {"kid": f"{kind}-{number}", "use": "sig"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, options)
    if kind == "EC":
        return ECKey.generate_key("P-256", options)
    if kind in ("P-384", "P-521"):
        return ECKey.generate_key(kind, options)
    return OKPKey.generate_key("Ed25519", options)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes, signature: bytes = b"") -> str:
    """A token from its parts, whatever they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join([b64(parts[0]), b64(parts[1]), b64(signature)])


def _algorithm(key: Key) -> str:
    if key.key_type == "EC":
        return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.as_dict()["crv"]]
    return ALGORITHMS[key.key_type]


@dataclass
class Issuer:
    """An identity provider. `mode` says how the next fetches go: ok, fail, stall, redirect, garbage, huge, hangup.

    Every path is the key set's but those in `documents`: a document, or the status of an error. With an `etag` a fetch
    that names it gets a 304, counted in `unchanged`.
    """

    kinds: tuple[str, ...] = ("EC",)
    issuer: str = ""
    audience: str = AUDIENCE
    tls: ssl.SSLContext | None = None
    mode: str = "ok"
    redirect_to: str = ""
    fetches: int = 0
    paths: list[str] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    override: bytes | None = None
    etag: str | None = None
    cache_control: str | None = None
    unchanged: int = 0
    documents: dict[str, dict[str, Any] | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number = 0
        self.keys = self.keys or [make_key(kind) for kind in self.kinds]
        self.signer = self.keys[0]
        self._stalled = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        scheme = "https" if self.tls else "http"
        self.host = "localhost" if self.tls else "127.0.0.1"
        self.base = f"{scheme}://{self.host}:{self.port}"
        self.issuer = self.issuer or self.base
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def jwks_url(self) -> str:
        return f"{self.base}/jwks.json"

    def close(self) -> None:
        self._stalled.set()
        self._server.shutdown()
        self._server.server_close()

    def go_down(self) -> None:
        """Connections are refused from now on."""
        self._server.shutdown()
        self._server.server_close()

    def jwks(self) -> str:
        return json.dumps(
            {"keys": [{**key.as_dict(private=False), "alg": _algorithm(key)} for key in self.keys]}
        )

    def jwks_file(self, directory: Path) -> str:
        path = directory / f"jwks-{self.port}.json"
        path.write_text(self.jwks())
        return str(path)

    def rotate(self, keep_old: bool = False, kind: str | None = None) -> Key:
        """A new signing key; the old one leaves the set unless it is kept."""
        self._number += 1
        old = self.signer
        self.signer = make_key(kind or self.kinds[0], self._number)
        self.keys = [self.signer, old] if keep_old else [self.signer]
        return self.signer

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """Its document (OpenID Connect Discovery 1.0), served at its place from now on; None removes a member."""
        document = {
            "issuer": self.issuer,
            "jwks_uri": self.jwks_url,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            **changes,
        }
        document = {name: value for name, value in document.items() if value is not None}
        self.documents["/.well-known/openid-configuration"] = document
        return document

    def discovered(self, fetch: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """The configuration of this provider, keys from where its metadata says."""
        self.documents.setdefault("/.well-known/openid-configuration", self.metadata())
        return self.provider(jwks=fetch, **changes)

    def wait_fetches(self, count: int, within: float = 40.0) -> None:
        eventually(lambda: self.fetches >= count, within, f"{count} fetches of the key set")

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are accepted; a change to None removes one."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "alice",
            "iat": now,
            "exp": now + 300,
            "jti": "token-1",
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """A token that is accepted unless a change spoils it."""
        return self.sign(self.claims(**changes))

    def sign(
        self,
        payload: dict[str, Any] | bytes,
        header: dict[str, Any] | None = None,
        key: Key | None = None,
        algorithm: str | None = None,
    ) -> str:
        """Signs any payload; `header` adds to or changes the usual one, None removes a field."""
        key = key or self.signer
        algorithm = algorithm or (header or {}).get("alg") or _algorithm(key)
        fields = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **(header or {})}
        fields = {name: value for name, value in fields.items() if value is not None}
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.sign_parts(json.dumps(fields).encode(), data, key, algorithm)

    def sign_parts(
        self, header: bytes, payload: bytes, key: Key | None = None, algorithm: str | None = None
    ) -> str:
        """A correct signature over exactly these bytes."""
        key = key or self.signer
        algorithm = algorithm or _algorithm(key)
        signing = f"{b64(header)}.{b64(payload)}".encode()
        model = jws.default_registry.algorithms[algorithm]
        return f"{signing.decode()}.{b64(model.sign(signing, key))}"

    def bearer(self, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(**changes)}"}

    def provider(self, fetch: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """The configuration of this provider, keys fetched by URL."""
        config: dict[str, Any] = {
            "type": "jwt",
            "issuer": self.issuer,
            "audience": self.audience,
            "jwks": {"url": self.jwks_url, **(fetch or {})},
        }
        if self.tls is None:
            config["plaintext"] = "test"
        config.update(changes)
        return {name: value for name, value in config.items() if value is not None}

    def inline(self, directory: Path, **changes: Any) -> dict[str, Any]:
        """The configuration of this provider, keys from a file."""
        return self.provider(jwks=self.jwks_file(directory), **changes)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                issuer.paths.append(self.path)
                issuer.fetches += 1
                mode = issuer.mode
                body = issuer.override if issuer.override is not None else issuer.jwks().encode()
                if mode == "stall":
                    issuer._stalled.wait(30)
                if mode == "hangup":
                    self.close_connection = True
                    return
                status = {"fail": 500, "redirect": 302}.get(mode, 200)
                document = issuer.documents.get(self.path)
                if isinstance(document, int):
                    status, body = document, b"{}"
                elif document is not None:
                    body = json.dumps(document).encode()
                elif status == 200 and issuer.etag and self.headers["If-None-Match"] == issuer.etag:
                    issuer.unchanged += 1
                    status, body = 304, b""
                if mode == "garbage":
                    body = b"<html>sorry</html>"
                if mode == "huge":
                    body = b'{"keys": [], "padding": "' + b"x" * 4_000_000 + b'"}'
                try:
                    self.send_response(status)
                    if mode == "redirect":
                        self.send_header("Location", issuer.redirect_to)
                    if issuer.etag:
                        self.send_header("ETag", issuer.etag)
                    if issuer.cache_control:
                        self.send_header("Cache-Control", issuer.cache_control)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def oct_key(secret: bytes, kid: str) -> OctKey:
    return OctKey.import_key(secret, {"kid": kid})
