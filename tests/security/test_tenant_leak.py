"""An answer that carries another tenant's id reaches nobody, and raises an alarm."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.waiting import eventually


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {"tenant": "tenant"}
    config["routes"]["closed"] = configs.route(
        "/{tenant}/a",
        "GET",
        authenticate="id",
        access="authenticated",
        tenant="path.tenant",
        response_tenant={"header": "X-Tenant"},
    )
    gate = gateway(config)
    return gate, service, lambda: gate.get("/acme/a", identity.bearer(tenant="acme"))


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Tenant", "globex")],
        [("x-tenant", "acme"), ("X-Tenant", "globex")],
        [("X-Tenant", "")],
        [("X-Tenant", "acme, globex")],
    ],
)
def test_another_tenants_answer_is_refused(shop, fields):
    gate, service, ask = shop
    service.answers(200, b"the invoices of globex", fields)
    answer = ask()
    assert (answer.status, answer.reason) == (502, "tenant_leak")
    assert b"invoices" not in answer.body and "x-tenant" not in answer
    events = eventually(
        lambda: [json.loads(line) for line in gate.events() if "tenant_leak" in line], what="an alarm"
    )
    assert events[0]["level"] == "error" and events[0]["route"] == "closed"
    assert events[0]["request_id"] == answer["x-request-id"]
    gate.wait_log()
    assert gate.metric("yett_refusals_total", reason="tenant_leak") == 1


def test_ones_own_answer_passes(shop):
    gate, service, ask = shop
    service.answers(200, b"mine", [("X-Tenant", "acme")])
    assert ask().body == b"mine"
    service.answers(200, b"nobody's", [])
    assert ask().status == 200
    assert gate.metric("yett_refusals_total", reason="tenant_leak") == 0
