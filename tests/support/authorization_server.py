"""An authorization server: introspection (RFC 7662) and tokens (RFC 6749, RFC 8693), strict about its clients."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from joserfc import jwt
from joserfc.jwk import Key

from tests.support import configs

CLIENT = "gate"
SECRET = "a secret of the gate, with %, : and + in it"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Asked:
    """A request of a client."""

    path: str
    form: dict[str, str]
    authorization: str | None
    connection: int
    certificate: dict[str, Any] | None = None


@dataclass
class AuthorizationServer:
    """`mode` says how answers go: ok, fail, stall, redirect, garbage, html, huge, hangup, gzip, or a JSON text."""

    tls: ssl.SSLContext | None = None
    proof: str = "client_secret_basic"
    """How clients prove themselves: client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth."""
    key: Key | None = None
    """The client's public key."""
    mode: str = "ok"
    delay: float = 0.0
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Clients that could not prove themselves, and why."""
    lifetime: int = 300
    """Seconds, of tokens that it issues."""
    reply: dict[str, Any] = field(default_factory=dict)
    """Changes of answers of the token endpoint; None removes a field."""
    metadata: dict[str, Any] | None = field(default_factory=dict)
    """Changes of its metadata; None removes a field. Without any at all it publishes none."""

    def __post_init__(self) -> None:
        self._released = threading.Event()
        self._seen: set[str] = set()
        self._connections = 0
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self.base = (
            f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def release(self) -> None:
        """Answers that stall go on."""
        self._released.set()
        self._released = threading.Event()

    # tokens

    def issue(self, token: str | None = None, **changes: Any) -> str:
        """An active opaque token; a change to None removes a claim."""
        token = token or f"opaque-{uuid.uuid4()}"
        now = int(time.time())
        answer = {
            "active": True, "iss": self.base, "aud": "shop", "sub": "alice", "client_id": "mobile", "scope": "read write",
            "iat": now, "exp": now + 300, "token_type": "Bearer", "jti": f"id-{len(self.tokens)}",
        }  # fmt: skip
        answer |= changes
        self.tokens[token] = {name: value for name, value in answer.items() if value is not None}
        return token

    def bearer(self, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issue(**changes)}"}

    def revoke(self, token: str) -> None:
        self.tokens.pop(token.removeprefix("Bearer "), None)

    def count(self, path: str = "/introspect") -> int:
        return sum(one.path == path for one in self.asked)

    @property
    def connections(self) -> int:
        """How many connections questions came on."""
        return len({one.connection for one in self.asked})

    # configuration

    def client(self, directory: Path, **changes: Any) -> dict[str, Any]:
        """The client as the gateway has it: with the secret, unless a change says otherwise."""
        if "private_key" not in changes and "certificate" not in changes:
            changes.setdefault(
                "secret", {"file": configs.write_secret(directory, "client.secret", SECRET.encode())}
            )
        return {"id": CLIENT, **changes}

    def provider(
        self, directory: Path, client: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """The configuration of a provider of type introspection."""
        config: dict[str, Any] = {
            "type": "introspection", "endpoint": f"{self.base}/introspect", "audience": "shop",
            "client": client or self.client(directory),
        }  # fmt: skip
        if self.tls is None:
            config["plaintext"] = "test"
        return {name: value for name, value in {**config, **changes}.items() if value is not None}

    # what it does

    def _proved(self, asked: Asked) -> str | None:
        """Why the client is not who it says, or nothing."""
        form, header = asked.form, asked.authorization
        if self.proof == "client_secret_basic":
            scheme, _, coded = (header or "").partition(" ")
            name, _, secret = base64.b64decode(coded).decode().partition(":")
            if scheme != "Basic" or (unquote_plus(name), unquote_plus(secret)) != (CLIENT, SECRET):
                return "basic"
            return "twice" if {"client_id", "client_secret"} & set(form) else None
        if header is not None or form.get("client_id") != CLIENT:
            return "client_id"
        if self.proof == "client_secret_post":
            return None if form.get("client_secret") == SECRET else "post"
        if self.proof == "tls_client_auth":
            return None if asked.certificate else "certificate"
        if form.get("client_assertion_type") != ASSERTION:
            return "assertion type"
        assert self.key is not None
        with warnings.catch_warnings():
            # the older name of Ed25519 is the one that OAuth servers know
            warnings.simplefilter("ignore")
            algorithms = ["ES256", "RS256", "PS256", "EdDSA"]
            claims = jwt.decode(form["client_assertion"], self.key, algorithms=algorithms).claims
        now, jti = time.time(), claims["jti"]
        if (
            claims["iss"] != CLIENT
            or claims["sub"] != CLIENT
            or not (claims["iat"] - 5 <= now < claims["exp"] <= now + 70)
        ):
            return "claims"
        if claims["aud"] not in {self.base, f"{self.base}{asked.path}"} or jti in self._seen:
            return "audience or replay"
        self._seen.add(jti)
        return None

    def _answer(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        fault = self._proved(asked)
        if fault:
            self.refused.append(fault)
            return 401, {"error": "invalid_client"}
        if asked.path == "/introspect":
            return 200, self.tokens.get(asked.form["token"], {"active": False})
        return self._issued(asked.form)

    def _issued(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        grant = form["grant_type"]
        claims: dict[str, Any] = {"sub": CLIENT, "client_id": CLIENT}
        if grant == EXCHANGE:
            subject = self.tokens.get(form["subject_token"])
            if form.get("subject_token_type") != ACCESS or subject is None:
                return 400, {"error": "invalid_request", "error_description": "no such subject token"}
            claims = {"sub": subject["sub"], "act": {"sub": CLIENT}, "client_id": subject.get("client_id")}
        elif grant != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        claims |= {"aud": form.get("audience") or form.get("resource"), "scope": form.get("scope")}
        token = self.issue(**claims)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        if grant == EXCHANGE:
            answer["issued_token_type"] = ACCESS
        answer |= self.reply
        return 200, {name: value for name, value in answer.items() if value is not None}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server._connections += 1
                self.number = server._connections

            def do_GET(self) -> None:
                known = self.path == "/.well-known/oauth-authorization-server"
                said = {
                    "issuer": server.base, "token_endpoint": f"{server.base}/token",
                    "introspection_endpoint": f"{server.base}/introspect", **(server.metadata or {}),
                }  # fmt: skip
                found = {name: value for name, value in said.items() if value is not None}
                body = json.dumps(found).encode() if known and server.metadata is not None else b"{}"
                self.send_response(200 if known and server.metadata is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
                form = dict(
                    parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True, strict_parsing=True)
                )
                shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
                asked = Asked(self.path, form, self.headers["Authorization"], self.number, shown)
                server.asked.append(asked)
                with server._lock:
                    server._now += 1
                    server.most_at_once = max(server.most_at_once, server._now)
                try:
                    self._respond(asked)
                except OSError:
                    self.close_connection = True
                finally:
                    with server._lock:
                        server._now -= 1

            def _respond(self, asked: Asked) -> None:
                mode = server.mode
                if mode == "stall":
                    server._released.wait(30)
                if server.delay:
                    server._released.wait(server.delay)
                if mode == "hangup":
                    self.close_connection = True
                    return
                status, answer = server._answer(asked)
                body, kind = json.dumps(answer).encode(), "application/json"
                if mode == "fail":
                    status = 500
                if mode == "html":
                    kind = "text/html"
                if mode == "garbage":
                    body = b"<html>sorry</html>"
                if mode == "huge":
                    body = json.dumps({**answer, "padding": "x" * 4_000_000}).encode()
                if mode.startswith(("{", "[")):
                    body = mode.encode()
                fields: Iterable[tuple[str, str]] = ()
                if mode == "redirect":
                    status, fields = 302, (("Location", f"{server.base}/other"),)
                if mode == "gzip":
                    fields = (("Content-Encoding", "gzip"),)
                self.send_response(status)
                for name, value in (*fields, ("Content-Type", kind), ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
