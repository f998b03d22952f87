"""Paths that two readers read differently (CVE-2026-40912, CVE-2026-48020, CVE-2026-42274, CVE-2021-29492)."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.wire import head

NOT_CANONICAL = [
    "/open/../closed",
    "/open/..",
    "/open/.",
    "/open/./a",
    "/../a",
    "/..",
    "/.",
    "/open/..;/closed",
    "/open/.;x/a",
    "/open/%2e%2e/closed",
    "/open/%2E%2E/closed",
    "/open/.%2e/closed",
    "/open/%2e./closed",
    "/open/%2e",
    "/open/%2e/a",
    "/open/%2e%2e%2fclosed",
    "/open/..%2fclosed",
    "/open/..%5cclosed",
    "/open/..\\closed",
    "/open\\a",
    "/open/%5ca",
    "/open/%5Ca",
    "//open/a",
    "/open//a",
    "/open//",
    "/open/a//",
    "/open/%2fa",
    "/open/a%2fb",
    "/open/a%2Fb",
    "/open/a;b",
    "/open;a/b",
    "/open/a%3bb",
    "/open/%00a",
    "/open/a%00",
    "/open/%0a",
    "/open/%0d%0a",
    "/open/%1f",
    "/open/%7f",
    "/open/%",
    "/open/%4",
    "/open/%zz",
    "/open/%u002e",
    "/open/%c0%ae%c0%ae/closed",
    "/open/%c0%af",
    "/open/%e0%80%af",
    "/open/%ff",
    "/open/%ed%a0%80",
    "/open/%252e%252e/closed",
    "/open/%252fa",
    "/open/%255ca",
    "/open/%2500",
    "/open/%25%32%65",
    "/open/a#b",
    "/open/%252e",
    "/open/%2e%2e;/closed",
    "/open/a\x7fb",
    "open/a",
    "../open/a",
    "?a=b",
    "%2fopen/a",
    '/open/a"b',
    "/open/a<b",
    "/open/a|b",
    "/open/a`b",
    "/open/a{b",
    "/open/a^b",
]
UNDECIDED = {
    "/open/a%3bb",
    '/open/a"b',
    "/open/a<b",
    "/open/a|b",
    "/open/a`b",
    "/open/a{b",
    "/open/a^b",
    "/open/%25%32%65",
}


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    return gateway(configs.protected(service, identity, tmp_path)), service


@pytest.mark.parametrize("path", NOT_CANONICAL)
def test_paths_that_are_not_canonical_are_refused(shop, path):
    gate, service = shop
    for target in (path, path + "?q=1"):
        answer = gate.get(target)
        if path in UNDECIDED and answer.status == 200:
            assert service.last.target == target, "passed on, but not as it came"
            continue
        assert answer.status in (400, 404), answer
        assert answer.reason in ("path_not_canonical", "malformed_request", "route_not_found")
        if path not in UNDECIDED:
            assert service.saw_nothing()


def test_the_reason_of_a_refused_path_is_its_own(shop):
    gate, service = shop
    for path in ("/open/../closed", "/open/%2e%2e/closed", "/open//a", "/open/%00", "/open/%252e%252e/a"):
        answer = gate.get(path)
        assert (answer.status, answer.reason) == (400, "path_not_canonical"), path
    assert service.saw_nothing()


SAME = [
    "/open/a",
    "/open/%61",
    "/open/a%20b",
    "/open/a%2520b",
    "/open/%7Euser",
    "/open/~user",
    "/open/a.b",
    "/open/...",
    "/open/.a",
    "/open/a..b",
    "/open/%e2%82%ac",
    "/open/%E2%82%AC",
    "/open/a/",
    "/open/A",
    "/open/a+b",
    "/open/a:b@c!$&'()*,=",
    "/open/a?x=../..&y=%2e%2e//%5c;",
    "/open/a?",
    "/open/a??",
    "/open/a?b?c",
    "/open/a%2eb",
    "/open/%2ea",
]


@pytest.mark.parametrize("target", SAME)
def test_canonical_paths_reach_the_service_byte_for_byte(shop, target):
    gate, service = shop
    assert gate.get(target).status == 200
    assert service.only.target == target


def test_policy_reads_the_decoded_segment(gateway, origin, issuer, tmp_path):
    """`%61cme` is the tenant `acme`, for the rule and for the service alike."""
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = {"tenant": "tenant"}
    config["routes"]["closed"] = configs.route(
        "/t/{tenant}/a", "GET", authenticate="id", authorize={"tenant": "path.tenant"}
    )
    gate = gateway(config)
    mine = identity.bearer(tenant="acme")
    assert gate.get("/t/%61cme/a", mine).status == 200
    assert gate.get("/t/other/a", mine).reason == "tenant_mismatch"
    assert gate.get("/t/%6fther/a", mine).reason == "tenant_mismatch"
    assert gate.get("/t/ACME/a", mine).reason == "tenant_mismatch"
    assert gate.get("/t/acme%20/a", mine).reason == "tenant_mismatch"
    assert [seen.target for seen in service.requests] == ["/t/%61cme/a"]


def test_static_segments_match_decoded(gateway, origin, issuer, tmp_path):
    """`/open/%61dmin` takes the route of `/open/admin`, not the catch-all beside it."""
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["routes"]["admin"] = configs.route("/open/admin", "GET", authenticate="id", access="authenticated")
    gate = gateway(config)
    for target in ("/open/admin", "/open/%61dmin", "/open/%61%64%6d%69%6e", "/open/adm%69n?x"):
        assert gate.get(target).reason == "credential_missing", target
    assert service.saw_nothing()
    for target in ("/open/Admin", "/open/admin/", "/open/admin/x"):
        assert gate.get(target).status in (200, 404), target


@pytest.mark.parametrize(
    ("allow", "path"),
    [("encoded_slash", "/open/a%2fb"), ("semicolon", "/open/a;b=1"), ("empty_segment", "/open//a")],
)
def test_exceptions_are_per_route_and_one_by_one(gateway, origin, allow, path):
    service = origin()
    config = configs.public(service, path={"allow": allow})
    config["routes"]["strict"] = configs.route("/strict/{rest...}")
    gate = gateway(config)
    assert gate.get(path).status == 200
    assert service.only.target == path
    for other in ("/open/a%2fb", "/open/a;b=1", "/open//a"):
        if other != path:
            assert gate.get(other).reason == "path_not_canonical", other
    assert gate.get(path.replace("/open", "/strict", 1)).reason == "path_not_canonical"
    for worse in (
        "/open/..%2fb",
        "/open/..;/b",
        "/open//../b",
        "/open/%2e%2e%2f",
        "/open/..;a/b",
        "/open/.;/b",
    ):
        assert gate.get(worse).status == 400, worse
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize("value", ["%2e%2e", "a%2f..%2fb", "..", "%252e%252e", "a%5cb", "%00"])
def test_a_rewrite_cannot_make_a_path_that_is_not_canonical(gateway, origin, value):
    service = origin()
    config = configs.public(service)
    config["routes"] = {"moved": configs.route("/old/{name}", "GET", rewrite={"path": "/new/{name}/x"})}
    gate = gateway(config)
    answer = gate.get(f"/old/{value}")
    assert answer.status == 400
    assert answer.reason in ("path_not_canonical", "rewrite_not_canonical")
    assert service.saw_nothing()


def test_a_rewrite_does_not_decode_twice(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["routes"] = {"moved": configs.route("/old/{name}", "GET", rewrite={"path": "/new/{name}"})}
    gate = gateway(config)
    for value in ("a%20b", "a%3fb", "a%23b", "%e2%82%ac", "a%2520b", "a+b", "a%26b"):
        answer = gate.get(f"/old/{value}?q=1")
        if answer.status == 200:
            target = service.last.target
            from urllib.parse import unquote

            path, _, query = target.partition("?")
            assert unquote(path) == "/new/" + unquote(value), target
            assert query == "q=1"
        else:
            assert answer.status == 400


@pytest.mark.parametrize(
    "target",
    [
        "*",
        "http://gateway.test/open/a",
        "https://other.test/closed",
        "gateway.test:443",
        "http:/open/a",
        "HTTP://gateway.test/open/a",
        "//gateway.test/open/a",
    ],
)
def test_other_forms_of_target_are_refused(shop, target):
    gate, service = shop
    for method in ("GET", "OPTIONS"):
        with gate.connect() as wire:
            answer = wire.send(head(method, target)).reply(method)
            assert answer.status in (400, 404, 405, 501), (method, target)
    assert service.saw_nothing()
