"""A service with Flask that answers nobody but the gateway: `gunicorn flask_app:app`."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, Response

from yett.backend import (
    OpenApi,
    Refused,
    Verifier,
    WsgiIdentityMiddleware,
    WsgiOpenApiMiddleware,
    audit,
    require_scope,
    require_tenant,
)

verifier = Verifier(
    audience="billing", issuer=os.environ["GATEWAY_ISSUER"], keys=Path(os.environ["GATEWAY_KEYS"])
)
description = OpenApi(Path(__file__).with_name("openapi.yaml"))
app = Flask(__name__)
validated = WsgiOpenApiMiddleware(app.wsgi_app, description, exempt=["/healthz"])
app.wsgi_app = WsgiIdentityMiddleware(validated, verifier, exempt=["/healthz"])  # type: ignore[method-assign]


@app.errorhandler(Refused)
def refused(error: Refused) -> Response:
    """What `require_scope` and `require_tenant` raise; without this Flask would answer 500."""
    return Response(error.problem(), error.status, error.headers())


@app.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "up"}


@app.route("/tenants/<tenant>/invoices", methods=["GET", "POST"])
def invoices(tenant: str) -> dict[str, str]:
    caller = require_tenant(tenant)
    require_scope("billing.read")
    audit("invoices.read", f"tenant/{tenant}", "success")
    return {"caller": caller.subject, "tenant": tenant}
