"""A service with Starlette that answers nobody but the gateway: `uvicorn starlette_app:app`."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from yett.backend import (
    IdentityMiddleware,
    OpenApi,
    OpenApiMiddleware,
    Verifier,
    audit,
    require_scope,
    require_tenant,
)

verifier = Verifier(
    audience="billing", issuer=os.environ["GATEWAY_ISSUER"], keys=Path(os.environ["GATEWAY_KEYS"])
)
description = OpenApi(Path(__file__).with_name("openapi.yaml"))


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "up"})


async def invoices(request: Request) -> JSONResponse:
    caller = require_tenant(request.path_params["tenant"])
    require_scope("billing.read")
    audit("invoices.read", f"tenant/{caller.tenant}", "success")
    return JSONResponse({"caller": caller.subject, "tenant": caller.tenant})


app = Starlette(
    routes=[
        Route("/healthz", health),
        Route("/tenants/{tenant}/invoices", invoices, methods=["GET", "POST"]),
    ],
    middleware=[
        Middleware(IdentityMiddleware, verifier=verifier, exempt=["/healthz"]),
        Middleware(OpenApiMiddleware, description=description, exempt=["/healthz"]),
    ],
)
