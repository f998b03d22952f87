"""Runs one of the services: TLS with its own certificate, and only for the gateway, which has to show its own certificate and, in
each request, what it signed of the caller.

python serve.py billing 9102 .state
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
import sys
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from yett.backend import IdentityMiddleware, Verifier

# `identity.issuer` in gateway.yaml.
ISSUER = "https://shop.example/gateway"
# The name in the gateway's certificate. Other certificates of the same authority are not for calling this service.
GATEWAY = ("URI", "spiffe://shop.example/gateway")


class GatewayOnly(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP for connections whose verified certificate names the gateway; any other is closed before a byte is read."""

    accepted = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        shown = transport.get_extra_info("peercert") or {}
        self.accepted = GATEWAY in shown.get("subjectAltName", ())
        if self.accepted:
            super().connection_made(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.accepted:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.accepted:
            super().connection_lost(exc)


def main() -> None:
    name, port, state = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    app = importlib.import_module(name).app
    # people who log in are nobody yet
    anonymous = name == "accounts"
    verifier = Verifier(audience=name, issuer=ISSUER, keys=state / "identity.jwks.json", anonymous=anonymous)
    app.add_middleware(IdentityMiddleware, verifier=verifier)
    uvicorn.run(
        app,
        port=port,
        log_level="warning",
        http=GatewayOnly,
        ssl_certfile=str(state / f"{name}.pem"),
        ssl_keyfile=str(state / f"{name}.key"),
        ssl_ca_certs=str(state / "internal-ca.pem"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )


if __name__ == "__main__":
    main()
