"""What rules find beyond the examples of their pages, and what they leave alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.surroundings import fill
from yett.config import compile_file
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Finding
from yett.policy.linter.run import run

NOW = datetime(2026, 11, 29, tzinfo=UTC)
Lint = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def lint(surroundings: Path) -> Lint:
    """`lint(RULE, section={…})`: what a rule finds in a configuration with these parts."""

    def ask(rule: str, **parts: Any) -> list[Finding]:
        document: dict[str, Any] = {
            "version": 1,
            "listeners": {"main": {"address": "127.0.0.1:8080", "plaintext": "test"}},
            "identity_providers": {
                "id": {"type": "jwt", "issuer": "https://id.example", "audience": "a", "jwks": "jwks.json",
                       "claims": {"plan": "plan"}},
            },
            "services": {"s": {"endpoints": "https://s.internal"}},
            **parts,
        }  # fmt: skip
        file = surroundings / "gateway.yaml"
        file.write_text(json.dumps(document, indent=1))
        return list(run(Context(compile_file(file), NOW), [rule]).findings)

    return ask


def route(path: str = "/a", methods: Any = "GET", hosts: Any = "any", **more: Any) -> dict[str, Any]:
    match = {"path": path, "methods": methods, **({"hosts": hosts} if hosts else {})}
    defaults = {"authenticate": "id", "authorize": {"scopes": "read"}, "service": "s"}
    return {"match": match, **{k: v for k, v in {**defaults, **more}.items() if v is not None}}


def public(path: str = "/a", methods: Any = "GET", hosts: Any = "any", **more: Any) -> dict[str, Any]:
    return route(
        path, methods, hosts, **{"access": "public", "authenticate": None, "authorize": None, **more}
    )


# exposed-twice


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (route("/b", rewrite={"path": "/a"}, authorize={"scopes": "other"}), True),
        (route("/b", rewrite={"path": "/a"}), False),  # asks for the same
        (route("/b", "POST", rewrite={"path": "/a"}, authorize={"scopes": "other"}), False),  # another method
        (route("/b", "HEAD", rewrite={"path": "/a"}, authorize={"scopes": "other"}), True),  # GET serves HEAD
        (route("/b", rewrite={"path": "/c"}, authorize={"scopes": "other"}), False),
        (public("/b", rewrite={"path": "/a"}), True),
        (route("/a", hosts="api.example.com", authorize={"scopes": "other"}), True),
    ],
)
def test_exposed_twice(lint: Lint, second: dict[str, Any], found: bool) -> None:
    findings = lint("exposed-twice", routes={"one": route(), "two": second})
    assert [one.where for one in findings] == (["routes.two"] if found else [])


def test_variables_with_other_names_are_the_same_path(lint: Lint) -> None:
    second = route("/v1/o/{id}", rewrite={"path": "/o/{id}"}, authorize={"scopes": "other"})
    assert lint("exposed-twice", routes={"one": route("/o/{order}"), "two": second})


# shadowed-route


@pytest.mark.parametrize(
    ("path", "hosts", "wide", "host", "found"),
    [
        ("/a/b", "any", "/a/{rest...}", "api.example.com", True),
        ("/a/b", "any", "/a/{x}", "api.example.com", True),
        ("/a/b", "any", "/{rest...}", "*.example.com", True),
        ("/a/b", "*.example.com", "/{rest...}", "api.example.com", True),
        ("/a/b", "*.example.com", "/{rest...}", "api.example.org", False),
        ("/a/b", "api.example.com", "/{rest...}", "api.example.com", False),  # the literal goes first
        ("/a/{x}", "any", "/a/b", "api.example.com", False),  # narrower
        ("/a/b", "any", "/c/{rest...}", "api.example.com", False),
        ("/a/b", "any", "/a/{x}/c", "api.example.com", False),
        ("/a/", "any", "/a/{x}", "api.example.com", False),  # a variable takes no empty segment
        ("/a/", "any", "/a/{rest...}", "api.example.com", True),
        ("/a", "any", "/a/{rest...}", "api.example.com", False),
    ],
)
def test_shadowed_route(lint: Lint, path: str, hosts: str, wide: str, host: str, found: bool) -> None:
    narrow = route(path, hosts=hosts, authorize={"roles": "administrator"})
    findings = lint("shadowed-route", routes={"one": narrow, "two": route(wide, hosts=host)})
    assert [one.where for one in findings] == (["routes.one.match.path"] if found else [])


def test_what_the_precise_host_says_itself_is_no_shadow(lint: Lint) -> None:
    routes = {
        "one": route("/a/b"),
        "two": public("/a/{rest...}", hosts="api.example.com"),
    }
    assert len(lint("shadowed-route", routes=routes)) == 1
    routes["three"] = route("/a/b", hosts="api.example.com")
    assert lint("shadowed-route", routes=routes) == []


def test_a_page_that_asks_for_the_same_is_no_shadow(lint: Lint) -> None:
    routes = {"one": route("/a/b"), "two": route("/a/{rest...}", hosts="api.example.com")}
    assert lint("shadowed-route", routes=routes) == []


def test_the_engine_agrees_about_shadows(surroundings: Path, lint: Lint) -> None:
    """The router sends the request to the route that the rule names."""
    from yett.policy import engine

    routes = {"narrow": route("/a/b"), "wide": public("/a/{rest...}", hosts="api.example.com")}
    (found,) = lint("shadowed-route", routes=routes)
    assert "go to `wide`" in found.message
    decided = engine.from_file(surroundings / "gateway.yaml").decide(
        engine.Question("GET", "http://api.example.com/a/b")
    )
    assert decided["route"] == "wide"


# never-allowed


@pytest.mark.parametrize(
    ("group", "own", "found"),
    [
        ({"callers": {"users": "a"}}, {"callers": {"users": "b"}}, True),
        ({"callers": {"users": ["a", "b"]}}, {"callers": {"users": "b"}}, False),
        ({"callers": {"users": "a"}}, {"callers": {"clients": "b"}}, False),  # one caller can be both
        ({"addresses": "10.0.0.0/8"}, {"addresses": "192.168.0.0/16"}, True),
        ({"addresses": "10.0.0.0/8"}, {"addresses": ["10.1.0.0/16", "192.168.0.0/16"]}, False),
        ({"claims": {"plan": "a"}}, {"claims": {"plan": {"none_of": ["b"]}}}, False),
        ({"scopes": "a"}, {"scopes": "b"}, False),  # a token may have both
    ],
)
def test_never_allowed(lint: Lint, group: dict[str, Any], own: dict[str, Any], found: bool) -> None:
    groups = {"g": {"hosts": "any", "authenticate": "id", "service": "s", "authorize": group}}
    routes = {"one": {"group": "g", "match": {"path": "/a", "methods": "GET"}, "authorize": own}}
    assert bool(lint("never-allowed", groups=groups, routes=routes)) is found


# others


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-----BEGIN EC PRIVATE KEY-----", True),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlc2lnbmF0dXJl", True),
        ("yett_acme00000001_" + "aB3" * 14, True),
        ("https://user:hunter22@example.com/", True),
        ("AKIA" + "ABCD" * 4, True),
        ("https://example.com/a:b@c", False),
        ("the key is in {file: keys/one.key}", False),
    ],
)
def test_forms_of_secrets(lint: Lint, text: str, found: bool) -> None:
    findings = lint("secret-in-file", routes={"one": public(service=None, respond={"body": text})})
    assert bool(findings) is found
    assert not any(text in str(one) for one in findings)


def test_an_exception_for_a_secret_names_the_part_that_it_stands_in(lint: Lint) -> None:
    def of(**parts: Any) -> list[str]:
        routes = {
            name: public(f"/{name}", service=None, respond={"body": body}) for name, body in parts.items()
        }
        ignore = {
            "secret-in-file": {"at": "routes.shown", "reason": "the key of an example, good for nothing"}
        }
        return [one.where for one in lint("secret-in-file", routes=routes, lint={"ignore": ignore})]

    key = "AKIA" + "ABCD" * 4
    assert of(shown=key, other="hello") == []
    assert of(shown="hello", other=key) == ["routes.other"]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("x-api-key", "0123456789", True), ("x-tokens", "0123456789", False), ("x-api-key", "short", False)],
)
def test_values_of_fields_with_the_name_of_a_secret(lint: Lint, name: str, value: str, found: bool) -> None:
    routes = {"one": public(request_headers={"set": {name: value}})}
    assert bool(lint("secret-in-file", routes=routes)) is found


def test_a_proxy_before_a_plain_listener_may_end_tls(lint: Lint) -> None:
    def of(**more: Any) -> str:
        listeners = {"main": {"address": "0.0.0.0:8080", "plaintext": "test", **more}}
        (one,) = lint(
            "plaintext-listener", environment="production", listeners=listeners, routes={"one": public()}
        )
        return str(one.severity)

    assert of() == "error"
    assert of(trusted_proxies={"addresses": "10.0.0.0/8", "header": "x-forwarded-for"}) == "warning"


def test_a_limit_of_the_listener_is_enough_for_public_routes_only(lint: Lint) -> None:
    limit = {"per-address": {"rate": "1/s", "burst": 1}}
    listeners = {"main": {"address": "127.0.0.1:8080", "plaintext": "test", "address_limit": limit}}
    findings = lint(
        "rate-limit-missing", listeners=listeners, routes={"open": public(), "known": route("/b")}
    )
    assert [one.where for one in findings] == ["routes.known"]


@pytest.mark.parametrize(
    ("more", "found"),
    [({}, True), ({"authorize": {"scopes": "read", "when": "path.account == principal.claims.plan"}}, False)],
)
def test_a_condition_that_reads_the_tenant_is_a_check(lint: Lint, more: dict[str, Any], found: bool) -> None:
    assert bool(lint("tenant-unchecked", routes={"one": route("/accounts/{account}", **more)})) is found


def test_a_condition_that_reads_another_variable_is_none(lint: Lint) -> None:
    rule = {"scopes": "read", "when": "path.account_kind == principal.claims.plan"}
    found = lint(
        "tenant-unchecked",
        routes={"one": route("/accounts/{account}/{account_kind}", authorize=rule)},
    )
    assert len(found) == 1
    assert "`{account}`" in found[0].message


def test_tokens_for_services_are_fetched_with_tls(lint: Lint, surroundings: Path) -> None:
    def of(**token: Any) -> list[str]:
        secret = {"file": str(surroundings / "client.secret")}
        service = {
            "endpoints": "https://s.internal",
            "token": {
                "type": "client_credentials", "client": {"id": "gateway", "secret": secret}, "audience": "s",
                **token,
            },
        }  # fmt: skip
        found = lint("plaintext-trust", services={"s": service}, routes={"one": public()})
        return [one.where for one in found]

    assert of(endpoint="https://id.internal/token") == []
    assert of(endpoint="http://127.0.0.1:9000/token", plaintext="x") == []
    assert of(endpoint="http://id.internal/token", plaintext="x") == ["services.s.token.endpoint"]
    assert of(issuer="http://id.internal", plaintext="x") == ["services.s.token.issuer"]


def test_endpoints_of_the_same_machine_may_be_plain(lint: Lint) -> None:
    def of(url: str) -> list[Finding]:
        return lint(
            "plaintext-service",
            services={"s": {"endpoints": url, "plaintext": "x"}},
            routes={"one": public()},
        )

    assert of("http://127.0.0.1:9000") == of("http://localhost:9000") == of("http://[::1]:9000") == []
    assert of("http://s.internal:9000") != []
    assert of("http://10.0.0.7:9000") != []


def test_what_is_passed_on_unopened_can_be_told_nothing(lint: Lint) -> None:
    hosts = {"db.example.com": {"service": "db"}}
    listeners = {
        "raw": {"address": "127.0.0.1:5433", "passthrough": {"hosts": hosts, "allow": ["10.0.0.0/8"]}}
    }
    services = {"db": {"endpoints": ["https://db-1.internal:5432", "https://db-2.internal:5432"]}}
    for rule in ("service-unverified", "health-check-missing"):
        assert lint(rule, listeners=listeners, services=services, identity_providers={}, routes={}) == []
        both = {
            **listeners,
            "main": {"address": "127.0.0.1:8080", "plaintext": "test"},
        }
        routes = {"one": public(service="db", listeners="main")}
        assert len(lint(rule, listeners=both, services=services, identity_providers={}, routes=routes)) == 1


@pytest.mark.parametrize(("mode", "found"), [("required", False), ("optional", True)])
def test_who_needs_a_certificate_for_the_handshake_cannot_guess(lint: Lint, mode: str, found: bool) -> None:
    tls = {
        "certificates": {"chain": "certs/edge.pem", "key": {"file": "certs/edge.key"}},
        "client_certificates": {"mode": mode, "ca": "certs/internal-ca.pem"},
    }
    listeners = {"mesh": {"address": "0.0.0.0:8443", "tls": tls}}
    assert bool(lint("address-limit-missing", listeners=listeners, routes={"one": public()})) is found


@pytest.mark.parametrize(
    ("schema", "methods", "found"),
    [
        ({"properties": {"item": {"type": "string"}}}, "POST", True),
        ({"properties": {"item": {"type": "string"}}}, "GET", False),  # nothing is written
        ({"properties": {"item": {"type": "string"}}, "additionalProperties": False}, "POST", False),
        ({"allOf": [{"properties": {"item": True}}], "unevaluatedProperties": False}, "POST", False),
        ({"type": "array", "items": {"properties": {"item": True}}}, "PUT", True),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "POST",
            False,
        ),  # a table of numbers
    ],
)
def test_schemas_that_are_open(
    lint: Lint, surroundings: Path, schema: dict[str, Any], methods: str, found: bool
) -> None:
    (surroundings / "order.schema.json").write_text(json.dumps(schema))
    validation = {"json_schema": "order.schema.json"}
    findings = lint(
        "unknown-properties", routes={"one": route(methods=methods, request_validation=validation)}
    )
    assert [one.where for one in findings] == (["routes.one.request_validation"] if found else [])


@pytest.mark.parametrize("more", [{}, {"circuit_breaker": {"failures": 3}}, {"outlier_detection": {}}])
def test_an_endpoint_that_requests_find_failing_is_left_alone(lint: Lint, more: dict[str, Any]) -> None:
    services = {"s": {"endpoints": ["https://s-1.internal", "https://s-2.internal"], **more}}
    assert bool(lint("health-check-missing", services=services, routes={"one": public()})) is not bool(more)


def test_a_role_is_used_through_what_it_includes(lint: Lint) -> None:
    roles = {"clerk": {"permissions": "a"}, "boss": {"includes": "clerk"}, "idle": {"permissions": "b"}}
    findings = lint("unused-role", roles=roles, routes={"one": route(authorize={"permissions": "a"})})
    assert [one.where for one in findings] == ["roles.idle"]


# cors-any-origin, cors-credentials-wide

PAGE = "https://shop.example.com"
BY_HAND = {"set": {"access-control-allow-origin": "*"}}


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (route(cors={"origins": "any"}), True),
        (route(cors={"origins": "null"}), True),
        (route(cors={"origins": {"any_of": [PAGE, "null"]}}), True),
        (route(cors={"origins": PAGE}), False),
        (public(cors={"origins": "any"}), False),
        (route(response_headers=BY_HAND), True),
        (public(response_headers=BY_HAND), False),
        (
            public(response_headers={"set": {**BY_HAND["set"], "access-control-allow-credentials": "true"}}),
            True,
        ),
        (route(response_headers={"add": {"access-control-allow-origin": PAGE}}), False),
    ],
)
def test_cors_any_origin(lint: Lint, one: dict[str, Any], found: bool) -> None:
    assert bool(lint("cors-any-origin", routes={"one": one})) == found


@pytest.mark.parametrize(
    ("origins", "production", "found"),
    [
        ("https://*.example.com", False, True),
        (PAGE, True, False),
        ("http://shop.example.com", False, True),
        ("http://localhost:3000", False, False),
        ("http://127.0.0.1:3000", False, False),
        ("http://[::1]:3000", False, False),
        ("http://localhost:3000", True, True),
        ("http://localhost.example.com", False, True),
    ],
)
def test_cors_credentials_wide(lint: Lint, origins: str, production: bool, found: bool) -> None:
    parts = {"environment": "production"} if production else {}
    routes = {"one": route(cors={"origins": origins, "credentials": True})}
    assert bool(lint("cors-credentials-wide", routes=routes, **parts)) == found
    del routes["one"]["cors"]["credentials"]
    assert not lint("cors-credentials-wide", routes=routes, **parts)


# address-only, broad-network, by lists

LISTS = {"office": {"networks": "192.0.2.0/24"}, "wide": {"networks": "10.0.0.0/7"}}


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (public(address_filter={"allow": "office"}), True),
        (public(address_filter={"deny": "office"}), False),
        (route(address_filter={"allow": "office"}), False),
    ],
)
def test_address_only_by_a_list(lint: Lint, one: dict[str, Any], found: bool) -> None:
    findings = lint("address-only", routes={"one": one}, address_lists=LISTS)
    assert [finding.where for finding in findings] == (["routes.one.address_filter"] if found else [])


def test_address_only_by_all_listeners(lint: Lint) -> None:
    listener = {"address": "127.0.0.1:8080", "plaintext": "test"}
    own = {**listener, "address": "127.0.0.1:8081"}
    one = public(listeners={"any_of": ["a", "b"]})
    for filters, found in (
        (({"allow": "office"},) * 2, True),
        (({"allow": "office"}, {"deny": "office"}), False),
    ):
        both = {"a": {**listener, "address_filter": filters[0]}, "b": {**own, "address_filter": filters[1]}}
        assert bool(lint("address-only", routes={"one": one}, address_lists=LISTS, listeners=both)) == found


def test_broad_network_on_a_list(lint: Lint) -> None:
    routes = {
        "one": route(address_filter={"allow": "wide"}),
        "two": route("/b", address_filter={"deny": "office"}),
    }
    findings = lint("broad-network", routes=routes, address_lists=LISTS)
    assert [one.where for one in findings] == ["address_lists.wide.networks"]
    assert not lint(
        "broad-network", routes={"one": route(address_filter={"deny": "wide"})}, address_lists=LISTS
    )


# unused-address-list, graphql-introspection, geo-database-old


@pytest.mark.parametrize(
    "used",
    [
        {"address_filter": {"allow": "office"}},
        {"address_filter": {"deny": {"any_of": ["wide", "office"]}}},
        {"geo_filter": {"countries": {"deny": "KP"}, "except": {"addresses": "office"}}},
    ],
)
def test_unused_address_list(lint: Lint, used: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"geo": {"country": "none.mmdb"}, "address_lists": {"office": LISTS["office"]}}
    if "wide" in str(used):
        parts["address_lists"]["wide"] = {"networks": "203.0.113.0/24"}
    (found,) = lint("unused-address-list", routes={"one": route()}, **{**parts, "address_lists": LISTS})[:1]
    assert found.where == "address_lists.office"
    assert not lint("unused-address-list", routes={"one": route(**used)}, **parts)
    listener = {"main": {"address": "127.0.0.1:8080", "plaintext": "test", **used}}
    assert not lint("unused-address-list", routes={"one": route()}, listeners=listener, **parts)


@pytest.mark.parametrize(
    ("production", "graphql", "found"),
    [
        (True, {"introspection": "allow"}, True),
        (True, {}, False),
        (True, {"introspection": "refuse"}, False),
        (False, {"introspection": "allow"}, False),
    ],
)
def test_graphql_introspection(lint: Lint, production: bool, graphql: dict[str, Any], found: bool) -> None:
    parts = {"environment": "production"} if production else {}
    one = route(request_validation={"graphql": graphql})
    one["match"]["methods"] = "POST"
    findings = lint("graphql-introspection", routes={"one": one}, **parts)
    assert [one.where for one in findings] == (
        ["routes.one.request_validation.graphql.introspection"] if found else []
    )


LOGIN: dict[str, Any] = {"account": {"pointer": "/variables/user"}}


@pytest.mark.parametrize(
    ("path", "guard", "more", "found"),
    [
        ("/graphql", {"passed": {"pointer": "/data/login/token"}}, {}, True),
        ("/graphql", {"failed": {"pointer": "/errors"}}, {}, True),
        ("/api/GraphQL/", {"failed": {"pointer": "/errors"}}, {}, True),
        ("/v1/graphql.php", {"failed": {"pointer": "/errors"}}, {}, True),
        ("/gql", {"failed": {"pointer": "/errors"}}, {}, True),
        ("/login", {"failed": {"pointer": "/errors"}}, {"rewrite": {"path": "/graphql"}}, True),
        ("/login", {"failed": {"pointer": "/errors"}}, {"request_validation": {"graphql": {}}}, True),
        ("/graphql", {"failed": {"pointer": "/errors"}}, {"request_validation": {"graphql": {"persisted": "allow"}}}, True),
        ("/graphql", {"failed": {"pointer": "/errors"}}, {"request_validation": {"graphql": {"persisted": "only"}}}, False),
        ("/graphql", {"failed": {"status": 200}}, {}, False),
        ("/graphql", {}, {}, False),
        ("/login", {"passed": {"pointer": "/token"}}, {}, False),
        ("/{graphql}", {"passed": {"pointer": "/token"}}, {}, False),
        ("/sgql", {"passed": {"pointer": "/token"}}, {}, False),
    ],
)  # fmt: skip
def test_login_graphql(
    lint: Lint, path: str, guard: dict[str, Any], more: dict[str, Any], found: bool
) -> None:
    one = public(path, "POST", login_guard={**LOGIN, **guard}, **more)
    findings = lint("login-graphql", routes={"one": one})
    assert [one.where for one in findings] == (["routes.one.login_guard"] if found else [])
    pointer = str((guard.get("passed") or guard.get("failed", {})).get("pointer"))
    assert all(f"`{pointer}`" in one.message and "persisted: only" in one.message for one in findings)


def test_login_graphql_where_a_group_says_what_requests_are(lint: Lint) -> None:
    groups = {"api": {"hosts": "any", "authenticate": "id", "request_validation": {"graphql": {}}}}
    one = {
        **route("/in", "POST", None, login_guard={**LOGIN, "passed": {"pointer": "/ok"}}, authenticate=None),
        "group": "api",
    }
    assert [one.where for one in lint("login-graphql", routes={"one": one}, groups=groups)] == [
        "routes.one.login_guard"
    ]


@pytest.mark.parametrize(
    ("crawlers", "found"),
    [
        ({"undecided": "pass"}, "googlebot"),
        ({"undecided": "pass", "allow": "bingbot"}, "bingbot"),
        ({"undecided": "pass", "allow": "none", "own": {"mine": {"agent": "MineBot", "domains": "mine.example"}}}, "mine"),
        ({"undecided": "pass", "allow": "none", "own": {"mine": {"agent": "MineBot", "addresses": "192.0.2.0/24"}}}, None),
        ({"undecided": "pass", "allow": "none"}, None),
        ({"undecided": "refuse"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_crawlers_undecided(lint: Lint, crawlers: dict[str, Any], found: str | None) -> None:
    findings = lint("crawlers-undecided", routes={"one": public(bot_filter={"crawlers": crawlers})})
    assert [one.where for one in findings] == (["routes.one.bot_filter"] if found else [])
    assert all(f"`{found}`" in one.message and "silent" in one.message for one in findings)


def test_geo_database_old(lint: Lint, tmp_path: Path) -> None:
    from tests.support.geo import database

    file = database(
        tmp_path / "country.mmdb", "country", {"192.0.2.0/24": ("DE", "EU")}, built_s=1_790_000_000
    )
    parts: dict[str, Any] = {"routes": {"one": route()}}
    for geo, found in (
        ({"country": str(file), "max_age": "7d"}, ["geo.country"]),
        ({"country": str(file), "max_age": "300d"}, []),
        ({"asn": str(tmp_path / "none.mmdb")}, []),
    ):
        assert [one.where for one in lint("geo-database-old", geo=geo, **parts)] == found
    for damaged in (
        b"",
        b"\xab\xcd\xefMaxMind.com",
        b"\xab\xcd\xefMaxMind.com\x4bbuild_epoch",
        b"\x4bbuild_epoch\x09\x02",
    ):
        file.write_bytes(damaged)
        assert not lint("geo-database-old", geo={"country": str(file), "max_age": "7d"}, **parts)


@pytest.mark.parametrize("guard", [None, {"account": {"form": "user"}}])
def test_a_guarded_login_is_no_write_without_a_caller(lint: Lint, guard: dict[str, Any] | None) -> None:
    login = public("/login", "POST", **({"login_guard": guard} if guard else {}))
    assert bool(lint("public-write", routes={"login": login})) is (guard is None)
