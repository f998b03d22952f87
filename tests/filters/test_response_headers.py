"""response_headers: what the client sees beside what the service sent."""

from __future__ import annotations

import pytest

from tests.support import configs


def test_remove_set_and_add(gateway, origin):
    service = origin()
    service.answers(
        headers=[
            ("X-Gone", "1"),
            ("X-Set", "service"),
            ("X-Set", "twice"),
            ("X-Add", "service"),
            ("X-Kept", "1"),
        ]
    )
    gate = gateway(
        configs.public(
            service,
            response_headers={
                "remove": "X-Gone",
                "set": {"X-Set": "gateway"},
                "add": {"X-Add": "more"},
            },
        )
    )
    answer = gate.get("/a")
    assert "x-gone" not in answer
    assert answer.all("x-set") == ["gateway"]
    assert answer.all("x-add") == ["service", "more"]
    assert answer["x-kept"] == "1"


@pytest.mark.parametrize(
    "name", ["Content-Length", "Transfer-Encoding", "Connection", "X-Request-Id", "Trailer", "bad name"]
)
def test_what_the_gateway_owns_cannot_be_changed(gateway, origin, name):
    with pytest.raises(Exception) as caught:
        gateway(configs.public(origin(), response_headers={"set": {name: "x"}}))
    assert not isinstance(caught.value, TypeError | KeyError | AttributeError)


def test_fixed_answers_are_edited_too(gateway, origin):
    config = configs.public(origin())
    config["routes"]["fixed"] = {
        "match": {"hosts": "any", "path": "/fixed", "methods": "GET"},
        "access": "public",
        "respond": {"status": 200, "content_type": "text/plain", "body": "x"},
        "response_headers": {"set": {"X-Set": "gateway"}},
    }
    assert gateway(config).get("/fixed")["x-set"] == "gateway"
