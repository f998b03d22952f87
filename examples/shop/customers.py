"""The customers service: profiles, and an admin page that is meant for the inside only."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PROFILES: dict[str, dict[str, object]] = {
    "acme": {"name": "Acme Corporation", "city": "Edinburgh"},
    "globex": {"name": "Globex", "city": "Glasgow"},
}


async def read_profile(request: Request) -> JSONResponse:
    return JSONResponse(PROFILES.get(request.path_params["tenant"], {}))


async def write_profile(request: Request) -> JSONResponse:
    PROFILES[request.path_params["tenant"]] = await request.json()
    return JSONResponse(PROFILES[request.path_params["tenant"]])


async def admin(_: Request) -> JSONResponse:
    return JSONResponse({"profiles": PROFILES})


app = Starlette(
    routes=[
        Route("/tenants/{tenant}/profile", read_profile, methods=["GET"]),
        Route("/tenants/{tenant}/profile", write_profile, methods=["PUT"]),
        Route("/admin", admin),
    ]
)
