"""A foreign page opens a WebSocket connection with the visitor's cookies (cross-site WebSocket hijacking, THREATS 46)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.websocket import WebSocketService, dial

COOKIE = {"Cookie": "session=secret"}
OWN = "http://gateway.test:{port}"


def front(gateway: Callable[..., Gateway], service: WebSocketService, origins: Any = None) -> Gateway:
    rules = {} if origins is None else {"origins": origins}
    route = configs.route(methods="GET", websocket=rules)
    return gateway({"services": {"origin": service.config()}, "routes": {"socket": route}})


LISTED = {"any_of": ["https://shop.example.com", "https://admin.example.com:8443"]}
ALLOWED = {
    "its own page": (None, {"Origin": OWN, **COOKIE}),
    "its own page, no cookie": (None, {"Origin": OWN}),
    "a program": (None, {}),
    "its own page beside listed ones": (LISTED, {"Origin": OWN, **COOKIE}),
    "a listed page": (LISTED, {"Origin": "https://shop.example.com", **COOKIE}),
    "a listed page with a port": (LISTED, {"Origin": "https://admin.example.com:8443", **COOKIE}),
    "any page without cookies": ("any", {"Origin": "https://evil.example"}),
    "any program": ("any", {}),
}
REFUSED = {
    "a foreign page": (None, {"Origin": "https://evil.example", **COOKIE}),
    "a foreign page without cookies": (None, {"Origin": "https://evil.example"}),
    "the same name over another scheme": (None, {"Origin": "https://gateway.test:{port}", **COOKIE}),
    "the same name on another port": (None, {"Origin": "http://gateway.test:1", **COOKIE}),
    "the name as a beginning": (None, {"Origin": OWN + ".evil.example", **COOKIE}),
    "an opaque origin": (None, {"Origin": "null", **COOKIE}),
    "an empty origin": (None, {"Origin": "", **COOKIE}),
    "a cookie and no origin": (None, COOKIE),
    "no origin where some are listed": (LISTED, {}),
    "not listed": (LISTED, {"Origin": "https://evil.example"}),
    "a subdomain of a listed one": (LISTED, {"Origin": "https://x.shop.example.com"}),
    "a listed one over http": (LISTED, {"Origin": "http://shop.example.com"}),
    "two in one": (LISTED, {"Origin": "https://shop.example.com https://evil.example"}),
    "any page with cookies": ("any", {"Origin": "https://evil.example", **COOKIE}),
    "a cookie and no origin where any may": ("any", COOKIE),
}


def fields(headers: dict[str, str], gateway: Gateway) -> dict[str, str]:
    return {name: value.format(port=gateway.port) for name, value in headers.items()}


@pytest.mark.parametrize("name", ALLOWED)
def test_pages_that_may(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], name: str
) -> None:
    service = websocket()
    origins, headers = ALLOWED[name]
    door = front(gateway, service, origins)
    with dial(door, headers=fields(headers, door)) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"


@pytest.mark.parametrize("name", REFUSED)
def test_pages_that_may_not(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService], name: str
) -> None:
    service = websocket()
    origins, headers = REFUSED[name]
    door = front(gateway, service, origins)
    with pytest.raises(InvalidStatus) as refused, dial(door, headers=fields(headers, door)):
        pass
    assert refused.value.response.status_code == 403
    assert door.log_line(status=403)["reason"] == "origin_forbidden"
    assert service.saw_nothing()
