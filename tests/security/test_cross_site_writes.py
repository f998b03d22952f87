"""A foreign page has its visitor's browser write, with cookies of the service or a client certificate (CSRF)."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.websocket import WebSocketService, dial

OWN = "http://gateway.test"
EVIL = "https://evil.example"
APP = "https://app.example"
COOKIE = ("Cookie", "session=secret")
METHODS = {"any_of": ["GET", "POST", "PUT", "PATCH", "DELETE"]}
FOREIGN: dict[str, list[tuple[str, str]]] = {
    "a foreign page": [("Origin", EVIL), ("Sec-Fetch-Site", "cross-site")],
    "a page of a sister host": [("Origin", "https://other.gateway.test"), ("Sec-Fetch-Site", "same-site")],
    "an opaque origin": [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
    "an opaque origin of an old browser": [("Origin", "null")],
    "an old browser": [("Origin", EVIL)],
    "the site alone lies": [("Origin", EVIL), ("Sec-Fetch-Site", "same-origin")],
    "the origin alone lies": [("Origin", OWN), ("Sec-Fetch-Site", "cross-site")],
    "a named origin that was typed": [("Origin", APP), ("Sec-Fetch-Site", "none")],
    "two sites": [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")],
    "a site of another spelling": [("Sec-Fetch-Site", "Same-Origin")],
    "no site at all": [("Sec-Fetch-Site", "")],
    "the same host over another scheme": [("Origin", "https://gateway.test")],
    "another port": [("Origin", OWN + ":8443")],
    "the name as a beginning": [("Origin", OWN + ".evil.example")],
    "below a named one": [("Origin", "https://x.app.example")],
    "only a referer": [("Referer", OWN + "/")],
}


@pytest.mark.parametrize("page", FOREIGN)
def test_nothing_of_it_reaches_the_service(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], page: str
) -> None:
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={"origins": APP}))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        reply = gate.request(method, "/", [COOKIE, *FOREIGN[page]])
        assert (reply.status, reply.reason) == (403, "csrf_refused"), method
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "target",
    [
        "/?_method=DELETE",
        "/?a=1&_METHOD=put",
        "/?%5fmethod=POST",
        "/?_method",
        "/?x-http-method-override=PUT",
        "/?a;_method=x",
    ],
)
def test_a_link_that_stands_for_another_method(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], target: str
) -> None:
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={}))
    for fields in ([("Sec-Fetch-Site", "cross-site")], [("Origin", EVIL)], []):
        assert gate.request("GET", target, [COOKIE, *fields]).reason == "csrf_refused", fields
    assert service.saw_nothing()
    assert gate.request("GET", target, [COOKIE, ("Sec-Fetch-Site", "same-origin")]).status == 200
    assert gate.request("GET", "/?method=DELETE", [COOKIE, ("Sec-Fetch-Site", "cross-site")]).status == 200


def test_a_header_that_stands_for_another_method_is_gone(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={}))
    fields = [COOKIE, ("X-HTTP-Method-Override", "DELETE"), ("Sec-Fetch-Site", "cross-site")]
    assert gate.request("GET", "/", fields).status == 200
    assert not service.only.names & {"x-http-method-override"}


def test_a_form_that_logs_somebody_else_in(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """No cookie is there yet, and the browser says whose page it is."""
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={}))
    for fields in ([("Origin", EVIL)], [("Sec-Fetch-Site", "cross-site")]):
        assert gate.request("POST", "/login", fields).reason == "csrf_refused"
    assert service.saw_nothing()


def test_a_websocket_is_a_write(
    gateway: Callable[..., Gateway], websocket: Callable[..., WebSocketService]
) -> None:
    """Also where `websocket` would let any page connect that brings no cookie."""
    service = websocket()
    rules = {"origins": {"any_of": [EVIL, APP]}}
    route = configs.route(methods="GET", websocket=rules, csrf={"origins": APP})
    gate = gateway({"services": {"origin": service.config()}, "routes": {"socket": route}})
    with pytest.raises(InvalidStatus) as refused, dial(gate, headers={"Origin": EVIL, **dict([COOKIE])}):
        pass
    assert refused.value.response.status_code == 403
    assert gate.log_line(status=403)["reason"] == "csrf_refused"
    assert service.saw_nothing()
    with dial(gate, headers={"Origin": APP, **dict([COOKIE])}) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"


def test_header_names_cannot_take_it_away(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={}))
    fields = [COOKIE, ("Origin", EVIL), ("Connection", "origin, cookie")]
    assert gate.request("POST", "/", fields).reason == "csrf_refused"
    assert service.saw_nothing()


def test_a_key_in_place_of_a_cookie_is_a_program(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """What is verified counts, not what is sent: a token that does not count makes no request a program's."""
    service = origin()
    gate = gateway(configs.public(service, methods=METHODS, csrf={}))
    junk = base64.b64encode(os.urandom(12)).decode()
    fields = [COOKIE, ("Authorization", f"Bearer {junk}"), ("Origin", EVIL)]
    assert gate.request("POST", "/", fields).reason == "csrf_refused"
    assert service.saw_nothing()
