"""identity_assertion: what a service is told of the caller, on every attempt and over every protocol."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import assertions, configs
from tests.support.configs import route, service
from tests.support.http2_peer import Http2Client, Http2Service
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.websocket import dial
from yett.backend import request_digest
from yett.control import assertion_keys


def told(origin: Any, issuer: Any, keys: Any, more: Any = None, **changes: Any) -> dict[str, Any]:
    """Everything needs a token and goes to `origin`, which is told who calls."""
    config = configs.protected(origin, issuer, keys.parent, **changes)
    del config["routes"]["open"]
    config["identity"] = assertions.identity(keys)
    config["services"]["origin"]["identity_assertion"] = more or {}
    return config


@pytest.fixture
def keys(tmp_path):
    return assertions.make_keys(tmp_path)


@pytest.fixture
def http2_service():
    started = Http2Service()
    yield started
    started.close()


def test_the_service_is_told_who_calls_and_for_what(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys))
    bearer = vouches.bearer(scope="a.read a.write", client_id="app", tenant="acme", email="x@y.example")
    before = int(time.time())
    assert gate.get("/caf%C3%A9?b=%20c", bearer).status == 200
    seen = there.only
    found = assertions.claims(seen, assertions.public_keys(keys))
    assert before <= found.pop("iat") <= found.pop("exp") - 30 <= time.time()
    assert len(found.pop("jti")) == 22
    assert found == {
        "iss": assertions.ISSUER, "aud": "origin", "sub": "alice", "idp": "id", "kind": "user", "client_id": "app",
        "scope": "a.read a.write", "amr": ["jwt"], "rev": gate.revision[:12], "request_id": seen["x-request-id"],
        "htm": "GET", "req": request_digest("GET", "/café", b"b=%20c"),
    }  # fmt: skip
    assert "authorization" not in seen


def test_the_schema_is_published_and_says_all_of_it(gateway, origin, issuer, keys):
    import jsonschema

    there, vouches = origin(), issuer()
    more = {"claims": ["roles", "level"], "body": "digest"}
    config = told(there, vouches, keys, more)
    config["identity_providers"]["id"]["claims"] = {
        "level": {"from": "acr_level", "type": "int"},
        "tenant": "tenant",
    }
    config["routes"]["closed"]["tenant"] = {"none": "the service decides"}
    config["services"]["public"] = service(there, identity_assertion={"anonymous": True})
    config["routes"]["public"] = route("/public", service="public")
    gate = gateway(config)
    bearer = vouches.bearer(
        acr_level=2, roles=["auditor"], tenant="acme", auth_time=1_800_000_000, client_id="app"
    )
    assert gate.post("/a", b"x", bearer).status == 200
    assert gate.get("/public").status == 200
    schema = json.loads(
        (Path(__file__).parents[2] / "docs" / "backends" / "identity-assertion.schema.json").read_text()
    )
    full, anonymous = (assertions.claims(seen, assertions.public_keys(keys)) for seen in there.wait_for(2))
    for found in (full, anonymous):
        jsonschema.validate(found, schema)
    assert full["claims"] == {"level": 2} and full["roles"] == ["auditor"]
    assert set(schema["properties"]) - {"act"} - set(full) <= {"auth_time"}
    assert sorted(schema["properties"]) == [
        "act", "amr", "aud", "auth_time", "body", "claims", "client_id", "exp", "htm", "iat", "idp", "iss", "jti", "kind",
        "req", "request_id", "rev", "roles", "scope", "sub", "tenant",
    ]  # fmt: skip


def test_who_acts_for_the_subject(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys))
    act = {"sub": "bot", "iss": "https://id.example", "extra": "dropped", "act": {"client_id": "batch"}}
    assert gate.get("/a", vouches.bearer(act=act)).status == 200
    found = assertions.claims(there.only, assertions.public_keys(keys))
    assert found["act"] == {"sub": "bot", "iss": "https://id.example", "act": {"client_id": "batch"}}
    deep: dict[str, Any] = {"sub": "a"}
    for _ in range(4):
        deep = {"sub": "a", "act": deep}
    there.forget()
    for wrong in ("bot", {}, {"sub": 7}, {"sub": "a\nb"}, {"sub": "a", "act": "b"}, deep):
        refused = gate.get("/a", vouches.bearer(act=wrong))
        assert (refused.status, refused.reason) == (401, "token_claim_invalid"), wrong
    assert there.saw_nothing()


def test_a_fresh_one_for_every_request(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys))
    bearer = vouches.bearer()
    for _ in range(5):
        assert gate.get("/a", bearer).status == 200
    public = assertions.public_keys(keys)
    assert len({assertions.claims(seen, public)["jti"] for seen in there.wait_for(5)}) == 5


def test_what_a_client_says_of_itself_never_arrives(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys, {"headers": {"x-user": "subject", "x-tenant": "tenant"}}))
    lies = [
        (name, "root")
        for name in (
            "Yett-Identity",
            "yett_identity",
            "Yett.Identity",
            "X-User",
            "x_user",
            "X.Tenant",
            "x-tenant",
        )
    ]
    listed = [("Connection", "yett-identity, x-user")]
    assert gate.get("/a", [*vouches.bearer().items(), *lies, *listed]).status == 200
    seen = there.only
    assert assertions.claims(seen, assertions.public_keys(keys))["sub"] == "alice"
    assert seen["x-user"] == "alice"
    assert {name for name in seen.names if "identity" in name or "user" in name or "tenant" in name} == {
        "yett-identity", "x-user", "user-agent",
    } & seen.names  # fmt: skip


def test_services_that_are_not_told_get_no_ones_word_either(gateway, origin, issuer, keys):
    there, other, vouches = origin(), origin(), issuer()
    config = told(there, vouches, keys, {"headers": {"x-user": "subject"}})
    config["services"]["other"] = service(other)
    config["routes"]["other"] = route("/other", service="other")
    gate = gateway(config)
    assert gate.get("/other", [("Yett-Identity", "x"), ("x_user", "root"), ("X-User", "root")]).status == 200
    assert not other.only.names & {"yett-identity", "x_user", "x-user"}


def test_nothing_of_it_comes_back(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    there.answers(headers=[("Yett-Identity", "echo"), ("X-Other", "1")])
    answer = gateway(told(there, vouches, keys)).get("/a", vouches.bearer())
    assert "yett-identity" not in answer and answer["x-other"] == "1"


def test_a_retry_has_one_of_its_own(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    count = iter(range(10))
    there.behaviour = lambda stage: (reply(503) if next(count) == 0 else reply(200))(stage)
    config = told(there, vouches, keys)
    config["services"]["origin"]["retry"] = {"retries": 1, "budget": "100%", "on": ["connect", 503]}
    assert gateway(config).get("/a", vouches.bearer()).status == 200
    first, second = (assertions.claims(seen, assertions.public_keys(keys)) for seen in there.wait_for(2))
    assert first["jti"] != second["jti"]
    assert first["request_id"] == second["request_id"]


def test_a_copy_has_one_for_its_service(gateway, origin, issuer, keys):
    there, copies, vouches = origin(), origin(), issuer()
    config = told(there, vouches, keys, mirror={"service": "next"})
    config["services"]["next"] = service(copies, identity_assertion={"audience": "next-one"})
    assert gateway(config).get("/a?b", vouches.bearer()).status == 200
    public = assertions.public_keys(keys)
    mine, theirs = (assertions.claims(one.wait_for(1)[0], public) for one in (there, copies))
    assert (mine["aud"], theirs["aud"]) == ("origin", "next-one")
    assert mine["jti"] != theirs["jti"] and mine["req"] == theirs["req"]


def test_a_rewritten_path_is_signed_as_the_service_sees_it(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    config = told(there, vouches, keys, template="/v1/{id}", rewrite={"path": "/internal/{id}"})
    assert gateway(config).get("/v1/7?x=1", vouches.bearer()).status == 200
    seen = there.only
    assert seen.target == "/internal/7?x=1"
    assert assertions.claims(seen, assertions.public_keys(keys))["req"] == request_digest(
        "GET", "/internal/7", b"x=1"
    )


def test_public_routes_are_told_of_nobody(gateway, origin, keys):
    there = origin()
    config = configs.public(there)
    config["identity"] = assertions.identity(keys)
    config["services"]["origin"]["identity_assertion"] = {
        "anonymous": True,
        "headers": {"x-kind": "kind", "x-user": "subject"},
    }
    assert gateway(config).get("/a", [("x-user", "root")]).status == 200
    found = assertions.claims(there.only, assertions.public_keys(keys))
    assert (found["sub"], found["kind"]) == ("anonymous", "anonymous")
    assert not {"idp", "scope", "amr", "tenant"} & set(found)
    assert there.only["x-kind"] == "anonymous" and "x-user" not in there.only


def test_a_newer_key_signs_from_its_time_and_both_are_published(gateway, origin, issuer, tmp_path):
    from datetime import UTC, datetime, timedelta

    there, vouches = origin(), issuer()
    file, now = tmp_path / "identity.keys.pem", datetime.now(UTC)
    old = assertion_keys.create(file, "EdDSA", now - timedelta(days=1))
    new = assertion_keys.rotate(file, timedelta(seconds=2), "ES256", now)
    config = told(there, vouches, file)
    config["identity"] |= {"publish": "2s", "jwks": {"listener": "main"}}
    gate, bearer = gateway(config), vouches.bearer()
    answer = gate.get("/identity/jwks.json", host="whatever.test")
    assert (answer.status, answer["content-type"]) == (200, "application/jwk-set+json")
    assert answer["cache-control"] == "public, max-age=1"
    assert {key["kid"] for key in json.loads(answer.body)["keys"]} == {old.id, new.id}
    assert b'"d"' not in answer.body

    def signer() -> str:
        assert gate.get("/a", bearer).status == 200
        return str(assertions.read(there.last["yett-identity"], answer.body.decode())[0]["kid"])

    assert signer() == old.id
    eventually(lambda: signer() == new.id, what="the new key signs")


def test_a_digest_of_the_body(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys, {"body": "digest"}, limits={"body": "4MiB"}))
    bearer = list(vouches.bearer().items())
    from yett.backend.request import body_digest

    public = assertions.public_keys(keys)
    for body in (b"abc", b"", b"x" * 300_000):
        there.forget()
        assert gate.post("/a", body, bearer).status == 200
        assert there.only.body == body
        assert assertions.claims(there.only, public)["body"] == body_digest(body)
    there.forget()
    refused = gate.post("/a", b"x" * (1024 * 1024 + 1), bearer)
    assert (refused.status, refused.reason) == (413, "body_too_large")
    head = "".join(f"{name}: {value}\r\n" for name, value in bearer)
    chunked = f"POST /a HTTP/1.1\r\nhost: gateway.test\r\n{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    (answer, *_), _ = gate.send(chunked.encode())
    assert (answer.status, answer.reason) == (411, "length_required")
    assert there.saw_nothing()


def test_one_that_serves_again(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys, {"reuse": "10s"}))
    alice, bob = vouches.bearer(), vouches.bearer(sub="bob")
    for bearer, target in ((alice, "/a"), (alice, "/a"), (bob, "/a"), (alice, "/b"), (bob, "/a")):
        assert gate.get(target, bearer).status == 200
    first, again, of_bob, elsewhere, bob_again = (seen["yett-identity"] for seen in there.wait_for(5))
    assert first == again and of_bob == bob_again
    assert len({first, of_bob, elsewhere}) == 3
    found = assertions.claims(there.last, assertions.public_keys(keys))
    assert not {"jti", "request_id"} & set(found)


def test_one_that_cannot_be_made_refuses(gateway, origin, issuer, keys):
    there, vouches = origin(), issuer()
    gate = gateway(told(there, vouches, keys, {"headers": {"x-user": "subject"}}))
    scopes = " ".join(f"scope-{number}" for number in range(1000))
    for changes in ({"scope": scopes}, {"sub": "a\u0001b"}, {"sub": "a\r\nx-admin: 1"}):
        refused = gate.get("/a", vouches.bearer(**changes))
        assert refused.status >= 400
        assert refused.reason in {
            "assertion_failed",
            "token_too_large",
            "token_claim_invalid",
            "headers_too_large",
        }
    assert there.saw_nothing()


@pytest.mark.parametrize("content_type", ["application/grpc", "application/json"])
def test_services_over_http2(gateway, issuer, keys, http2_service, content_type):
    there, vouches = http2_service, issuer()
    config = told(there, vouches, keys, {"headers": {"x-user": "subject"}})
    config["services"]["origin"]["protocol"] = "http2"
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)
    fields = [(name.lower(), value) for name, value in vouches.bearer().items()]
    lies = [("yett-identity", "x"), ("x_user", "root"), ("x-user", "root")]
    with Http2Client(gate.address()) as client:
        for _ in range(2):
            assert (
                client.post(
                    "/shop.Orders/List", b"abc", [*fields, *lies, ("content-type", content_type)]
                ).status
                == 200
            )
    public = assertions.public_keys(keys)
    first, second = (assertions.read(seen["yett-identity"], public)[1] for seen in there.wait_for(2))
    assert first["req"] == request_digest("POST", "/shop.Orders/List", b"")
    assert first["jti"] != second["jti"] and first["sub"] == "alice"
    assert all(seen["x-user"] == "alice" and "x_user" not in seen for seen in there.requests)


def test_websocket(gateway, issuer, keys, websocket):
    there, vouches = websocket(), issuer()
    config = told(there, vouches, keys, methods="GET", websocket={})
    config["services"]["origin"] = there.config(identity_assertion={})
    with dial(gateway(config), "/a?b", headers={**vouches.bearer(), "Yett_Identity": "x"}) as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
    (asked,) = there.requests
    (text,) = asked.headers.get_all("yett-identity")
    assert assertions.read(text, assertions.public_keys(keys))[1]["req"] == request_digest("GET", "/a", b"b")
