"""A foreign page uses an API in the name of its visitor, and reads what it answers; or learns what routes there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.wire import Reply
from yett.errors import ConfigurationError

SHOP = "https://shop.example.com"
EVIL = "https://evil.example"
FOREIGN = (
    EVIL,
    "null",
    "http://shop.example.com",
    SHOP + ":444",
    SHOP + ".evil.example",
    "https://shop.example.com@evil.example",
    "https://evil-shop.example.com",
    "https://x.shop.example.com",
    SHOP + " " + EVIL,
    SHOP + "," + EVIL,
    SHOP.upper(),
    SHOP + "/",
    SHOP + "%00",
    "file://",
    "chrome-extension://abcdef",
)


def whole(service: Origin, **rules: Any) -> dict[str, Any]:
    cors = {"origins": SHOP, "credentials": True, "headers": "content-type", **rules}
    route = configs.route("/orders", {"any_of": ["GET", "POST", "DELETE"]}, cors=cors)
    return {"services": {"origin": configs.service(service)}, "routes": {"orders": route}}


def permits(reply: Reply) -> list[str]:
    return [value for name, value in reply.headers if name.lower() == "access-control-allow-origin"]


@pytest.mark.parametrize("page", FOREIGN)
def test_a_foreign_page_reaches_no_service_and_is_permitted_nothing(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], page: str
) -> None:
    service = origin()
    service.answers(
        headers=[("Access-Control-Allow-Origin", page), ("Access-Control-Allow-Credentials", "true")]
    )
    gate = gateway(whole(service))
    for method in ("GET", "POST", "DELETE"):
        asked = {"Origin": page, "Access-Control-Request-Method": method}
        for reply in (
            gate.request("OPTIONS", "/orders", asked),
            gate.request(method, "/orders", {"Origin": page}),
        ):
            assert (reply.status, reply.reason, permits(reply)) == (403, "cors_refused", [])
            assert reply.all("access-control-allow-credentials") == []
    assert service.saw_nothing()


def test_two_origins_are_none(gateway: Callable[..., Gateway], origin: Callable[..., Origin]) -> None:
    service = origin()
    gate = gateway(whole(service))
    for headers in ([("Origin", SHOP), ("Origin", EVIL)], [("Origin", EVIL), ("Origin", SHOP)]):
        reply = gate.get("/orders", headers)
        assert (reply.status, reply.reason, permits(reply)) == (400, "header_invalid", [])
    assert service.saw_nothing()


@pytest.mark.parametrize("origins", ["any", '"null"', "*"])
def test_credentials_for_everybody_do_not_load(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin], origins: str
) -> None:
    gate = gateway(whole(origin()))
    with pytest.raises(ConfigurationError):
        gate.reload(whole(origin(), origins=origins.strip('"')))


def test_the_data_plane_refuses_it_as_well(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """Whatever wrote the document."""
    import json

    from tests.support.gateway import compiled

    gate = gateway(whole(origin()))
    ir, secrets = compiled(gate.write(whole(origin())))
    for change, why in [
        ({"origins": ["any"]}, "named origins"),
        ({"origins": ["null"]}, "named origins"),
        ({"origins": ["https://*.com"]}, "top-level domain"),
        ({"origins": []}, "needs an origin"),
        ({"max_age_s": 86401}, "at most 86400"),
    ]:
        document = json.loads(ir)
        document["routes"][0]["cors"] |= change
        with pytest.raises(ValueError, match=why):
            gate.core.apply(json.dumps(document).encode(), secrets)
    for change in ({"hidden": True, "access": {"authenticated": {"providers": ["x"], "rules": []}}}, {}):
        document = json.loads(ir)
        document["routes"][0] |= change
        document["routes"][0]["match"]["headers"] = {} if change else {"x-mode": "a"}
        with pytest.raises(ValueError, match="preflight carries no"):
            gate.core.apply(json.dumps(document).encode(), secrets)


def bare(reply: Reply) -> bytes:
    """An answer without what differs between any two."""
    data = (reply.head + reply.body).replace(reply["x-request-id"].encode(), b"")
    return re.sub(rb"(?im)^date: .*$", b"", data)


def test_a_preflight_says_nothing_of_hidden_routes(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    issuer: Callable[..., Issuer],
    tmp_path: Path,
) -> None:
    """Neither where nothing is beside them, nor where a route that pages may use takes what they leave."""
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    del config["routes"]["closed"]
    config["routes"]["secret"] = configs.route(
        "/admin/{user}", authenticate="id", hidden=True, authorize={"scopes": "admin"}
    )
    config["routes"]["beside"] = configs.route("/shop/{rest...}", "GET", cors={"origins": SHOP})
    config["routes"]["under"] = configs.route(
        "/shop/admin",
        {"any_of": ["GET", "DELETE"]},
        authenticate="id",
        hidden=True,
        authorize={"scopes": "admin"},
    )
    gate = gateway(config)
    for there, nowhere in [("/admin/ann", "/nothing/ann"), ("/shop/admin", "/shop/nothing")]:
        for page in (SHOP, EVIL, "null"):
            for method in ("GET", "POST", "DELETE", "PATCH", "BREW"):
                asked = {"Origin": page, "Access-Control-Request-Method": method}
                replies = [gate.request("OPTIONS", path, asked) for path in (there, nowhere)]
                assert bare(replies[0]) == bare(replies[1]), (there, page, method)
    assert service.saw_nothing()


def test_no_cache_gives_one_page_what_another_may_read(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """`Vary: Origin` stands on every answer of the route: to pages, to programs, and on refusals."""
    service = origin()
    service.answers(headers=[("Cache-Control", "public, max-age=60")])
    gate = gateway(whole(service))
    for headers in ({}, {"Origin": SHOP}, {"Origin": EVIL}, {"Origin": "http://gateway.test"}):
        for method in ("GET", "DELETE"):
            assert "Origin" in gate.request(method, "/orders", headers).all("vary"), headers


def test_a_request_that_names_an_origin_in_other_spelling_is_not_overlooked(
    gateway: Callable[..., Gateway], origin: Callable[..., Origin]
) -> None:
    """`Connection: Origin` cannot take it away."""
    service = origin()
    gate = gateway(whole(service))
    reply = gate.get("/orders", {"ORIGIN": EVIL, "Connection": "origin"})
    assert reply.reason == "cors_refused" and service.saw_nothing()
