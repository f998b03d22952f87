"""A service with Django that answers nobody but the gateway: `gunicorn django_app:app`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

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


class RefusedMiddleware:
    """What `require_scope` and `require_tenant` raise; without this Django would answer 500."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, Refused):
            return None
        return HttpResponse(error.problem(), status=error.status, headers=dict(error.headers()))


def health(_: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "up"})


def invoices(_: HttpRequest, tenant: str) -> HttpResponse:
    caller = require_tenant(tenant)
    require_scope("billing.read")
    audit("invoices.read", f"tenant/{tenant}", "success")
    return JsonResponse({"caller": caller.subject, "tenant": tenant})


urlpatterns = [path("healthz", health), path("tenants/<str:tenant>/invoices", invoices)]

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=secrets.token_urlsafe(32),
    MIDDLEWARE=[f"{__name__}.RefusedMiddleware"],
)
django.setup()
validated = WsgiOpenApiMiddleware(get_wsgi_application(), description, exempt=["/healthz"])
app = WsgiIdentityMiddleware(validated, verifier, exempt=["/healthz"])
