"""What looks like something else to `yett lint` and is found all the same; and what is left alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.policy.test_lint_rules import Lint, lint, public, route, surroundings  # noqa: F401
from yett.config import compile_file
from yett.policy.linter import conditions
from yett.policy.linter.context import Context
from yett.policy.linter.run import run

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


@pytest.mark.parametrize(
    "name", ["prod", "live", "Production", "PROD", "production-eu", "prod2", "productoin", "prd"]
)
def test_an_environment_that_reads_like_production(lint: Lint, name: str) -> None:  # noqa: F811
    (found,) = lint("environment-unknown", environment=name, routes={"one": route()})
    assert (
        found.where == "environment"
        and f"ask nothing of `{name}`; did you mean `production`?" in found.message
    )


@pytest.mark.parametrize("name", ["production", "staging", "test", "preprod", "pre-production", "nonprod", "non-production", "eu-pre-prod", "delivery", "products", None])  # fmt: skip
def test_other_environments_are_left_alone(lint: Lint, name: str | None) -> None:  # noqa: F811
    parts = {"environment": name} if name else {}
    assert lint("environment-unknown", routes={"one": route()}, **parts) == []


NETWORK = "cidr('10.0.0.0/8').containsIP(connection.address)"


@pytest.mark.parametrize(
    ("condition", "asks"),
    [
        ("true", set()),
        ("principal.subject != ''", set()),
        ('"" != principal.subject', set()),
        ("(principal.subject != '') && true", set()),
        ("principal.claims.plan == 'gold' || true", set()),
        ("1 == 1", set()),
        ("!(principal.subject == 'ann' || true || false)", {"when"}),
        ("principal.subject == principal.subject", set()),
        ("size(principal.subject) > 0", set()),
        ("principal.subject == 'ann'", {"when"}),
        ("principal.subject != 'ann'", {"when"}),
        ("principal.claims.plan == '|| true ||'", {"when"}),
        (NETWORK, {"addresses"}),
        (f"({NETWORK} || cidr(\"192.0.2.0/24\").containsIP(connection.address)) && true", {"addresses"}),
        (f"{NETWORK} && principal.claims.plan == 'gold'", {"addresses", "when"}),
        (f"{NETWORK} || principal.claims.plan == 'gold'", {"when"}),
        (f"!{NETWORK}", {"when"}),
    ],
)  # fmt: skip
def test_what_a_condition_asks_for(lint: Lint, condition: str, asks: set[str]) -> None:  # noqa: F811
    assert conditions.asked({"source": "route one", "when": condition}) == asks
    routes = {"one": route(authorize={"when": condition})}
    assert bool(lint("authenticated-only", routes=routes)) is (asks == set())
    assert bool(lint("address-only", routes=routes)) is (asks == {"addresses"})


def test_a_scope_beside_a_condition_is_enough(lint: Lint) -> None:  # noqa: F811
    for condition in ("true", NETWORK):
        routes = {"one": route(authorize={"when": condition, "scopes": "read"})}
        assert lint("authenticated-only", routes=routes) == lint("address-only", routes=routes) == []


@pytest.mark.parametrize(
    ("networks", "found"),
    [("0.0.0.0/1", True), (["0.0.0.0/2", "64.0.0.0/2"], True), (["10.0.0.0/8", "::/3"], True), ("10.0.0.0/8", False), ("192.0.2.0/24", False)],
)  # fmt: skip
def test_nearly_everyone_is_no_network(lint: Lint, networks: Any, found: bool) -> None:  # noqa: F811
    keys = {"type": "api_key", "keys": "partners.keys.yaml"}
    one = route("/a", "POST", authenticate="keys", authorize={"scopes": "read", "addresses": networks})
    findings = lint("api-key-only", identity_providers={"keys": keys}, routes={"one": one})
    assert bool(findings) is found


@pytest.mark.parametrize(("end", "found"), [("2099-01-01T00:00:00Z", True), ("2027-06-30T00:00:00Z", False)])
def test_a_key_of_signed_requests_that_is_good_for_years(
    lint: Lint,  # noqa: F811
    surroundings: Path,  # noqa: F811
    end: str,
    found: bool,
) -> None:
    (surroundings / "signer.pem").write_text(SIGNER)
    key = {
        "algorithm": "ed25519",
        "public_key": "signer.pem",
        "client": "acme",
        "scopes": "read",
        "expires": end,
    }
    provider = {"type": "signed_request", "keys": {"k1": key}}
    findings = lint(
        "long-lived-key",
        identity_providers={"signed": provider},
        routes={"one": route(authenticate="signed")},
    )
    assert [one.where for one in findings] == (["identity_providers.signed.keys.k1"] if found else [])


SIGNER = (Path(__file__).parents[1] / "config" / "cases" / "files" / "signer.pub.pem").read_text()


def test_a_ceiling_that_holds_nobody_back(lint: Lint) -> None:  # noqa: F811
    for size, found in (("4GiB", True), ("65MiB", True), ("64MiB", False)):
        findings = lint(
            "body-limit-large", defaults={"ceiling": {"limits": {"body": size}}}, routes={"one": route()}
        )
        assert [one.where for one in findings] == (["defaults.ceiling.limits.body"] if found else []), size


BEHIND = {
    "main": {
        "address": "127.0.0.1:8080", "plaintext": "test", "trusted_proxies": {"addresses": "192.0.2.1", "header": "x-forwarded-for"},
    }
}  # fmt: skip


def test_metadata_and_endpoints_without_tls(lint: Lint, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("CLIENT_SECRET", "client-secret-client-secret-0123")
    monkeypatch.setenv("SESSION_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    discovered = {"type": "jwt", "issuer": "https://id.example", "audience": "a", "plaintext": "x", "discovery": {"url": "http://other.example/m"}, "jwks_hosts": ["other.example"]}  # fmt: skip
    findings = lint("plaintext-trust", identity_providers={"id": discovered}, routes={"one": route()})
    assert [one.where for one in findings] == ["identity_providers.id.discovery.url"]
    people = {
        "type": "oidc", "issuer": "https://id.example", "plaintext": "x", "client": {"id": "gateway", "secret": {"env": "CLIENT_SECRET"}},
        "session": {"keys": [{"env": "SESSION_KEY"}]},
        "endpoints": {"authorization": "https://id.example/a", "token": "http://id.example/t", "jwks": "http://id.example/k"},
    }  # fmt: skip
    findings = lint(
        "plaintext-trust",
        listeners=BEHIND,
        identity_providers={"people": people},
        routes={"one": route(authenticate="people")},
    )
    place = "identity_providers.people.endpoints"
    assert sorted(one.where for one in findings) == [f"{place}.jwks", f"{place}.token"]


def test_a_token_in_policy_tests(lint: Lint, surroundings: Path) -> None:  # noqa: F811
    test = f"version: 1\nbase: http://x.test\ntests:\n  a: {{request: GET /a, headers: {{authorization: Bearer {TOKEN}}}, expect: credential_missing}}\n"
    (surroundings / "shop.tests.yaml").write_text(test)
    (found,) = lint("secret-in-file", tests="shop.tests.yaml", routes={"one": route()})
    assert found.file.endswith("shop.tests.yaml") and (found.line, TOKEN in found.message) == (4, False)
    assert found.severity == "warning"
    (surroundings / "shop.tests.yaml").write_text(test.replace(TOKEN, "x"))
    assert lint("secret-in-file", tests="shop.tests.yaml", routes={"one": route()}) == []


def test_a_token_in_a_configuration_in_python(tmp_path: Path) -> None:
    document = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:8080", "plaintext": "test"}},
        "services": {"s": {"endpoints": "https://s.internal"}},
        "routes": {"one": public(request_headers={"set": {"x-other": TOKEN}})},
    }
    file = tmp_path / "gateway.py"
    for value, found in ((TOKEN, 1), ("plain", 0)):
        text = json.dumps(json.dumps(document).replace(TOKEN, value))
        file.write_text(
            f"import json\nfrom yett.config.gateway import Gateway\ngateway = Gateway.model_validate(json.loads({text}))\n"
        )
        findings = run(Context(compile_file(file), NOW), ["secret-in-file"]).findings
        assert len(findings) == found
        assert all(one.where == "routes.one.request_headers.set.x-other" for one in findings)
