"""The recipes for Go, Node and Java, as the pages show them, behind the real gateway and around it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import assertions, configs, recipe
from tests.support.services import ask


@dataclass
class Started:
    """A service in another language."""

    port: int
    process: subprocess.Popen[str]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["go", "node", "java"])
def test_recipe(language: str, gateway: Any, issuer: Any, origin: Any, tmp_path: Any) -> None:
    command = recipe.build(language)
    keys, vouches, spy = assertions.make_keys(tmp_path), issuer(), origin()
    config = {
        "identity": assertions.identity(keys, jwks={"listener": "main"}),
        "identity_providers": {"id": vouches.provider(claims={"tenant": "tenant"})},
        # The same name and keys, so that assertions can be caught before they were used.
        "services": {"billing": configs.service(spy, identity_assertion={})},
        "routes": {
            "all": configs.route(
                service="billing",
                authenticate="id",
                access="authenticated",
                tenant={"none": "the service decides"},
            )
        },
    }
    gate = gateway(config)
    url = f"http://127.0.0.1:{gate.port}/identity/jwks.json"
    bearer = vouches.bearer(tenant="acme", scope="billing.read")

    def caught(method: str, target: str, fields: Any = None) -> str:
        spy.forget()
        assert gate.request(method, target, fields or bearer).status == 200
        return str(spy.only["yett-identity"])

    process = subprocess.Popen(
        [*command, assertions.ISSUER, "billing", url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        service: Any = Started(int(process.stdout.readline()), process)
        for method, target in (
            ("GET", "/tenants/acme/invoices?page=2&q=%20x"),
            ("POST", "/caf%C3%A9/a%20b/c+d/100%25"),
            ("GET", "/a?"),
        ):
            used = caught(method, target)
            answer = ask(service, method, target, {"Yett-Identity": used})
            assert answer.status == 200, (method, target)
            assert json.loads(answer.body) == {"sub": "alice", "tenant": "acme", "scope": "billing.read"}
            assert ask(service, method, target, {"Yett-Identity": used}).status == 401, "a second use"
        target = "/tenants/acme/invoices?page=2"
        fresh = caught("GET", target)
        head, payload, signature = fresh.split(".")
        around = [
            ("GET", target, ""),
            ("GET", target, f"{head}.{payload}.{signature[:-4]}AAAA"),
            ("GET", target, f"{head}.{payload}."),
            ("GET", target, f"{fresh},{fresh}"),
            ("GET", "/tenants/acme/invoices?page=3", fresh),
            ("GET", "/tenants/acme/invoices", fresh),
            ("GET", "/tenants/globex/invoices?page=2", fresh),
            ("POST", target, fresh),
        ]
        for method, where, text in around:
            assert ask(service, method, where, {"Yett-Identity": text} if text else {}).status == 401, (
                method,
                where,
            )
        assert ask(service, "GET", target, [("Yett-Identity", fresh), ("Yett-Identity", fresh)]).status == 401
        assert ask(service, "GET", target, {"Yett-Identity": fresh}).status == 200
        config["services"]["billing"]["identity_assertion"] = {"audience": "orders"}
        gate.reload(config)
        assert ask(service, "GET", target, {"Yett-Identity": caught("GET", target)}).status == 401, (
            "for another service"
        )
        thief = assertions.make_keys(_directory(tmp_path))
        config["services"]["billing"]["identity_assertion"] = {}
        config["identity"] = assertions.identity(thief)
        gate.reload(config)
        assert ask(service, "GET", target, {"Yett-Identity": caught("GET", target)}).status == 401, (
            "another key"
        )
    finally:
        process.kill()
        process.wait(10)


def _directory(parent: Any) -> Any:
    (parent / "thief").mkdir()
    return parent / "thief"
