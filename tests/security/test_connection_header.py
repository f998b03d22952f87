"""`Connection: Authorization, X-User` cannot remove what the gateway sets (CVE-2024-45410, CVE-2025-48865)."""

from __future__ import annotations

import pytest

from tests.support import configs


@pytest.mark.parametrize("spelling", ["{}", "close, {}", "{}, keep-alive", "X-A,{},X-B", "\t{} ,"])
@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Request-Id",
        "Host",
        "X-Gateway-Checked",
        "Content-Length",
        "traceparent",
    ],
)
def test_connection_options_do_not_remove_what_the_gateway_sets(gateway, origin, name, spelling):
    service = origin()
    gate = gateway(configs.public(service, request_headers={"set": {"X-Gateway-Checked": "yes"}}))
    answer = gate.post("/a", b"hello", {"Connection": spelling.format(name)})
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert name in service.only
        assert service.only.body == b"hello"
        assert service.only["x-gateway-checked"] == "yes"
    else:
        assert service.saw_nothing()


def test_hop_by_hop_fields_and_what_connection_names_stay_behind(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    answer = gate.get(
        "/a",
        {
            "Connection": "X-Hop, keep-alive",
            "X-Hop": "1",
            "Keep-Alive": "timeout=5",
            "TE": "trailers",
            "Proxy-Connection": "keep-alive",
            "Proxy-Authorization": "Basic x",
            "X-End": "2",
        },
    )
    assert answer.status == 200
    assert service.only["x-end"] == "2"
    assert not service.only.names & {
        "x-hop",
        "keep-alive",
        "te",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
    }


def test_connection_cannot_hide_a_credential_from_the_check(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(configs.protected(service, identity, tmp_path))
    answer = gate.get("/closed", {"Connection": "Authorization", **identity.bearer(exp=1)})
    assert answer.status in (400, 401)
    assert service.saw_nothing()


def test_connection_of_an_answer_cannot_remove_what_the_gateway_sets(gateway, origin):
    service = origin()
    service.answers(headers=[("Connection", "X-Request-Id, X-Policy, X-Hop"), ("X-Hop", "1")])
    gate = gateway(configs.public(service, response_headers={"set": {"X-Policy": "on"}}))
    answer = gate.get("/a")
    assert answer.status == 200
    assert answer["x-policy"] == "on"
    assert "x-request-id" in answer
    assert "x-hop" not in answer
