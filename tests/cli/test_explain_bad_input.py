"""yett explain: questions that are none, damaged logs, and what a log cannot tell; each in words, with nothing secret in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from yett.cli.app import app

OK = {"request_id": "r", "method": "GET", "host": "x.test", "path": "/pub/1", "listener": "main", "status": 200, "client": "192.0.2.1", "time": "2026-11-28T12:00:00Z"}  # fmt: skip
CALLER = {"provider": "id", "subject": "ann", "tenant": "acme"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Routes that ask for what a log has, and for what it has not."""
    tmp_path = tmp_path_factory.mktemp("explain")
    keys = tmp_path / "jwks.json"
    keys.write_text(
        '{"keys": [{"kty": "OKP", "kid": "a", "alg": "EdDSA", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
    )
    base = {"authenticate": "id", "service": "origin"}
    config = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        "identity_providers": {"id": {
            "type": "jwt", "issuer": "https://id.test", "audience": "shop", "jwks": str(keys),
            "claims": {"tenant": "tenant", "roles": "roles"},
        }},
        "services": {"origin": {"endpoints": "https://origin.test"}},
        "routes": {
            "pub": {"match": {"hosts": "any", "path": "/pub/{id}", "methods": "GET"}, "access": "public", "service": "origin"},
            "scoped": {"match": {"hosts": "any", "path": "/scoped", "methods": "GET"}, "authorize": {"scopes": "read"}, **base, "tenant": {"none": "x"}},
            "network": {"match": {"hosts": "any", "path": "/network", "methods": "GET"}, "authorize": {"scopes": "read", "addresses": "10.0.0.0/8"}, **base, "tenant": {"none": "x"}},
            "when": {"match": {"hosts": "any", "path": "/when", "methods": "GET"}, "authorize": {"when": "principal.tenant == 'acme' && query.a == '1'"}, **base, "tenant": {"none": "x"}},
            "banned": {"match": {"hosts": "any", "path": "/banned", "methods": "GET"}, "access": "authenticated", "deny": {"r": {"roles": "bad"}}, **base, "tenant": {"none": "x"}},
            "tenants": {"match": {"hosts": "any", "path": "/tenants", "methods": "GET"}, "access": "authenticated", **base, "tenant": "query.tenant"},
            "json": {"match": {"hosts": "any", "path": "/json", "methods": "POST"}, "access": "public", "service": "origin", "request_validation": {"body": "required", "content_types": "application/json"}},
        },
        "roles": {"bad": {"permissions": "any"}},
    }  # fmt: skip
    made = tmp_path / "gateway.yaml"
    made.write_text(json.dumps(config))
    return made


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def past(file: Path, line: dict[str, Any], *options: str) -> Result:
    log = file.with_name("log.jsonl")
    log.write_text(json.dumps(line) + "\n")
    return ask(file, "--request-id", "r", "--log", log, *options)


