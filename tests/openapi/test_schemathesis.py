"""Data that schemathesis thinks up for the shop's description, good and bad, through a running gateway: what reaches the service is
what the description takes, all of it and nothing else. The description is read by `yett import`, and judged here by jsonschema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode

from yett import _core
from yett.policy.openapi_import import importer

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "openapi" / "shop.yaml"
CASES = 30
"""For each operation, and for good and bad data each."""
OPERATIONS = [
    ("GET", "/tenants/{tenant}/orders"),
    ("POST", "/tenants/{tenant}/orders"),
    ("GET", "/tenants/{tenant}/orders/{order}"),
    ("GET", "/tenants/{tenant}/search"),
]


def described():
    """The description without its security: callers are not what is tried here."""
    document = json.loads(_core.parse_yaml(SHOP.read_bytes()))["value"]
    del document["components"]["securitySchemes"]
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    return document


class Judge:
    """A second reading of the description, of requests as they are sent."""

    def __init__(self, document):
        self.document = document
        order = document["components"]["schemas"]["Order"]
        # what is read-only is for answers
        properties = {name: one for name, one in order["properties"].items() if not one.get("readOnly")}
        self.order = {**order, "additionalProperties": False, "properties": properties}

    def resolved(self, value):
        return (
            self.document["components"]["parameters"][value["$ref"].rpartition("/")[2]]
            if "$ref" in value
            else value
        )

    def takes(self, sent):
        """Whether the description takes a request."""
        url = urlsplit(sent.url)
        for path, item in self.document["paths"].items():
            found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path), url.path)
            if found is None or sent.method.lower() not in item:
                continue
            operation = item[sent.method.lower()]
            parameters = [
                self.resolved(one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))
            ]
            return self.parameters(parameters, found.groupdict(), url.query) and self.body(operation, sent)
        return False

    def parameters(self, parameters, path, query):
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
            path = {name: unquote_to_bytes(value).decode() for name, value in path.items()}
        except UnicodeDecodeError:
            return False
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names) or set(names) - {
            one["name"] for one in parameters if one["in"] == "query"
        }:
            return False
        for one in parameters:
            there = path if one["in"] == "path" else dict(pairs)
            if one["name"] not in there:
                if one.get("required"):
                    return False
                continue
            value = there[one["name"]]
            if one["schema"]["type"] == "integer":
                if not re.fullmatch(r"-?(0|[1-9][0-9]*)", value, re.ASCII):
                    return False
                value = int(value)
            if not valid(one["schema"], value):
                return False
        return True

    def body(self, operation, sent):
        body = raw(sent)
        if "requestBody" not in operation:
            return not body
        if sent.headers.get("Content-Type") != "application/json":
            return False
        try:
            value = json.loads(body.decode(), parse_constant=lambda _: 1 / 0)
        except (ValueError, ZeroDivisionError):
            return False
        return valid(self.order, value)


def valid(schema, value):
    return Draft202012Validator(schema).is_valid(value)


def raw(sent):
    return sent.body.encode() if isinstance(sent.body, str) else sent.body or b""


def neighbours(sent):
    """Requests that are bad by one thing alone, which schemathesis seldom thinks of."""
    joint = "&" if "?" in sent.url else "?"
    other = sent.copy()
    other.url += f"{joint}unknown=1"
    yield other
    if "?" in sent.url:
        other = sent.copy()
        other.url += "&" + sent.url.partition("?")[2].partition("&")[0]
        yield other
    if not sent.body:
        other = sent.copy()
        other.prepare_body(b"{}", None)
        yield other
        return
    value = json.loads(raw(sent))
    for changes in ({"unknown": 1}, {"id": "17"}, {"quantity": True}, {"item": None}):
        other = sent.copy()
        other.prepare_body(json.dumps({**value, **changes}), None)
        yield other
    other = sent.copy()
    other.headers["Content-Type"] = "text/plain"
    yield other


@dataclass
class Tried:
    """What came of all cases of one kind."""

    taken: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    """The imported configuration, with a real issuer and a real service in the places that are left to a person."""
    identity, service = issuer(), origin()
    found = importer.convert(SHOP, tmp_path, service="https://orders.internal")
    for name, text in found.files.items():
        (tmp_path / name).write_text(text)
    config = json.loads(_core.parse_yaml(found.files[importer.GATEWAY].encode()))["value"]
    config["identity_providers"]["customers"] = identity.inline(tmp_path)
    config["identity_providers"]["partners"]["keys"] = str(tmp_path / "partners.keys.yaml")
    config["services"]["shop"] = {"endpoints": service.url, "plaintext": "test"}
    for route in config["routes"].values():
        for key in ("request_validation", "response_validation"):
            route[key]["openapi"] = str(SHOP)
        del route["response_validation"]
    config["groups"]["api"]["rate_limit"] = {"none": "many at once here"}
    del config["listeners"], config["tests"]
    gate = gateway(config)
    gate.service = service
    gate.token = identity.token(scope="orders.read orders.write")
    return gate


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_reaches_the_service_is_what_the_description_takes(shop, method, path, mode):
    document = described()
    judge, tried = Judge(document), Tried()
    # said here, since schemathesis has it otherwise: properties that nobody described, and read-only ones, are bad in requests
    order = document["components"]["schemas"]["Order"]
    order["additionalProperties"] = False
    if mode is GenerationMode.POSITIVE:
        del order["properties"]["id"]
    operation = schemathesis.openapi.from_dict(document)[path][method]
    host, port = shop.address()

    with requests.Session() as session:
        session.trust_env = False

        @seed(20261129)
        @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def every(case):
            asked = case.as_transport_kwargs(base_url=f"http://{host}:{port}")
            parts = {key: asked[key] for key in asked if key not in {"timeout", "verify", "allow_redirects"}}
            sent = requests.Request(**parts).prepare()
            sent.headers["Host"] = "localhost"
            sent.headers["Authorization"] = f"Bearer {shop.token}"
            wanted = ask(sent)
            tried.taken += wanted
            tried.refused += not wanted
            if wanted:
                for other in neighbours(sent):
                    assert ask(other) is False

        def ask(sent):
            before = len(shop.service.requests)
            answer = session.send(sent, timeout=30, allow_redirects=False)
            seen = shop.service.requests[before:]
            wanted = judge.takes(sent)
            reached = [(one.method, one.target, one.body) for one in seen]
            target = sent.url.removeprefix(f"http://{host}:{port}")
            expected = [(sent.method, target, raw(sent))] if wanted else []
            if reached != expected or (answer.status_code == 200) != wanted or answer.status_code >= 500:
                shown = f"{sent.method} {target} {dict(sent.headers)} {raw(sent)[:300]!r}"
                tried.wrong.append(f"{shown}: {answer.status_code} {answer.text[:400]}")
            return wanted

        every()
    assert not tried.wrong, "\n".join(tried.wrong[:5])
    # what is good is good for the judge as well, and much of what is bad is bad
    if mode is GenerationMode.POSITIVE:
        assert (tried.refused, tried.taken >= CASES) == (0, True)
    else:
        assert tried.refused >= CASES // 2
