"""A hidden route: who is refused sees the 404 of a path that nobody serves, byte for byte."""

from __future__ import annotations

import re

import pytest

from tests.support import configs

METHODS = {"any_of": ["GET", "POST", "PATCH"]}


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {"region": "region"}
    config["defaults"] = {"security_headers": {"referrer_policy": "no-referrer"}}
    limit = {"probes": {"rate": "1000/s", "burst": 1000}}
    config["listeners"] = configs.listener(address_limit=limit)
    config["routes"]["admin"] = configs.route(
        "/admin/{region}",
        METHODS,
        authenticate="id",
        hidden=True,
        authorize={"scopes": "admin", "claims": {"region": "eu"}},
        address_limit={"admins": {"rate": "100/s", "burst": 100}},
        rate_limit={"callers": {"rate": "1/h", "burst": 3, "key": "principal"}},
        security_headers={"frame_options": "deny"},
    )
    config["routes"]["chat"] = configs.route(
        "/chat", "GET", authenticate="id", hidden=True, authorize={"scopes": "chat"}, websocket={}
    )
    config["routes"]["conditional"] = configs.route(
        "/conditional", "GET", authenticate="id", hidden=True, authorize={"scopes": "x"}
    )
    config["routes"]["conditional"]["match"]["headers"] = {"x-mode": "a"}
    config["routes"]["seen"] = configs.route("/seen", "GET", authenticate="id", authorize={"scopes": "admin"})
    del config["routes"]["closed"]
    return gateway(config), service, identity


VARIABLE = (
    rb"(?im)^date: .*$",
    rb"(?im)^x-request-id: .*$",
    rb'"request_id":"[^"]*"',
    rb"(?im)^ratelimit: .*$",
)


def bare(reply):
    """The bytes of an answer without what differs between any two answers."""
    data = (reply.head + b"\r\n" + reply.body).replace(reply["x-request-id"].encode(), b"")
    for pattern in VARIABLE:
        data = re.sub(pattern, b"", data)
    return data


def ask(gate, method, target, headers=(), body=b""):
    return gate.request(method, target, [*dict(headers).items()], body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"])
@pytest.mark.parametrize("who", ["nobody", "junk", "without scope", "elsewhere", "two credentials"])
def test_it_is_the_answer_of_a_path_that_is_not_there(shop, method, who):
    gate, service, identity = shop
    headers = {
        "nobody": {},
        "junk": {"Authorization": "Bearer junk"},
        "without scope": dict(identity.bearer(region="eu")),
        "elsewhere": dict(identity.bearer(scope="admin", region="us")),
        "two credentials": {**dict(identity.bearer(scope="admin", region="eu")), "authorization ": "x"},
    }[who]
    if who == "two credentials":
        headers = {**dict(identity.bearer(scope="admin", region="eu", exp=1))}
    for accept in (
        {},
        {"Accept": "text/html"},
        {"Accept": "application/grpc", "Content-Type": "application/grpc"},
    ):
        body = b"x=1" if method in {"POST", "PATCH"} else b""
        there = ask(gate, method, "/admin/eu", {**headers, **accept}, body)
        nowhere = ask(gate, method, "/nowhere/x", {**headers, **accept}, body)
        assert bare(there) == bare(nowhere)
        assert len(there.head) == len(nowhere.head) or "ratelimit" in there
        assert there.status in {404, 200} and "www-authenticate" not in there and "allow" not in there
    assert service.saw_nothing()


def test_the_log_keeps_the_true_reason(shop):
    gate, service, identity = shop
    ask(gate, "GET", "/admin/eu")
    ask(gate, "GET", "/admin/eu", identity.bearer(region="eu"))
    ask(gate, "GET", "/admin/eu", identity.bearer(scope="admin", region="us"))
    assert [(line["status"], line["reason"], line["route"]) for line in gate.wait_log(3)] == [
        (404, "credential_missing", "admin"),
        (404, "scope_missing", "admin"),
        (404, "attribute_mismatch", "admin"),
    ]
    assert gate.metric("yett_refusals_total", reason="scope_missing") == 1
    assert service.saw_nothing()


def test_who_is_allowed_sees_it_as_it_is(shop):
    gate, service, identity = shop
    admin = identity.bearer(scope="admin", region="eu")
    answers = [ask(gate, "GET", "/admin/eu", admin) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 404], "a limit is a refusal as any other"
    assert "callers" in answers[0]["ratelimit-policy"] and "callers" not in answers[3]["ratelimit-policy"]
    assert len(service.requests) == 3
    assert gate.wait_log(4)[3]["reason"] == "rate_limited"


def test_the_limit_of_the_route_does_not_show(shop):
    gate, _, _ = shop
    there, nowhere = ask(gate, "GET", "/admin/eu"), ask(gate, "GET", "/nowhere")
    assert there["ratelimit-policy"] == nowhere["ratelimit-policy"]
    assert "admins" not in there["ratelimit"]
    many = [ask(gate, "GET", "/admin/eu").status for _ in range(130)]
    assert set(many) == {404}, "beyond the route's limit as well"


def test_an_upgrade_is_ignored_as_it_is_where_nothing_is(shop):
    gate, service, _ = shop
    upgrade = {
        "Connection": "upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }
    for headers in ({}, upgrade, {**upgrade, "Origin": "https://evil.example"}):
        assert bare(ask(gate, "GET", "/chat", headers)) == bare(ask(gate, "GET", "/chats", headers))
    assert service.saw_nothing()


def test_conditions_on_headers_do_not_show(shop):
    gate, service, _ = shop
    for value in ("a", "b", "a, b"):
        there, nowhere = (ask(gate, "GET", path, {"X-Mode": value}) for path in ("/conditional", "/nowhere"))
        assert bare(there) == bare(nowhere)
    twice = [("X-Mode", "a"), ("X-Mode", "b")]
    assert bare(gate.get("/conditional", twice)) == bare(gate.get("/nowhere", twice))
    assert service.saw_nothing()


def test_a_route_that_is_not_hidden_does_show(shop):
    """The comparison above would see a difference."""
    gate, _, identity = shop
    for headers in ({}, identity.bearer()):
        assert bare(ask(gate, "GET", "/seen", headers)) != bare(ask(gate, "GET", "/nowhere", headers))
    assert ask(gate, "PUT", "/seen").status == 405