URL = "http://x.test/pub/1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((URL, "--address", "999"), "`999` is no address; write one such as `192.0.2.1`"),
        ((URL, "--address", "fe80::1%eth0"), "is no address"),
        ((URL, "--time", "1969-01-01T00:00:00Z"), "a moment before 1970 is none that a request can come at"),
        (("http://x.test/pub/\udcff",), "the URL has bytes that are not UTF-8; in a URL write them as `%FF`"),
        ((URL, "-H", "x-a: \udcff"), "the header field `x-a` has bytes that are not UTF-8"),
        ((URL, "-X", "G\udcff"), "the method has bytes that are not UTF-8"),
        ((URL, "-H", "authorization Bearer SECRET"), "a header has no `:` after its name"),
        (("http:///pub/1?token=SECRET",), "`http:///pub/1` is no URL"),
        (("ftp://bob:SECRET@x.test/a?b=SECRET#SECRET",), "`ftp://x.test/a` is no URL"),
        (("bob:SECRET@x.test/a",), "`x.test/a` is neither a URL nor a route"),
        (("bob:SECRET@http://x.test/a",), "`http://x.test/a` is no URL"),
        (("http:/bob:SECRET@://a",), "`http:/://a` is no URL"),
        (("pub?token=SECRET",), "`pub` is neither a URL nor a route"),
        (("/pub/1?token=SECRET",), "`/pub/1` is a path"),
    ],
)  # fmt: skip
def test_a_question_that_is_none(file: Path, arguments: tuple[str, ...], message: str) -> None:
    done = ask(file, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr and "SECRET" not in done.stderr


def test_no_user_of_a_url_is_printed(file: Path) -> None:
    for options in ((), ("--format", "json")):
        done = ask(file, "http://bob:SECRET@x.test/pub/1?a=SECRET#SECRET", *options)
        assert done.exit_code == 1
        assert "http://x.test/pub/1" in done.stdout
        assert "SECRET" not in done.output and "bob" not in done.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"client": None}, "the line of this request has no `client`"),
        ({"client": "bad"}, "`bad` is no address"),
        ({"client": 7}, "the line of this request is damaged: its `client` is none"),
        ({"method": 5}, "the line of this request is damaged: its `method` is none"),
        ({"status": "200"}, "the line of this request is damaged: its `status` is none"),
        ({"path": ["/"]}, "the line of this request is damaged: its `path` is none"),
        ({"listener": "other"}, "came to listener `other`, which this configuration has not"),
        ({**CALLER, "subject": {"a": 1}}, ""),
    ],
)
def test_a_damaged_line_is_said_to_be_one(file: Path, change: dict[str, Any], message: str) -> None:
    line = {key: value for key, value in {**OK, **change}.items() if value is not None}
    done = past(file, line)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if message:
        assert done.exit_code == 2 and message in done.stderr


def test_a_line_that_is_nested_too_deeply_is_damaged(file: Path) -> None:
    log = file.with_name("log.jsonl")
    log.write_text('{"request_id": "r", "a": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    done = ask(file, "--request-id", "r", "--log", log)
    assert done.exit_code == 2 and "has no request `r`; 1 lines that may have it are damaged" in done.stderr


@pytest.mark.parametrize(
    ("line", "phase", "missing"),
    [
        ({"path": "/scoped", **CALLER}, "authorize", "scopes, roles and other claims of the caller"),
        ({"path": "/when", **CALLER}, "authorize", "the query"),
        ({"path": "/tenants", **CALLER}, "authorize", "the query"),
        ({"path": "/network", **CALLER, "client": "10.0.0.1"}, "authorize", "scopes"),
        ({"path": "/scoped"}, "authenticate", "a credential, where one was refused"),
        ({"path": "/json", "method": "POST"}, "validate", "header fields"),
        ({"path": "/banned", **CALLER, "status": 403, "reason": "policy_denied"}, "", "scopes, roles"),
    ],
)
def test_what_the_log_lacks_is_no_refusal(file: Path, line: dict[str, Any], phase: str, missing: str) -> None:
    """The log says what became of it, and the configuration is the one that it was."""
    done = past(file, {**OK, **line})
    assert "REFUSED" not in done.stdout and "The client gets" not in done.stdout, done.stdout
    row = next(one for one in done.stdout.splitlines() if "UNKNOWN" in one)
    assert row.startswith(phase) and "this cannot be told from the log, which does not have " in row
    assert missing in row
    assert done.exit_code == int("reason" in line)
    decision = json.loads(past(file, {**OK, **line}, "--format", "json").stdout)
    assert decision["outcome"] == "unknown" and decision["undecided"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"path": "/network", **CALLER}, "scope_missing"),
        ({"path": "/gone"}, "route_not_found"),
        ({"path": "/scoped", **CALLER, "status": 403, "reason": "scope_missing"}, "scope_missing"),
    ],
)
def test_what_the_log_has_refuses(file: Path, line: dict[str, Any], reason: str) -> None:
    """A part that is known and fails, and what the log says itself."""
    done = past(file, {**OK, **line})
    assert f"REFUSED  {reason}" in done.stdout, done.stdout
    assert done.exit_code == int("reason" in line)


def test_an_answer_of_the_service_is_no_refusal(file: Path) -> None:
    done = past(file, {**OK, "status": 404})
    assert done.exit_code == 0 and "forward       allow" in done.stdout
