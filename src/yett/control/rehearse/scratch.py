"""A gateway for a rehearsal: one listener of the configuration on a free loopback port, answering by itself."""

from __future__ import annotations

import copy
import json
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yett.config.certificates import chain_fault, parse, utc_now
from yett.control.rehearse.authority import Issued

OPEN = "/rehearsal/open"
"""Stands for the listener's routes that require no client certificate."""
CLOSED = "/rehearsal/closed"
"""Stands for those that require one."""
_KEY = "rehearsal.key"
_VERDICT_S = 2.0
_FAILURES = re.compile(r'^yett_tls_handshake_failures_total\{cause="(\w+)"\} (\d+)$', re.MULTILINE)
# X509_V_ERR_… of OpenSSL's x509_vfy.h
_CLIENT_SAYS = {9: "not yet valid", 10: "expired", 18: "unknown issuer", 19: "unknown issuer", 20: "unknown issuer",
                21: "unknown issuer", 62: "wrong name", 64: "wrong name"}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """What a listener serves: a chain in PEM, leaf first, and the key of the leaf."""

    chain: str
    key: bytes


@dataclass(frozen=True)
class Trust:
    """Whose clients a listener trusts."""

    mode: str
    ca: str
    crls: tuple[str, ...] = ()


class NotLoaded(Exception):
    """The gates of a configuration refuse it; the message says why."""


class Scratch:
    """Serves one listener of a compiled document."""

    def __init__(self, document: dict[str, Any], listener: dict[str, Any], timeout: float) -> None:
        from yett import _core

        self._timeout = timeout
        self._document = _alone(document, listener)
        self._name = listener["name"]
        self._gateway = _core.Gateway(b'{"workers":1}')

    def close(self) -> None:
        """Ends it with its connections."""
        self._gateway.stop(0.0)

    def load(self, pair: Pair, trust: Trust | None, pending: Sequence[str] = ()) -> None:
        """Takes the same gates as a reload. Raises `NotLoaded`, and then serves what it served."""
        from yett import _core

        fault = chain_fault(parse(pair.chain), utc_now())
        if fault:
            raise NotLoaded(fault)
        document = copy.deepcopy(self._document)
        document["routes"] = [_route("open", OPEN, self._name, closed=False)]
        tls = document["listeners"][0]["tls"]
        tls["certificates"] = [{"chain": pair.chain, "key": _KEY}]
        tls.pop("client_certificates", None)
        tls["pending"] = list(pending)
        if trust:
            tls["client_certificates"] = {"mode": trust.mode, "ca": trust.ca, "crls": list(trust.crls)}
            document["routes"].append(_route("closed", CLOSED, self._name, closed=True))
        try:
            self._gateway.apply(json.dumps(document).encode(), {_KEY: pair.key})
        except _core.ApplyError as error:
            raise NotLoaded(json.loads(error.args[0])[0]["message"]) from None

    def ask(self, name: str, trusted: str, shown: Issued | None = None, path: str = OPEN) -> str:
        """What becomes of one client that trusts `trusted` and shows `shown`: a few words, always the same ones."""
        seen = self._refusals()
        try:
            with self.connect(name, trusted, shown) as connection:
                return _answer(connection, name, path)
        except ssl.SSLCertVerificationError as error:
            return f"the client refuses: {_CLIENT_SAYS.get(error.verify_code, error.verify_message)}"
        except (OSError, EOFError) as error:
            cause = self._cause(seen)
            return (
                f"the gateway refuses: {cause}" if cause else f"the connection fails: {type(error).__name__}"
            )

    def connect(self, name: str, trusted: str, shown: Issued | None = None) -> ssl.SSLSocket:
        """A connection of a client. Raises what `ssl` raises."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=trusted)
        # what is at the top of the chain that we serve is trusted, whether it signed itself or not
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        if shown:
            _show(context, shown)
        plain = socket.create_connection(self._address(), self._timeout)
        try:
            return context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def _address(self) -> tuple[str, int]:
        found = json.loads(self._gateway.status())["listeners"][0]["address"]
        host, _, port = found.rpartition(":")
        return host, int(port)

    def _refusals(self) -> dict[str, int]:
        text = bytes(self._gateway.metrics()).decode()
        return {cause: int(count) for cause, count in _FAILURES.findall(text)}

    def _cause(self, before: dict[str, int]) -> str | None:
        """Why the gateway refused, which it counts a moment after the client has heard of it."""
        end = time.monotonic() + _VERDICT_S
        while True:
            for cause, count in self._refusals().items():
                if count > before.get(cause, 0):
                    return cause
            if time.monotonic() > end:
                return None
            time.sleep(0.01)


def politely_closed(connection: ssl.SSLSocket, timeout: float) -> str:
    """How the gateway ends an idle connection."""
    connection.settimeout(timeout)
    try:
        more = connection.recv(1)
    except TimeoutError:
        return "stays open"
    except (ssl.SSLError, OSError):
        return "is cut"
    return "stays open" if more else "closes politely"


def _answer(connection: ssl.SSLSocket, name: str, path: str) -> str:
    host = f"[{name}]" if ":" in name else name
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    received = b""
    while more := connection.recv(65536):
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 3:
        raise EOFError
    if words[1] == b"200":
        return "served"
    try:
        return f"answered {words[1].decode()} {json.loads(body)['reason']}"
    except (ValueError, KeyError, TypeError):
        return f"answered {words[1].decode()}"


def _show(context: ssl.SSLContext, shown: Issued) -> None:
    """Python's TLS takes keys from files only."""
    with tempfile.TemporaryDirectory(prefix="yett-") as directory:
        file = Path(directory) / "client.pem"
        file.write_text(shown.pem + shown.key_pem)
        context.load_cert_chain(file)


def _alone(document: dict[str, Any], listener: dict[str, Any]) -> dict[str, Any]:
    """The document with this one listener. Who may connect from where, and how often, is not what is rehearsed."""
    own = copy.deepcopy(listener)
    own.update(address="127.0.0.1:0", address_limits=[], trusted_proxies=None)
    own.pop("shadow_limits", None)
    own.pop("proxy_protocol", None)
    return {
        "version": document["version"], "environment": "rehearsal", "process": document["process"], "admin": None,
        "access_log": "off", "secrets": {_KEY: "rehearsal"}, "listeners": [own], "providers": [], "services": [],
    }  # fmt: skip


def _route(name: str, path: str, listener: str, *, closed: bool) -> dict[str, Any]:
    none: dict[str, Any] = {"set": {}, "add": {}, "remove": []}
    return {
        "name": name, "group": None, "listeners": [listener],
        "match": {"hosts": None, "path": path, "methods": ["GET"], "headers": {}, "query": {}},
        "path_allow": [], "client_certificate": closed, "access": "public", "address_limits": [], "rate_limits": [],
        "action": {"respond": {"status": 200, "body": "rehearsed", "content_type": "text/plain"}},
        "rewrite": None, "request_headers": none, "response_headers": none, "body_limit": 0,
        "timeouts": {"connect_ms": 1000, "first_byte_ms": 1000, "idle_ms": 1000, "total_ms": 0},
    }  # fmt: skip
