"""What a compiled configuration may say that widens or narrows, one difference each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.config.test_cases import CASES
from yett.policy.diff import document
from yett.policy.diff.change import Kind

Document = dict[str, Any]
CRL_TLS = {
    "profile": "modern",
    "certificates": [],
    "client_certificates": {"mode": "required", "ca": "A", "crls": []},
}


@pytest.fixture
def whole() -> Document:
    """A shop with a bit of everything."""
    made: Document = json.loads((CASES / "good" / "rate_limit_none.ir.json").read_text())
    made["listeners"][0]["tls"] = copy.deepcopy(CRL_TLS)
    made["state"] = {"redis": {
        "host": "redis", "port": 6379, "tls": True, "database": 0, "username": None, "password": None, "ca": None, "deadline_ms": 50,
        "prefix": "yett", "stale_ms": 5000, "state_loss": "refuse",
    }}  # fmt: skip
    made["dpop"] = {"algorithms": ["ES256"], "max_age_s": 60, "leeway_s": 5, "nonce_ms": 1000}
    made["process"]["load_shedding_ms"] = 50
    made["services"][0]["limits"] = {"concurrency": 10, "pending": 5, "wait_ms": 100}
    route = made["routes"][0]
    route["request_validation"] = {
        "body": "required", "bodies": [{"content_type": "application/json", "schema": {"type": "object"}}], "formats": True,
        "json": {"depth": 8, "keys": 10, "items": 10, "string": 100, "number": 20}, "query": ["q"], "form": {"fields": 10, "field": 10, "file": 10},
        "parameters": [{"in": "query", "name": "q", "required": False, "types": ["string"], "schema": {}}],
        "graphql": {
            "depth": 5, "aliases": 5, "directives": 5, "cost": 100, "batch": 2, "operations": ["query"], "root_fields": ["shop"],
            "list_arguments": ["first", "last"], "introspection": False, "persisted": "refuse",
        },
    }  # fmt: skip
    route["websocket"] = {
        "origins": {"listed": ["https://a.test"]},
        "message": 1024,
        "connections": 10,
        "idle_ms": 1000,
    }
    route["cors"] = {
        "origins": ["https://a.test", "https://*.b.test"], "methods": ["GET"], "headers": ["x-a"], "expose": [], "credentials": False,
        "max_age_s": 60, "private_network": False,
    }  # fmt: skip
    made["address_lists"] = [
        {"name": "office", "networks": ["192.0.2.0/24", "198.51.100.0/24"]}, {"name": "bad", "file": "/lists/bad", "networks": ["203.0.113.0/24"]},
    ]  # fmt: skip
    route["address_filters"] = [{"source": "route r", "allow": ["office"], "deny": ["bad"]}]
    made["geo"] = {"country": "/geo/country", "asn": "/geo/asn", "hosting_asns": [64496], "max_age_s": 60}
    route["geo_filters"] = [
        {
            "source": "route r", "countries": {"deny": ["KP"]}, "asns": {"allow": [64500, 64501]}, "hosting": True,
            "except_addresses": ["office"], "except_callers": {"users": ["ann"]},
        }
    ]  # fmt: skip
    route["csrf"] = {"origins": ["https://a.test"], "referer": False}
    route["assurance"] = {"acr": ["high"], "max_age_s": 60}
    route["live_check"] = {"max_age_ms": 1000}
    route["sender_constrained"] = "any"
    route["client_certificate"] = True
    route["response_tenant"] = "x-tenant"
    return made


def at(*path: Any) -> Callable[[Document], None]:
    """Sets the value at a place; `...` removes the key."""
    *parents, key, value = path

    def change(made: Document) -> None:
        here: Any = made
        for parent in parents:
            here = here[parent]
        if value is ...:
            del here[key]
        else:
            here[key] = value

    return change


ROUTE, TLS, REDIS, VALID = (
    ("routes", 0),
    ("listeners", 0, "tls"),
    ("state", "redis"),
    ("routes", 0, "request_validation"),
)
LOOSER = [
    at("access_log", "off"),
    at("admin", {"address": "127.0.0.1:9901", "token": None}),
    at("process", "buffered_bytes", 1 << 40),
    at("process", "load_shedding_ms", 500),
    at("process", "load_shedding_ms", ...),
    at("dpop", "algorithms", ["ES256", "RS256"]),
    at("dpop", "leeway_s", 6),
    at("dpop", "nonce_ms", ...),
    at(*TLS, None),
    at(*TLS, "profile", "intermediate"),
    at(*TLS, "profile", "fips"),
    at(*TLS, "guideline", "5.7"),
    at(*TLS, "client_certificates", ...),
    at(*TLS, "client_certificates", "mode", "optional"),
    at(*TLS, "client_certificates", "ca", "B"),
    at("listeners", 0, "limits", "handshakes", 5000),
    at("listeners", 0, "limits", "header_bytes", 1 << 20),
    at("listeners", 0, "trusted_proxies", {"addresses": ["10.0.0.0/8"], "header": "forwarded"}),
    at("listeners", 0, "address", "0.0.0.0:8080"),
    at(*REDIS, "tls", False),
    at(*REDIS, "state_loss", "local"),
    at(*REDIS, "stale_ms", 60_000),
    at(*REDIS, "ca", "another"),
    at("state", ...),
    at("services", 0, "limits", "concurrency", 20),
    at("services", 0, "limits", ...),
    at("services", 0, "forward_credential", True),
    at(*ROUTE, "request_validation", ...),
    at(*VALID, "body", "optional"),
    at(*VALID, "body", "refused"),
    at(*VALID, "bodies", []),
    at(*VALID, "bodies", 0, "schema", {}),
    at(*VALID, "formats", False),
    at(*VALID, "json", "depth", 9),
    at(*VALID, "query", None),
    at(*VALID, "query", ["q", "r"]),
    at(*VALID, "parameters", []),
    at(*VALID, "form", ...),
    at(*VALID, "graphql", ...),
    at(*VALID, "graphql", "depth", 6),
    at(*VALID, "graphql", "aliases", 6),
    at(*VALID, "graphql", "directives", 6),
    at(*VALID, "graphql", "cost", 101),
    at(*VALID, "graphql", "batch", 3),
    at(*VALID, "graphql", "operations", ["query", "mutation"]),
    at(*VALID, "graphql", "root_fields", ["shop", "admin"]),
    at(*VALID, "graphql", "root_fields", ...),
    at(*VALID, "graphql", "list_arguments", ["first"]),
    at(*VALID, "graphql", "list_arguments", ["first", "size"]),
    at(*VALID, "graphql", "introspection", True),
    at(*VALID, "graphql", "persisted", "allow"),
    at(*VALID, "graphql", "persisted", "only"),
    at(*ROUTE, "websocket", "origins", "any"),
    at(*ROUTE, "websocket", "origins", {"listed": ["https://a.test", "https://b.test"]}),
    at(*ROUTE, "websocket", "message", 2048),
    at(*ROUTE, "cors", ...),
    at(*ROUTE, "csrf", ...),
    at(*ROUTE, "address_filters", ...),
    at(*ROUTE, "address_filters", 0, "allow", ["office", "other"]),
    at(*ROUTE, "address_filters", 0, "allow", ...),
    at(*ROUTE, "address_filters", 0, "deny", []),
    at(*ROUTE, "geo_filters", ...),
    at(*ROUTE, "geo_filters", 0, "countries", ...),
    at(*ROUTE, "geo_filters", 0, "countries", {"allow": ["KP"]}),
    at(*ROUTE, "geo_filters", 0, "countries", {"deny": ["RU"]}),
    at(*ROUTE, "geo_filters", 0, "asns", {"allow": [64500, 64501, 64502]}),
    at(*ROUTE, "geo_filters", 0, "hosting", ...),
    at(*ROUTE, "geo_filters", 0, "unknown", True),
    at(*ROUTE, "geo_filters", 0, "private", True),
    at(*ROUTE, "geo_filters", 0, "except_addresses", ["bad", "office"]),
    at(*ROUTE, "geo_filters", 0, "except_callers", {"users": ["ann", "bob"]}),
    at("geo", "country", "/geo/other"),
    at("geo", "hosting_asns", []),
    at("geo", "unavailable", "unknown"),
    at("address_lists", 0, "networks", ["192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8"]),
    at("address_lists", 1, "networks", []),
    at("address_lists", 1, "file", "/lists/other"),
    at("address_lists", 1, "unavailable", "empty"),
    at(*ROUTE, "csrf", "origins", ["https://a.test", "https://b.test"]),
    at(*ROUTE, "csrf", "origins", ["https://*.test.test"]),
    at(*ROUTE, "csrf", "referer", True),
    at(*ROUTE, "csrf", "token", "needed"),
    at(*ROUTE, "csrf", "token", "always"),
    at(*ROUTE, "cors", "origins", ["https://a.test", "https://*.b.test", "https://c.test"]),
    at(*ROUTE, "cors", "origins", ["https://a.test", "https://*.b.test:8443"]),
    at(*ROUTE, "cors", "origins", ["https://a.test", "https://x.y.b.test"]),
    at(*ROUTE, "cors", "origins", ["any"]),
    at(*ROUTE, "cors", "origins", ["https://a.test", "null"]),
    at(*ROUTE, "cors", "methods", ["GET", "PUT"]),
    at(*ROUTE, "cors", "headers", ["x-a", "x-b"]),
    at(*ROUTE, "cors", "expose", ["etag"]),
    at(*ROUTE, "cors", "credentials", True),
    at(*ROUTE, "cors", "private_network", True),
    at(*ROUTE, "assurance", ...),
    at(*ROUTE, "assurance", "acr", ["high", "low"]),
    at(*ROUTE, "assurance", "max_age_s", 61),
    at(*ROUTE, "live_check", ...),
    at(*ROUTE, "live_check", "max_age_ms", 2000),
    at(*ROUTE, "sender_constrained", ...),
    at(*ROUTE, "client_certificate", ...),
    at(*ROUTE, "response_tenant", ...),
    at(*ROUTE, "body_limit", 1 << 40),
    at(*ROUTE, "mirror", {"service": "other", "share": 1}),
    at(*ROUTE, "response_headers", "set", {"access-control-allow-origin": "*"}),
    at(*ROUTE, "request_headers", "set", {"x-role": "admin"}),
    at(*ROUTE, "path_allow", ["encoded_slash"]),
]  # fmt: skip
STRICTER = [
    at("access_log", {"file": "log"}),
    at("process", "load_shedding_ms", 20),
    at("dpop", "max_age_s", 30),
    at("dpop", "nonce_ms", 500),
    at("listeners", 0, "limits", "handshakes", 500),
    at(*REDIS, "stale_ms", 1000),
    at("services", 0, "limits", "concurrency", 5),
    at("services", 0, "identity_assertion", {"audience": "other", "lifetime_s": 30}),
    at(*VALID, "json", "depth", 7),
    at(*VALID, "query", []),
    at(*VALID, "headers", ["x-a"]),
    at(*VALID, "parameters", 0, "required", True),
    at(*VALID, "graphql", "depth", 4),
    at(*VALID, "graphql", "root_fields", []),
    at(*VALID, "graphql", "list_arguments", ["first", "last", "size"]),
    at(*ROUTE, "websocket", "origins", "same"),
    at(*ROUTE, "cors", "origins", ["https://a.test"]),
    at(*ROUTE, "cors", "origins", ["https://a.test", "https://x.b.test"]),
    at(*ROUTE, "cors", "methods", []),
    at(*ROUTE, "address_filters", 0, "deny", ["bad", "worse"]),
    at(*ROUTE, "address_filters", [{"source": "route r", "allow": ["office"], "deny": ["bad"]}, {"source": "group g", "deny": ["bad"]}]),
    at("address_lists", 1, "networks", ["203.0.113.0/24", "10.0.0.0/8"]),
    at(*ROUTE, "geo_filters", 0, "countries", {"deny": ["KP", "RU"]}),
    at(*ROUTE, "geo_filters", 0, "asns", {"allow": [64500]}),
    at(*ROUTE, "geo_filters", 0, "except_addresses", ...),
    at(*ROUTE, "geo_filters", 0, "except_callers", ...),
    at("geo", "hosting_asns", [64496, 64497]),
    at(*ROUTE, "csrf", "origins", []),
    at(*ROUTE, "cors", "headers", []),
    at(*ROUTE, "cors", "max_age_s", 600),
    at(*ROUTE, "assurance", "max_age_s", 30),
    at(*ROUTE, "live_check", "max_age_ms", 500),
    at(*ROUTE, "sender_constrained", "mtls"),
    at(*ROUTE, "body_limit", 10),
    at(*ROUTE, "response_headers", "set", {"x-version": "2"}),
]  # fmt: skip


def kinds(old: Document, new: Document) -> set[Kind]:
    return {one.kind for one in document.compare(old, new)}


@pytest.mark.parametrize("change", LOOSER, ids=lambda change: "")
def test_what_is_looser_widens(whole: Document, change: Any) -> None:
    new = copy.deepcopy(whole)
    change(new)
    assert Kind.WIDENS in kinds(whole, new)


@pytest.mark.parametrize("change", STRICTER, ids=lambda change: "")
def test_what_is_stricter_does_not_widen(whole: Document, change: Any) -> None:
    new = copy.deepcopy(whole)
    change(new)
    assert Kind.WIDENS not in kinds(whole, new)


def test_a_default_that_stands_nowhere_is_one(whole: Document) -> None:
    """1,000 handshakes a second, where nothing is said."""
    new = copy.deepcopy(whole)
    new["listeners"][0]["limits"]["handshakes"] = 1000
    assert Kind.WIDENS not in kinds(whole, new)


def test_the_same_id_stands_for_the_same_content_only(whole: Document) -> None:
    """A route that was allowed when it was new is another one with other limits."""
    ids = set()
    for limit in (1, 2, 3):
        new = copy.deepcopy(whole)
        extra = {**copy.deepcopy(whole["routes"][0]), "name": "extra", "body_limit": limit}
        extra["match"]["path"] = "/elsewhere"
        new["routes"].append(extra)
        (found,) = [one for one in document.compare(whole, new) if one.where == "routes.extra"]
        assert len(found.id.partition("@")[2]) == 16
        ids.add(found.id)
    assert len(ids) == 3


def test_a_renamed_route_moves_with_its_limits(whole: Document) -> None:
    whole["routes"] = whole["routes"][:1]
    name = whole["routes"][0]["name"]
    limit = {"name": "l", "scope": f"route:{name}", "count": 1, "period_ms": 1000, "burst": 1, "key": "route"}
    whole["routes"][0]["rate_limits"] = [limit]
    new = copy.deepcopy(whole)
    new["routes"][0]["name"] = "renamed"
    new["routes"][0]["rate_limits"][0]["scope"] = "route:renamed"
    assert kinds(whole, new) == {Kind.MOVES}
    # what a request has to say is no place, whatever it is called
    new["routes"][0]["match"]["query"] = {"scope": "route:renamed"}
    whole["routes"][0]["match"]["query"] = {"scope": f"route:{name}"}
    assert Kind.WIDENS in kinds(whole, new)


@pytest.mark.parametrize("condition", ["route.name == 'x'", "route['name'] == 'x'", "route .name == 'x'"])
def test_a_renamed_route_whose_condition_reads_its_name_widens(whole: Document, condition: str) -> None:
    whole["routes"] = whole["routes"][:1]
    whole["routes"][0]["deny"] = [{"source": "deny.d", "when": condition}]
    new = copy.deepcopy(whole)
    new["routes"][0]["name"] = "renamed"
    assert Kind.WIDENS in kinds(whole, new)


def routed(whole: Document, **routes: Document) -> Document:
    """The same with these routes: what their `match` says beside GET /a on any host."""
    made = copy.deepcopy(whole)
    made["routes"] = []
    for name, match in routes.items():
        route = copy.deepcopy(whole["routes"][0])
        plain = {"hosts": None, "path": "/a", "methods": ["GET"], "headers": {}, "query": {}}
        made["routes"].append({**route, "name": name, "match": {**plain, **match}})
    return made


def test_a_method_that_was_405_beside_a_more_precise_host(whole: Document) -> None:
    """Found by random pairs: a host that is named joins the place of a route that refused its method."""
    there = {"hosts": ["*.shop.test"], "methods": ["POST"]}
    old = routed(whole, one={}, other=there)
    new = routed(whole, one={"hosts": ["*.shop.test"]}, other=there)
    assert Kind.WIDENS in kinds(old, new)


def test_a_condition_that_refused_is_gone_with_its_route(whole: Document) -> None:
    """Found by random pairs: what a precise host refused goes on to a less precise one."""
    wide = {"hosts": ["*.shop.test"]}
    old = routed(whole, one={"hosts": ["*.x.shop.test"], "query": {"v": "2"}}, wide=wide)
    assert Kind.WIDENS in kinds(old, routed(whole, wide=wide))
