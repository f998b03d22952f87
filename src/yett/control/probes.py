"""TLS connections to our own listeners and to services, to see what is really served."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yett.config.certificates import names_of, parse
from yett.config.compile import Compiled


def probe_all(compiled: Compiled, timeout: float) -> list[dict[str, Any]]:
    """One entry for each TLS listener certificate and each TLS endpoint: what, address, protocol, subject, fault or ""."""
    document = json.loads(compiled.ir)
    found: list[dict[str, Any]] = []
    for listener in document["listeners"]:
        if listener.get("tls"):
            found += _listener(listener, timeout)
    for service in document["services"]:
        for endpoint in service["endpoints"]:
            if endpoint["tls"]:
                found.append(_service(service, endpoint, compiled.secrets, timeout))
    return found


def _listener(listener: dict[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
    host, _, port = listener["address"].rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    for pair in listener["tls"]["certificates"]:
        leaf = parse(pair["chain"])[0]
        names = names_of(leaf)
        name = next((name for name in names if not name.startswith("*")), None) or (
            names[0].replace("*", "probe", 1) if names else None
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # what is served is compared byte by byte; whom a client would trust is not the question here
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        entry = _connect(f"listener `{listener['name']}`", host, int(port), name, context, timeout)
        if not entry["fault"] and entry.pop("der") != _der(leaf):
            entry["fault"] = (
                f"listener `{listener['name']}` serves another certificate for `{name}` than its file holds; reload it"
            )
        entry.pop("der", None)
        yield entry


def _service(
    service: dict[str, Any], endpoint: dict[str, Any], secrets: dict[str, bytes], timeout: float
) -> dict[str, Any]:
    tls = service["tls"] or {}
    context = ssl.create_default_context(cadata=tls.get("ca"))
    name = tls.get("server_name") or endpoint["host"]
    what = f"service `{service['name']}`"
    if tls.get("certificate"):
        with _pair(tls["certificate"], secrets[tls["key"]]) as path:
            context.load_cert_chain(path)
    entry = _connect(what, endpoint["host"], endpoint["port"], name, context, timeout)
    entry.pop("der", None)
    return entry


@contextlib.contextmanager
def _pair(chain: str, key: bytes) -> Iterator[Path]:
    """Python's TLS takes keys from files only: one that nobody else can read, gone at once."""
    descriptor, name = tempfile.mkstemp(prefix="yett-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n" + chain.encode())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _connect(
    what: str, host: str, port: int, name: str | None, context: ssl.SSLContext, timeout: float
) -> dict[str, Any]:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    entry: dict[str, Any] = {"what": what, "address": address, "protocol": "", "subject": "", "fault": ""}
    try:
        with (
            socket.create_connection((host, port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            entry["der"] = tls.getpeercert(binary_form=True)
            entry["protocol"] = tls.version() or ""
            if tls.version() == "TLSv1.3":
                _wait_for_verdict(tls, timeout)
    except ssl.SSLCertVerificationError as error:
        entry["fault"] = f"{what} at {address} does not prove who it is: {error.verify_message}"
    except ssl.SSLError as error:
        entry["fault"] = f"{what} at {address} refuses the handshake: {error.reason or 'unknown reason'}"
    except OSError as error:
        entry["fault"] = f"{what} at {address} cannot be reached: {error.strerror or 'timed out'}"
    if entry.get("der"):
        from cryptography import x509

        entry["subject"] = x509.load_der_x509_certificate(entry["der"]).subject.rfc4514_string()
    return entry


def _wait_for_verdict(tls: ssl.SSLSocket, timeout: float) -> None:
    """In TLS 1.3 a server refuses our certificate after our handshake is over: an alert, where it comes, comes now."""
    tls.settimeout(min(timeout, 0.2))
    with contextlib.suppress(TimeoutError):
        tls.recv(1)


def _der(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    der: bytes = certificate.public_bytes(Encoding.DER)
    return der
