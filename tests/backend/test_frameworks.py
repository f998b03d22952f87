"""The examples for FastAPI, Starlette, Flask and Django, each with its real framework, behind the real gateway."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import assertions, configs
from tests.support.services import ask

EXAMPLES = Path(__file__).parents[2] / "examples" / "backends"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    # Django looks for its settings' module by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.app


@pytest.mark.parametrize("name", ["fastapi_app", "starlette_app", "flask_app", "django_app"])
def test_example(
    name: str, gateway: Any, issuer: Any, asgi: Any, wsgi: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    keys, vouches = assertions.make_keys(tmp_path), issuer()
    (tmp_path / "jwks.json").write_text(assertions.public_keys(keys))
    monkeypatch.setenv("GATEWAY_ISSUER", assertions.ISSUER)
    monkeypatch.setenv("GATEWAY_KEYS", str(tmp_path / "jwks.json"))
    service = (wsgi if name in {"flask_app", "django_app"} else asgi)(load(name))
    gate = gateway(
        {
            "identity": assertions.identity(keys),
            "identity_providers": {"id": vouches.provider(claims={"tenant": "tenant"})},
            "services": {
                "billing": {
                    "endpoints": f"http://127.0.0.1:{service.port}",
                    "plaintext": "test",
                    "identity_assertion": {},
                }
            },
            "routes": {
                "all": configs.route(
                    service="billing",
                    authenticate="id",
                    access="authenticated",
                    tenant={"none": "the service decides"},
                )
            },
        }
    )
    good = vouches.bearer(tenant="acme", scope="billing.read")
    for method in ("GET", "POST"):
        answer = gate.request(method, "/tenants/acme/invoices?page=2&q=%20x", good)
        assert (answer.status, json.loads(answer.body)) == (200, {"caller": "alice", "tenant": "acme"})
    for claims, target, code in (
        ({"tenant": "acme", "scope": "billing.read"}, "/tenants/globex/invoices", "tenant_mismatch"),
        ({"tenant": "acme", "scope": "orders.read"}, "/tenants/acme/invoices", "scope_missing"),
    ):
        refused = gate.get(target, vouches.bearer(**claims))
        assert (refused.status, refused.reason) == (403, code)
    for method, target, headers, body, code in (
        ("GET", "/tenants/acme/invoices?page=0", {}, b"", "parameter_invalid"),
        (
            "POST",
            "/tenants/acme/invoices",
            {"Content-Type": "application/json"},
            b'{"amount": 0}',
            "schema_mismatch",
        ),
        ("GET", "/tenants/acme/other", {}, b"", "operation_unknown"),
    ):
        refused = gate.request(method, target, {**good, **headers}, body)
        assert refused.reason == code, refused.body
    around = ask(service, "GET", "/tenants/acme/invoices", good)
    assert (around.status, around.reason) == (401, "assertion_missing")
    assert ask(service, "GET", "/healthz").status == 200
