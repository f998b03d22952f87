"""A service with FastAPI that answers nobody but the gateway: `uvicorn fastapi_app:app`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI

from yett.backend import (
    Caller,
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
app = FastAPI()
# What is added last is asked first: who calls, then what the call has to be.
app.add_middleware(OpenApiMiddleware, description=description, exempt=["/healthz"])
app.add_middleware(IdentityMiddleware, verifier=verifier, exempt=["/healthz"])


def reader(tenant: str) -> Caller:
    """A dependency: the caller belongs to the tenant of the path, and may read its invoices."""
    require_scope("billing.read")
    return require_tenant(tenant)


@app.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "up"}


@app.api_route("/tenants/{tenant}/invoices", methods=["GET", "POST"])
async def invoices(tenant: str, caller: Annotated[Caller, Depends(reader)]) -> dict[str, str]:
    audit("invoices.read", f"tenant/{tenant}", "success")
    return {"caller": caller.subject, "tenant": tenant}
