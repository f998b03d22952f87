"""The orders service. It knows nothing of tokens: the gateway says who calls, signed, and `serve.py` verifies that."""

from __future__ import annotations

import traceback

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from yett.backend import require_tenant

ORDERS: dict[str, list[dict[str, object]]] = {
    "acme": [
        {"id": "1001", "item": "anvil", "quantity": 1, "margin": 0.62},
        {"id": "1002", "item": "rope", "quantity": 3, "margin": 0.31},
    ],
    "globex": [{"id": "2001", "item": "globe", "quantity": 7, "margin": 0.48}],
}
"""`margin` is nobody's business outside, and answered with the rest."""


def _of(request: Request) -> list[dict[str, object]]:
    require_tenant(request.path_params["tenant"])
    return ORDERS.setdefault(request.path_params["tenant"], [])


async def list_orders(request: Request) -> JSONResponse:
    return JSONResponse(_of(request))


async def create_order(request: Request) -> JSONResponse:
    order = {**await request.json(), "id": str(1001 + len(_of(request)))}
    # a demo that runs for days keeps the last hundred
    ORDERS[request.path_params["tenant"]] = [*_of(request)[-99:], order]
    return JSONResponse(order, status_code=201)


async def read_order(request: Request) -> JSONResponse:
    try:
        number = str(int(request.path_params["order"]))
    except ValueError:
        # meant for the people who wrote this
        return JSONResponse({"error": traceback.format_exc()}, status_code=500)
    found = [order for order in _of(request) if order["id"] == number]
    return JSONResponse(found[0]) if found else JSONResponse({"error": "no such order"}, status_code=404)


async def search(request: Request) -> JSONResponse:
    text = request.query_params.get("q", "")
    return JSONResponse([order for order in _of(request) if text in str(order["item"])])


async def debug(_: Request) -> JSONResponse:
    """Forgotten here by somebody, with everything in it. The gateway has no route to it."""
    return JSONResponse({"all_tenants": ORDERS})


app = Starlette(
    routes=[
        Route("/tenants/{tenant}/orders", list_orders, methods=["GET"]),
        Route("/tenants/{tenant}/orders", create_order, methods=["POST"]),
        Route("/tenants/{tenant}/orders/{order}", read_order),
        Route("/tenants/{tenant}/search", search),
        Route("/debug", debug),
    ]
)
