"""A configuration written in Python: the same models, the same errors; and the pinned public names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

import yett
from yett.config import compile_file, load_path
from yett.config.base import Model
from yett.errors import ConfigurationError

HEAD = """
from yett import Gateway, Jwt, Listener, Match, RateLimit, Route, Service
gateway = Gateway(
    listeners={"main": Listener(address="127.0.0.1:8080", plaintext="test")},
    services={"origin": Service(endpoints="https://origin.internal")},
    routes={"open": Route(match=Match(hosts="any", path=PATH, methods={"any_of": ["GET", "POST"]}), access="public", service=SERVICE)},
)
"""


def written(directory: Path, path: str = "/open", service: str = "origin") -> Path:
    file = directory / "gateway.py"
    file.write_text(HEAD.replace("PATH", repr(path)).replace("SERVICE", repr(service)))
    return file


def refusal(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        compile_file(file)
    return [str(error).replace(str(file), "gateway.py") for error in caught.value.errors]


def test_it_compiles_to_what_the_same_yaml_compiles_to(tmp_path: Path) -> None:
    yaml = tmp_path / "gateway.yaml"
    yaml.write_text(
        'version: 1\nlisteners: {main: {address: "127.0.0.1:8080", plaintext: test}}\n'
        "services: {origin: {endpoints: https://origin.internal}}\n"
        "routes: {open: {match: {hosts: any, path: /open, methods: {any_of: [GET, POST]}}, access: public, service: origin}}\n"
    )
    assert compile_file(written(tmp_path)).ir == compile_file(yaml).ir


def test_errors_name_the_attribute(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, service="orign")) == [
        "gateway.py: routes.open.service: there is no service `orign`; did you mean `origin`?"
    ]


def test_a_value_that_does_not_fit_names_its_place(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, path="open")) == ["gateway.py: path: `open` has to start with `/`"]


def test_a_file_without_gateway(tmp_path: Path) -> None:
    file = tmp_path / "gateway.py"
    file.write_text("x = 1\n")
    assert refusal(file) == ["gateway.py: the file defines no `gateway`; write `gateway = yett.Gateway(…)`"]


def test_a_file_that_stops(tmp_path: Path) -> None:
    file = tmp_path / "gateway.py"
    file.write_text("secret = 'hunter2'\n\nraise RuntimeError(secret)\n")
    (line,) = refusal(file)
    assert line.startswith("gateway.py:3:1: the file stopped with an error of type `RuntimeError`")
    assert "hunter2" not in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gateway.py") == ["gateway.py: the file does not exist"]
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_path(tmp_path / "gateway.yaml")


def test_secrets_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct horse battery staple"
    monkeypatch.setenv("YETT_TEST_SECRET", secret)
    yaml = tmp_path / "gateway.yaml"
    yaml.write_text(
        "version: 1\nadmin: {address: 127.0.0.1:9901, token: {env: YETT_TEST_SECRET}}\n"
        'listeners: {main: {address: "127.0.0.1:8080", plaintext: test}}\n'
        "routes: {a: {match: {hosts: any, path: /a, methods: GET}, access: public, respond: {}}}\n"
    )
    compiled = compile_file(yaml)
    assert compiled.secrets == {"admin.token": secret.encode()}
    document = json.loads(compiled.ir)
    assert len(document["secrets"]["admin.token"]) == 32
    assert secret not in compiled.ir.decode() + repr(compiled) + repr(compiled.gateway)
    monkeypatch.setenv("YETT_TEST_SECRET", secret + "s")
    assert compile_file(yaml).revision != compiled.revision


def test_public_names_are_pinned() -> None:
    assert sorted(yett.__all__) == [
        "Acme",
        "AddressFilter",
        "AddressLimit",
        "AddressList",
        "Admin",
        "ApiKey",
        "AssertionClient",
        "Assurance",
        "AttackException",
        "AttackFilter",
        "Authorize",
        "BotFilter",
        "Callers",
        "Ceiling",
        "Certificate",
        "CircuitBreaker",
        "Claim",
        "ClientAssertion",
        "ConcurrencyLimit",
        "ConfigError",
        "ConfigurationError",
        "ConsistentHash",
        "Cookies",
        "Cors",
        "Crawlers",
        "Csrf",
        "DecisionLog",
        "Defaults",
        "Deny",
        "Device",
        "Discovery",
        "Dns",
        "Dpop",
        "DpopNonce",
        "Endpoint",
        "ExternalAuthorization",
        "FailedField",
        "FormLimits",
        "Gateway",
        "Geo",
        "GeoFilter",
        "GraphQL",
        "Group",
        "HashKey",
        "HealthCheck",
        "Hsts",
        "Http2",
        "HttpsRedirect",
        "Idempotency",
        "Identity",
        "IdentityAssertion",
        "Introspection",
        "IntrospectionCache",
        "IntrospectionEndpoint",
        "JsonLimits",
        "JwksUrl",
        "Jwt",
        "LimitClass",
        "LimitSchedule",
        "LimitWindow",
        "Listener",
        "ListenerTls",
        "LiveCheck",
        "LoadShedding",
        "LogFile",
        "LoginChallenge",
        "LoginFailed",
        "LoginGuard",
        "LoginPart",
        "LoginThresholds",
        "Machine",
        "Match",
        "Mirror",
        "Mtls",
        "OauthClient",
        "Oidc",
        "OidcEndpoints",
        "OutlierDetection",
        "OwnCrawler",
        "PassedHost",
        "Passthrough",
        "PathRules",
        "Pool",
        "Process",
        "ProxyProtocol",
        "PublishedKeys",
        "Quota",
        "QuotaClass",
        "RateLimit",
        "Redirect",
        "Redis",
        "RequestHeaders",
        "RequestValidation",
        "Respond",
        "ResponseHeaders",
        "ResponseTenant",
        "ResponseValidation",
        "Retry",
        "Rewrite",
        "Role",
        "Route",
        "RouteLimits",
        "RouteTimeouts",
        "Secret",
        "SecurityEvents",
        "SecurityHeaders",
        "Service",
        "ServiceHttp2",
        "ServiceLimits",
        "ServiceTls",
        "ServiceToken",
        "Session",
        "SignedRequest",
        "SigningKey",
        "SpiffeBundle",
        "SpiffeIdentity",
        "State",
        "Tenant",
        "Times",
        "TrustedProxies",
        "WebSocket",
        "YettError",
        "__version__",
    ]
    for name in yett.__all__:
        assert getattr(yett, name) is not None


def test_what_is_unsaid_is_what_a_model_of_nothing_says() -> None:
    """Defaults are made without validation, which would say the same."""
    seen: set[type[Model]] = set()
    found: list[Model] = []
    todo: list[type[Model]] = [yett.Gateway]
    while todo:
        model = todo.pop()
        if model in seen:
            continue
        seen.add(model)
        for field in model.model_fields.values():
            todo += _models(field.annotation)
            if isinstance(field.default, Model):
                found.append(field.default)
    assert len(found) > 15
    for one in found:
        assert one == type(one)()
        assert one.model_fields_set == set()


def _models(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, Model) else []
    return [model for part in get_args(annotation) for model in _models(part)]
