"""The billing service: invoices, which only accountants and auditors of their tenant may see."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from yett.backend import audit, require_scope, require_tenant

INVOICES = {
    "acme": [
        {"id": "9001", "amount": 120, "currency": "EUR"},
        {"id": "9002", "amount": 80, "currency": "EUR"},
    ],
    "globex": [{"id": "9501", "amount": 1500, "currency": "EUR"}],
}


def _reader(request: Request) -> None:
    """The gateway has checked this already; a mistake in its configuration is not the last word."""
    require_scope("billing.read")
    caller = require_tenant(request.path_params["tenant"])
    audit("invoices.read", f"tenant/{caller.tenant}", "success")


async def list_invoices(request: Request) -> JSONResponse:
    _reader(request)
    return JSONResponse(INVOICES.get(request.path_params["tenant"], []))


async def read_invoice(request: Request) -> JSONResponse:
    _reader(request)
    for invoice in INVOICES.get(request.path_params["tenant"], []):
        if invoice["id"] == request.path_params["invoice"]:
            return JSONResponse(invoice)
    return JSONResponse({"error": "no such invoice"}, status_code=404)


async def change_invoice(request: Request) -> JSONResponse:
    """PATCH and DELETE; the demo's invoices stay as they are."""
    return JSONResponse({"id": request.path_params["invoice"], "changed": request.method})


app = Starlette(
    routes=[
        Route("/tenants/{tenant}/invoices", list_invoices),
        Route("/tenants/{tenant}/invoices/{invoice}", read_invoice),
        Route("/tenants/{tenant}/invoices/{invoice}", change_invoice, methods=["PATCH", "DELETE"]),
    ]
)
