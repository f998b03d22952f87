"""A hidden route refuses for every reason, in every phase, as a path refuses that nobody serves: over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.security.test_revocation import revoke
from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.browser import PAGE, Browser
from tests.support.dpop import Client
from tests.support.gateway import Config, Gateway
from tests.support.http2_peer import Http2Client
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.signing import Signer
from tests.support.site import Site
from tests.support.waiting import eventually
from tests.support.wire import HeaderList

Make = Callable[..., Any]
ALL = {"any_of": ["GET", "POST", "PUT"]}
JSON = {"Content-Type": "application/json"}
ORDER = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}},
    "required": ["amount"],
    "additionalProperties": False,
}
UPGRADE = {
    "Connection": "upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass
class Case:
    """A request below `/h` that is refused, and why; `http1`: what it says can only be said there."""

    reason: str
    target: str
    headers: dict[str, str] | Callable[[], dict[str, str]] = field(default_factory=dict)
    method: str = "GET"
    body: bytes = b""
    http1: bool = False
    host: str = "gateway.test"

    def fields(self) -> dict[str, str]:
        return self.headers() if callable(self.headers) else self.headers


@dataclass
class Shop:
    """A gateway whose routes below `/h` are hidden; below `/n` is nothing."""

    gate: Gateway
    service: Origin
    cases: list[Case]


def hidden(path: str, **changes: Any) -> Config:
    if not {"access", "authorize"} & set(changes):
        changes["access"] = "authenticated"
    return configs.route(f"/h/{path}", ALL, **{"authenticate": "id", "hidden": True, **changes})


@pytest.fixture
def shop(gateway: Make, origin: Make, issuer: Make, authorization_server: Make, tmp_path: Any) -> Shop:
    service, check, identity, server = origin(), origin(), issuer(), authorization_server()
    check.answers(200, b'{"allow": false}', [("Content-Type", "application/json")])
    gone = issuer()
    gone.go_down()
    silent = origin()
    silent.close()
    keys, signer = KeyFile(tmp_path), Signer(tmp_path)
    key = keys.add("ann", scopes=["read"])
    schema = tmp_path / "order.json"
    schema.write_text(json.dumps(ORDER))
    claims = {
        "region": "region",
        "level": {"from": "level", "type": "int"},
        "frozen": {"from": "frozen", "type": "bool"},
    }
    client = server.client(tmp_path)
    validation = {"json_schema": str(schema)}
    rules: dict[str, Config] = {
        "plain": hidden("plain"),
        "scoped": hidden("scoped", authorize={"scopes": "admin"}),
        "roles": hidden("roles", authorize={"roles": "admin"}),
        "callers": hidden("callers", authorize={"callers": {"users": "bob"}}),
        "claims": hidden("claims", authorize={"claims": {"region": "eu"}}),
        "addresses": hidden("addresses", authorize={"addresses": "192.0.2.0/24"}),
        "when": hidden("when", authorize={"when": "principal.claims.level > 3"}),
        "deny": hidden("deny", deny={"frozen": {"claims": {"frozen": True}}}),
        "tenant": hidden("tenants/{tenant}", authenticate="tenants", tenant="path.tenant"),
        "key": hidden("key", authenticate="keys"),
        "signed": hidden("signed", authenticate="signed"),
        "live": hidden("live", authenticate="live", live_check={"max_age": "0s"}),
        "down": hidden("down", authenticate="down"),
        "bound": hidden("bound", sender_constrained="dpop"),
        "external": hidden("external", external_authorization={"url": check.url, "plaintext": "test"}),
        "dead": hidden("dead", external_authorization={"url": silent.url, "plaintext": "test"}),
        "address": hidden("address", address_limit={"few": {"rate": "1/h", "burst": 1}}),
        "limited": hidden("limited", rate_limit={"few": {"rate": "1/h", "burst": 1, "key": "principal"}}),
        "body": hidden(
            "body",
            request_validation=validation,
            limits={"body": "1KiB"},
            authorize={"when": "request.body.amount < 10"},
        ),
        "upload": hidden("upload", limits={"body": "1KiB"}),
        "socket": hidden("socket", websocket={"origins": "https://app.test"}),
        "token": hidden("token", service="exchanged"),
    }
    rules["socket"]["match"]["methods"] = "GET"
    exchange = {
        "type": "token_exchange", "endpoint": f"{server.base}/token", "plaintext": "test", "audience": "billing",
        "client": client,
    }  # fmt: skip
    config: Config = {
        "listeners": configs.listener(http2={"prior_knowledge": True}),
        "dpop": {"nonce": {"lifetime": "5m"}},
        "identity_providers": {
            "id": identity.inline(tmp_path, claims=claims),
            "tenants": issuer_of(identity, tmp_path, "tenants.test", claims={"tenant": "tenant"}),
            "live": {
                **issuer_of(identity, tmp_path, "live.test", plaintext="test"),
                "introspection": {"endpoint": f"{server.base}/introspect", "client": client},
            },
            "down": gone.provider(),
            "keys": {"type": "api_key", "keys": str(keys.path)},
            "signed": {"type": "signed_request", "keys": {signer.name: signer.registered(scopes=["read"])}},
        },
        "services": {
            "origin": configs.service(service),
            "exchanged": configs.service(service, token=exchange),
        },
        "routes": {**rules, "open": configs.route("/open/{rest...}")},
    }
    gate = gateway(config)
    bearer = identity.bearer
    revoked = bearer(jti="gone")
    revoke(gate, token=revoked["Authorization"].removeprefix("Bearer "))
    bound = Client(identity, "http://gateway.test")
    alice = bearer(scope="admin", region="eu", level=5, frozen=False, roles=["admin"])

    def post(target: str, body: bytes, reason: str, headers: dict[str, str] = JSON, **more: Any) -> Case:
        return Case(reason, target, {**alice, **headers}, "POST", body, **more)

    chunks = b"500\r\n" + b"x" * 0x500 + b"\r\n0\r\n\r\n"
    chunked = {"Transfer-Encoding": "chunked"}
    cases = [
        Case("credential_missing", "/plain"),
        Case("credential_missing", "/plain", dict(PAGE)),
        Case("credential_malformed", "/plain", {"Authorization": "Bearer junk"}),
        Case("credential_in_url", "/plain?access_token=a", alice),
        Case("token_expired", "/plain", bearer(exp=1)),
        Case("token_not_yet_valid", "/plain", bearer(nbf=4_000_000_000)),
        Case("token_audience_mismatch", "/plain", bearer(aud="other")),
        Case("token_issuer_unknown", "/plain", bearer(iss="https://evil.test")),
        Case("token_signature_invalid", "/plain", {"Authorization": alice["Authorization"][:-8] + "AAAAAAAA"}),
        Case("token_claim_invalid", "/plain", bearer(exp="soon")),
        Case("token_algorithm_forbidden", "/plain", {"Authorization": f"Bearer {unsigned(identity)}"}),
        Case("token_revoked", "/plain", revoked),
        Case("provider_not_accepted", "/plain", {"X-API-Key": key}),
        Case("api_key_unknown", "/key", {"X-API-Key": keys.assemble("a" * 12, "b" * 43)}),
        Case("credential_ambiguous", "/key", {"X-API-Key": key, "Authorization": alice["Authorization"]}),
        Case("signature_invalid", "/signed", signer.sign("GET", "http://gateway.test/other")),
        Case("token_inactive", "/live", issued(identity, "live.test")),
        Case("identity_provider_unavailable", "/down", gone.bearer()),
        Case("not_bound", "/bound", alice),
        Case("proof_missing", "/bound", {"Authorization": f"DPoP {bound.token}"}),
        Case("proof_nonce", "/bound", lambda: bound.headers(target="/h/bound")),
        Case("scope_missing", "/scoped", bearer(scope="read")),
        Case("role_missing", "/roles", bearer()),
        Case("caller_not_allowed", "/callers", alice),
        Case("attribute_mismatch", "/claims", bearer(region="us")),
        Case("address_not_allowed", "/addresses", alice),
        Case("policy_denied", "/when", bearer(level=1)),
        Case("policy_error", "/when", bearer()),
        Case("policy_denied", "/deny", bearer(frozen=True)),
        Case("tenant_mismatch", "/tenants/acme", issued(identity, "tenants.test", tenant="other")),
        Case("tenant_missing", "/tenants/acme", issued(identity, "tenants.test")),
        Case("external_denied", "/external", alice),
        Case("external_unavailable", "/dead", alice),
        Case("address_limited", "/address", alice),
        Case("rate_limited", "/limited", alice),
        Case("upgrade_required", "/socket", alice),
        Case("origin_forbidden", "/socket", {**alice, **UPGRADE, "Origin": "https://evil.test"}, http1=True),
        Case("websocket_handshake_invalid", "/socket", {**alice, **UPGRADE, "Sec-WebSocket-Key": "x"}, http1=True),
        post("/body", b"a=1", "content_type_unsupported", {"Content-Type": "text/csv"}),
        post("/body", b"{", "json_malformed"),
        post("/body", b'{"amount": 1, "amount": 2}', "json_duplicate_name"),
        post("/body", b'{"amount": "a"}', "schema_mismatch"),
        post("/body", b"", "body_missing"),
        post("/body", b"x" * 2000, "body_too_large"),
        post("/body", chunks, "body_too_large", {**JSON, **chunked}, http1=True),
        post("/body", b"zz\r\n", "body_malformed", {**JSON, **chunked}, http1=True),
        post("/body", b'{"amount": 10}', "policy_denied"),
        post("/upload", b"x" * 2000, "body_too_large"),
        post("/upload", chunks, "body_too_large", chunked, http1=True),
        Case("service_token_refused", "/token", alice),
    ]  # fmt: skip
    for target in ("/address", "/limited"):
        assert gate.get(f"/h{target}", alice).status == 200, "who is allowed"
    service.forget()
    return Shop(gate, service, cases)


def issuer_of(identity: Issuer, directory: Any, name: str, **changes: Any) -> Config:
    """Another provider with the same keys."""
    return identity.inline(directory, issuer=f"https://{name}", **{"plaintext": None, **changes})


def issued(identity: Issuer, name: str, **claims: Any) -> dict[str, str]:
    return identity.bearer(iss=f"https://{name}", **claims)


def unsigned(identity: Issuer) -> str:
    head, payload, _ = identity.token().split(".")
    del head
    return f"eyJhbGciOiJub25lIn0.{payload}.AAAA"


def over_http1(gate: Gateway, target: str, case: Case) -> tuple[str, tuple[bytes, bool]]:
    """The id; and the bytes of the answer but for it and the date, and whether the connection takes another request."""
    with gate.connect() as wire:
        answer = wire.ask(case.method, target, case.fields(), case.body, case.host)
        goes_on = "connection" not in answer
        if goes_on:
            assert wire.ask("GET", "/open/a").status == 200
        assert answer.interim == []
    data = answer.head + answer.body
    data = re.sub(rb"(?im)^date: [^\r]*", b"", data)
    identifier = answer["x-request-id"]
    return identifier, (data.replace(identifier.encode(), b"*"), goes_on)


def over_http2(client: Http2Client, target: str, case: Case) -> tuple[HeaderList, bytes, HeaderList, bool]:
    """Fields in order but for id and date, body, trailers, and whether the stream was reset."""
    fields = [(name.lower(), value) for name, value in case.fields().items()]
    if case.body:
        stream = client.post(target, case.body, [*fields, ("content-length", str(len(case.body)))])
    else:
        stream = client.begin(case.method, target, fields, end=True)
        stream.read()
    identifier = stream["x-request-id"]
    head = [(name, "" if name in {"date", "x-request-id"} else value) for name, value in stream.head]
    return head, stream.body.replace(identifier.encode(), b"*"), stream.trailers, stream.reset_code is None


def test_http1(shop: Shop) -> None:
    reasons = []
    for case in shop.cases:
        identifier, there = over_http1(shop.gate, f"/h{case.target}", case)
        assert there == over_http1(shop.gate, f"/n{case.target}", case)[1], case
        assert there[0].startswith(b"HTTP/1.1 404 "), case
        line = shop.gate.log_line(request_id=identifier)
        assert (line.get("reason"), line["status"]) == (case.reason, 404), (case, line)
        reasons.append(line["reason"])
    assert {request.target for request in shop.service.requests} <= {"/open/a", "/h/upload"}
    assert len(set(reasons)) >= 40


def test_http2(shop: Shop) -> None:
    for case in (case for case in shop.cases if not case.http1):
        with Http2Client(shop.gate.address()) as client:
            there = over_http2(client, f"/h{case.target}", case)
            assert there == over_http2(client, f"/n{case.target}", case), case
            assert dict(there[0])[":status"] == "404", case
    assert shop.service.saw_nothing()


def test_grpc_over_http2(shop: Shop) -> None:
    for case in (case for case in shop.cases if not case.http1 and case.method == "GET"):
        asked = Case(case.reason, case.target, {**case.fields(), "Content-Type": "application/grpc"})
        with Http2Client(shop.gate.address()) as client:
            there = over_http2(client, f"/h{case.target}", asked)
            assert there == over_http2(client, f"/n{case.target}", asked), case
            assert dict(there[0])["grpc-status"] == "12", case
    assert shop.service.saw_nothing()


def test_what_is_beside_a_hidden_route_answers_as_if_it_were_alone(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Any
) -> None:
    """A path that a visible route has for another method is 405 with or without the hidden one; an unusual path is 400."""
    service, identity = origin(), issuer()
    config = configs.protected(service, identity, tmp_path)
    closed = {"authenticate": "id", "hidden": True, "authorize": {"scopes": "admin"}}
    config["routes"] = {
        "shown": configs.route("/both/{id}", "POST"),
        "hidden": configs.route("/both/{id}", "GET", **closed),
        "odd": configs.route("/odd/{id}", "GET", path={"allow": ["encoded_slash"]}, **closed),
    }
    config["routes"]["hidden"]["match"]["headers"] = {"x-mode": "a"}
    gate = gateway(config)

    def same(target: str, other: str, **headers: str) -> bytes:
        one, two = (over_http1_bare(gate, path, headers) for path in (target, other))
        assert one == two
        return one

    for mode in ({}, {"X-Mode": "a"}, {"X-Mode": "b"}, {"X-Mode": "a, b"}):
        answers = {over_http1_bare(gate, "/both/1", mode, method) for method in ("GET", "PUT", "DELETE")}
        assert len(answers) == 1 and b"\r\nallow: POST\r\n" in answers.pop()
    assert same("/odd/a%2Fb", "/nowhere/a%2Fb").startswith(b"HTTP/1.1 400 ")
    assert same("/odd/a", "/nowhere/a").startswith(b"HTTP/1.1 404 ")
    assert service.saw_nothing()
    admin = identity.bearer(scope="admin")
    assert gate.get("/both/1", {**admin, "X-Mode": "a"}).status == 200
    assert gate.get("/odd/a%2Fb", admin).status == 200


def over_http1_bare(gate: Gateway, target: str, headers: dict[str, str], method: str = "GET") -> bytes:
    with gate.connect() as wire:
        answer = wire.ask(method, target, headers)
    data = re.sub(rb"(?im)^date: [^\r]*", b"", answer.head + answer.body)
    return data.replace(answer["x-request-id"].encode(), b"*")


@pytest.fixture
def staffed(site: Make) -> Site:
    """A site with a login, and hidden routes that accept its sessions."""
    here: Site = site()
    closed = {"access": "authenticated", "authenticate": "staff", "hidden": True}
    here.reload(
        routes__hidden=configs.route("/h/page", {"any_of": ["GET", "POST"]}, **closed),
        routes__strict=configs.route("/h/strict", "GET", assurance={"acr": "retina"}, **closed),
        routes__mine=configs.route(
            "/h/mine", "GET", **{**closed, "access": None, "authorize": {"scopes": "none"}}
        ),
    )
    return here


def seen(browser: Browser, method: str, target: str, headers: dict[str, str]) -> tuple[int, list[Any], bytes]:
    """An answer but for id and date."""
    answer = browser.send(method, target, dict(headers))
    varies = {"date", "x-request-id"}
    head = [(name, "" if name.lower() in varies else value) for name, value in answer.headers.multi_items()]
    return answer.status_code, head, answer.content.replace(answer.headers["x-request-id"].encode(), b"*")


def test_logins_sessions_and_forged_requests(staffed: Site) -> None:
    here = staffed
    stranger, ann = here.browser(), here.browser()
    ann.login()
    forged = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    junk = here.browser()
    junk.cookies.update(dict.fromkeys(ann.cookies, "junk"))
    cases: list[tuple[str, Browser, str, str, dict[str, str]]] = [
        ("credential_missing", stranger, "GET", "/page", PAGE),
        ("credential_missing", stranger, "GET", "/page", {"accept": "*/*"}),
        ("session_invalid", junk, "GET", "/page", PAGE),
        ("csrf_refused", ann, "POST", "/page", forged),
        ("csrf_refused", ann, "POST", "/page", {**PAGE, **forged}),
        ("insufficient_user_authentication", ann, "GET", "/strict", PAGE),
        ("insufficient_user_authentication", ann, "GET", "/strict", {"accept": "*/*"}),
        ("scope_missing", ann, "GET", "/mine", PAGE),
    ]
    here.origin.forget()
    for reason, browser, method, target, headers in cases:
        jar = dict(browser.cookies)
        there = seen(browser, method, f"/h{target}", headers)
        assert browser.cookies == jar, f"{reason}: no cookie comes or goes"
        assert there == seen(browser, method, f"/n{target}", headers), reason
        assert there[0] == 404

    def logged() -> list[str]:
        return [line["reason"] for line in here.gateway.log_lines() if line["path"].startswith("/h")]

    eventually(lambda: len(logged()) >= len(cases))
    assert logged() == [reason for reason, *_ in cases]
    assert here.origin.saw_nothing()
    assert ann.page("/h/page").status_code == 200, "who is allowed"


def test_a_session_that_was_revoked(staffed: Site) -> None:
    here = staffed
    ann = here.browser()
    ann.login()
    assert ann.page("/h/page").status_code == 200
    subject = here.gateway.log_line(path="/h/page")["subject"]
    revoke(here.gateway, subject=subject, issuer=here.provider.issuer)
    here.origin.forget()
    jar = dict(ann.cookies)
    for headers in (PAGE, {"accept": "*/*"}):
        assert seen(ann, "GET", "/h/page", headers) == seen(ann, "GET", "/n/page", headers)
    assert ann.cookies == jar and here.origin.saw_nothing()


def test_the_way_back_of_a_login_tells_of_no_hidden_route(staffed: Site) -> None:
    """`return_to` has to be a path that a route takes; a hidden one is none."""
    browser = staffed.browser()
    answers = [browser.page(f"/.yett/staff/login?return_to=/{path}/page") for path in ("h", "n")]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert [len(answer.content) for answer in answers] == [len(answers[0].content)] * 2
    assert browser.page("/.yett/staff/login?return_to=/app").status_code == 302


def test_what_protects_the_host_does_not_name_it(shop: Shop) -> None:
    place = "/.well-known/oauth-protected-resource"
    for target in (place, f"{place}/h/plain", f"{place}/n/plain"):
        assert shop.gate.get(target).status == 404, "every route of this host is hidden"


def test_it_cannot_stand_where_the_gateway_answers(
    gateway: Make, origin: Make, issuer: Make, tmp_path: Any
) -> None:
    config = configs.protected(origin(), issuer(), tmp_path)
    place = "/.well-known/oauth-protected-resource/a"
    config["routes"]["closed"] = configs.route(
        place, "GET", access="authenticated", authenticate="id", hidden=True
    )
    with pytest.raises(Exception, match="a hidden route cannot stand at"):
        gateway(config)
