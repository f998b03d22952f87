"""The linter: places, groups, production, exceptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from yett.config import compile_file
from yett.errors import ConfigurationError
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Severity
from yett.policy.linter.run import Report, run

NOW = datetime(2026, 11, 29, tzinfo=UTC)
HEAD = """\
version: 1
listeners: {local: {address: 127.0.0.1:8080, plaintext: "same host"}}
identity_providers:
  id: {type: jwt, issuer: https://id.example, audience: shop, jwks: {url: https://id.example/jwks.json}}
services:
  origin: {endpoints: http://127.0.0.1:9000, plaintext: "same host"}
"""
GROUP = """\
groups:
  shop: {hosts: any, authenticate: id, service: origin, authorize: {scopes: read}}
routes:
  one: {group: shop, match: {path: /one, methods: GET}}
  two: {group: shop, match: {path: /two, methods: GET}}
"""
Lint = Callable[..., Report]


@pytest.fixture
def lint(tmp_path: Path) -> Lint:
    file = tmp_path / "gateway.yaml"

    def ask(text: str, *only: str, **more: Any) -> Report:
        file.write_text(text)
        return run(Context(compile_file(file), NOW), only, **more)

    return ask


def ids(report: Report) -> list[str]:
    return [one.rule.id for one in report.findings]


def test_a_finding_of_all_routes_of_a_group_is_one_at_the_group(lint: Lint) -> None:
    (one,) = lint(HEAD + GROUP, "rate-limit-missing").findings
    assert (one.line, one.column, one.where, one.routes) == (8, 3, "groups.shop", ("one", "two"))


def test_what_the_group_has_is_not_asked_of_its_routes(lint: Lint) -> None:
    limited = GROUP.replace(
        "service: origin", "service: origin, rate_limit: {all: {rate: 1/s, burst: 1, key: principal}}"
    )
    assert lint(HEAD + limited, "rate-limit-missing").findings == ()


def test_one_route_of_a_group_is_found_by_itself(lint: Lint) -> None:
    text = GROUP.replace(
        "path: /two, methods: GET}",
        "path: /two, methods: GET}, rate_limit: {own: {rate: 1/s, burst: 1, key: principal}}",
    )
    (one,) = lint(HEAD + text, "rate-limit-missing").findings
    assert (one.line, one.where, one.routes) == (10, "routes.one", ())


@pytest.mark.parametrize(("environment", "severity"), [("production", "error"), ("staging", "warning")])
def test_a_missing_limit_is_an_error_in_production(lint: Lint, environment: str, severity: str) -> None:
    (one,) = lint(f"{HEAD}environment: {environment}\n{GROUP}", "rate-limit-missing").findings
    assert one.severity == severity


def test_a_reason_stands_for_a_limit_and_is_listed(lint: Lint, tmp_path: Path) -> None:
    text = HEAD + GROUP.replace("service: origin", 'service: origin, rate_limit: {none: "constants"}')
    assert lint(text, "rate-limit-missing").findings == ()
    assert (
        "callers are not limited on routes `one` and `two`: constants"
        in compile_file(tmp_path / "gateway.yaml").weakened
    )


def test_a_reason_changes_nothing_of_what_is_served(lint: Lint, tmp_path: Path) -> None:
    lint(HEAD + GROUP)
    plain = compile_file(tmp_path / "gateway.yaml").ir
    lint(HEAD + GROUP.replace("service: origin", 'service: origin, rate_limit: {none: "constants"}'))
    assert compile_file(tmp_path / "gateway.yaml").ir == plain


def test_places_of_included_files(tmp_path: Path) -> None:
    main, part = tmp_path / "gateway.yaml", tmp_path / "part.yaml"
    main.write_text(HEAD.replace("version: 1\n", "version: 1\ninclude: part.yaml\n") + GROUP)
    part.write_text("services:\n  # left over\n  legacy: {endpoints: http://127.0.0.1:9001, plaintext: x}\n")
    (one,) = run(Context(compile_file(main), NOW), ["unused-service"]).findings
    assert (one.file, one.line, one.column) == (str(part), 3, 3)


def test_a_configuration_in_python_is_linted_by_name(tmp_path: Path) -> None:
    file = tmp_path / "gateway.py"
    file.write_text(
        "from yett import Gateway, Listener, Match, Respond, Route, Service\n"
        "gateway = Gateway(listeners={'l': Listener(address='127.0.0.1:1', plaintext='x')},"
        "services={'legacy': Service(endpoints='https://legacy.internal')},"
        "routes={'r': Route(match=Match(path='/a', methods='GET', hosts='any'), access='public', respond=Respond())})\n"
    )
    (one,) = run(Context(compile_file(file), NOW), ["unused-service"]).findings
    assert str(one).startswith(f"{file}: services.legacy: warning: nothing leads to `legacy`")


# exceptions


def ignoring(**entry: Any) -> str:
    return "lint: " + json.dumps({"ignore": {"rate-limit-missing": entry}}) + "\n"


@pytest.mark.parametrize("at", ["any", "groups.shop", ["routes.one", "routes.two"]])
def test_an_exception_accepts(lint: Lint, at: Any) -> None:
    report = lint(HEAD + GROUP + ignoring(at=at, reason="constants"))
    assert "rate-limit-missing" not in ids(report)
    assert "ignore-unused" not in ids(report)
    assert [(one.rule.id, reason) for one, reason in report.accepted] == [("rate-limit-missing", "constants")]


def test_an_exception_for_one_route_leaves_the_other(lint: Lint) -> None:
    report = lint(HEAD + GROUP + ignoring(at="routes.one", reason="a constant"), "rate-limit-missing")
    assert [one.where for one in report.findings] == ["routes.two"]


def test_an_exception_that_matches_nothing_is_found(lint: Lint) -> None:
    report = lint(HEAD + GROUP + ignoring(at=["routes.one", "routes.gone"], reason="a constant"))
    (one,) = [one for one in report.findings if one.rule.id == "ignore-unused"]
    assert "finds nothing at `routes.gone`" in one.message
    assert one.where == "lint.ignore.rate-limit-missing.at.1"


def test_an_exception_for_an_unknown_rule_is_found(lint: Lint) -> None:
    text = ignoring(at="any", reason="x").replace("rate-limit-missing", "rate-limits-missing")
    (one,) = [one for one in lint(HEAD + GROUP + text).findings if one.rule.id == "ignore-unused"]
    assert one.message == "there is no rule `rate-limits-missing`; did you mean `rate-limit-missing`?"


@pytest.mark.parametrize(("until", "counts"), [("2026-11-29", True), ("2026-11-28", False)])
def test_an_exception_ends_with_its_last_day(lint: Lint, until: str, counts: bool) -> None:
    found = ids(lint(HEAD + GROUP + ignoring(at="any", reason="for now", until=until)))
    assert ("rate-limit-missing" in found) is not counts
    assert ("ignore-expired" in found) is not counts


def test_a_gateway_that_starts_does_not_depend_on_the_day(lint: Lint) -> None:
    text = (
        HEAD + "environment: production\n" + GROUP + ignoring(at="any", reason="for now", until="2026-11-28")
    )
    assert lint(text, gate=True).of(Severity.ERROR) != []
    assert lint(text, gate=True, forever=True).of(Severity.ERROR) == []


def test_exceptions_have_a_reason(lint: Lint) -> None:
    with pytest.raises(ConfigurationError, match="`reason` is missing: why"):
        lint(HEAD + GROUP + ignoring(at="any"))


def test_secrets_are_found_in_comments_and_never_shown(lint: Lint) -> None:
    secret = "ghp_" + "a1B2" * 9
    (one,) = lint(HEAD + f"# curl -H 'authorization: {secret}'\n" + GROUP, "secret-in-file").findings
    assert (one.line, one.column) == (7, 27)
    assert secret not in str(one)


def test_each_line_with_a_secret_is_named_once(lint: Lint) -> None:
    secret = "ghp_" + "a1B2" * 9
    lines = [
        "# https://a.example",
        f"# {secret} https://b.example xox",
        "#",
        f"# yett_ https://c.example {secret}",
        "# eyJ",
    ]
    found = lint(HEAD + "\n".join(lines) + "\n" + GROUP + f"# {secret}", "secret-in-file").findings
    first = HEAD.count("\n") + 1
    last = first + len(lines) + GROUP.count("\n")
    assert [(one.line, one.column) for one in found] == [(first + 1, 3), (first + 3, 27), (last, 3)]
