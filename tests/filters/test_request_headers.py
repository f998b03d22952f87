"""request_headers: what the service sees beside what the client sent."""

from __future__ import annotations

import pytest

from tests.support import configs


def test_remove_set_and_add(gateway, origin):
    service = origin()
    gate = gateway(
        configs.public(
            service,
            request_headers={
                "remove": "X-Gone",
                "set": {"X-Set": "gateway"},
                "add": {"X-Add": "more"},
            },
        )
    )
    assert (
        gate.get(
            "/a",
            [("X-Gone", "1"), ("X-Set", "client"), ("X-Set", "twice"), ("X-Add", "client"), ("X-Kept", "1")],
        ).status
        == 200
    )
    seen = service.only
    assert "x-gone" not in seen
    assert seen.all("x-set") == ["gateway"]
    assert seen.all("x-add") == ["client", "more"]
    assert seen["x-kept"] == "1"


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "X-Request-Id",
        "X-Forwarded-For",
        "Upgrade",
        "TE",
        "x_forwarded_for",
        "bad name",
        "",
        "a:b",
        "Traceparent",
    ],
)
@pytest.mark.parametrize("edit", ["set", "add", "remove"])
def test_what_the_gateway_owns_cannot_be_changed(gateway, origin, name, edit):
    value = name or [""] if edit == "remove" else {name: "x"}
    with pytest.raises(Exception) as caught:
        gateway(configs.public(origin(), request_headers={edit: value}))
    assert not isinstance(caught.value, TypeError | KeyError | AttributeError)
