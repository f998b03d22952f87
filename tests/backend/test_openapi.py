"""Requests against an OpenAPI description in the service: as the gateway judges them, with the same file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.services import ask
from yett.backend import (
    InvalidDescription,
    OpenApi,
    OpenApiMiddleware,
    RequestInvalid,
    WsgiOpenApiMiddleware,
)

DESCRIPTION = """
openapi: 3.1.0
info: {title: orders, version: "1"}
paths:
  /orders/{order}:
    parameters:
      - {name: order, in: path, required: true, schema: {type: integer, minimum: 1}}
    get:
      operationId: readOrder
      parameters:
        - {name: page, in: query, schema: {type: integer, minimum: 1}}
        - {name: X-Channel, in: header, required: true, schema: {enum: [web, desk]}}
      responses: {"200": {description: it}}
    post:
      operationId: changeOrder
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Order"}}
          application/x-www-form-urlencoded: {schema: {type: object, properties: {amount: {type: integer}}}}
      responses: {"200": {description: done}}
  /orders/latest:
    get: {operationId: latestOrder, responses: {"200": {description: it}}}
  /files/{name}.txt:
    get: {responses: {"200": {description: it}}}
components:
  schemas:
    Order:
      type: object
      required: [amount]
      properties:
        amount: {type: integer, maximum: 100}
        note: {type: string, maxLength: 5}
"""
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WEB = {"X-Channel": "web"}
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/orders/7", WEB, b""),
    ("HEAD", "/orders/7?page=2", WEB, b""),
    ("GET", "/orders/7", {}, b""),
    ("GET", "/orders/7", {"X-Channel": "fax"}, b""),
    ("GET", "/orders/seven", WEB, b""),
    ("GET", "/orders/0", WEB, b""),
    ("GET", "/orders/7?page=0", WEB, b""),
    ("GET", "/orders/7?page=1&page=2", WEB, b""),
    ("GET", "/orders/7?all=1", WEB, b""),
    ("GET", "/orders/7", WEB, b"x"),
    ("POST", "/orders/7", JSON, b'{"amount": 1}'),
    ("POST", "/orders/7", JSON, b'{"amount": 1, "note": "short"}'),
    ("POST", "/orders/7", JSON, b'{"amount": 101}'),
    ("POST", "/orders/7", JSON, b'{"amount": 1, "note": "longer"}'),
    ("POST", "/orders/7", JSON, b'{"amount": 1, "amount": 2}'),
    ("POST", "/orders/7", JSON, b'{"amount": 1, "other": true}'),
    ("POST", "/orders/7", JSON, b"[" * 40 + b"]" * 40),
    ("POST", "/orders/7", JSON, b"{"),
    ("POST", "/orders/7", JSON, b""),
    ("POST", "/orders/7", {}, b'{"amount": 1}'),
    ("POST", "/orders/7", {"Content-Type": "text/csv"}, b"amount"),
    ("POST", "/orders/7", {**JSON, "Content-Encoding": "gzip"}, b"{}"),
    ("POST", "/orders/7", FORM, b"amount=1"),
    ("POST", "/orders/7", FORM, b"amount=one"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.yaml"
    path.write_text(DESCRIPTION)
    return path


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Says which operation it was, and how long its body."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    text = f"{scope['yett.operation']} {size}".encode()
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


def wsgi_app(environ: Any, start_response: Any) -> Any:
    text = f"{environ['yett.operation']} {len(environ['wsgi.input'].read())}".encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


@pytest.mark.parametrize("options", [{}, {"unknown_properties": "refuse", "unknown_parameters": "refuse"}])
def test_a_service_says_what_the_gateway_says(
    gateway: Any, origin: Any, asgi: Any, wsgi: Any, file: Path, options: Any
) -> None:
    """One file, three readers of it: the gateway, and services with ASGI and WSGI."""
    there = origin()
    config = configs.public(there)
    del config["routes"]["open"]
    for name, method in (("readOrder", "GET"), ("changeOrder", "POST")):
        validation = {"openapi": str(file), "operation": name, **options}
        config["routes"][name] = configs.route("/orders/{order}", method, request_validation=validation)
    gate = gateway(config)
    description = OpenApi(file, **options)
    services = (
        asgi(OpenApiMiddleware(asgi_app, description)),
        wsgi(WsgiOpenApiMiddleware(wsgi_app, description)),
    )
    seen = set()
    for request in REQUESTS:
        judged = gate.request(*request)
        seen.add(judged.reason)
        for service in services:
            own = ask(service, *request)
            assert (own.status, own.reason) == (judged.status, judged.reason), request
            if judged.reason:
                assert own.json().get("errors") == judged.json().get("errors"), request
            # wsgiref says text/plain where nothing is said.
            if judged.reason and (not request[3] or "Content-Type" in request[2]):
                assert own.json().get("detail") == judged.json().get("detail"), request
    assert {None, "schema_mismatch", "parameter_invalid", "body_missing", "json_duplicate_name"} <= seen


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_the_application_reads_the_body_and_knows_the_operation(request: Any, file: Path, kind: str) -> None:
    description = OpenApi(file, prefix="/api/")
    wrapped: Any = (
        OpenApiMiddleware(asgi_app, description, max_body=300_000)
        if kind == "asgi"
        else WsgiOpenApiMiddleware(wsgi_app, description, max_body=300_000)
    )
    service = request.getfixturevalue(kind)(wrapped)
    assert ask(service, "GET", "/api/orders/latest").body == b"latestOrder 0"
    assert ask(service, "GET", "/api/files/a%20b.txt").body == b"GET /files/{name}.txt 0"
    note = b'{"amount": 1}'
    assert ask(service, "POST", "/api/orders/7", JSON, note).body == b"changeOrder 13"
    long = b'{"amount": 1, "other": "' + b"x" * 50_000 + b'"}'
    assert ask(service, "POST", "/api/orders/7", JSON, long).body == f"changeOrder {len(long)}".encode()
    longer = b'{"amount": 1, "other": ["' + b'", "'.join([b"x" * 1000] * 200) + b'"]}'
    assert ask(service, "POST", "/api/orders/7", JSON, longer).body == f"changeOrder {len(longer)}".encode()
    large = ask(service, "POST", "/api/orders/7", JSON, b" " * 300_001)
    assert (large.status, large.reason) == (413, "body_too_large")
    for target in ("/orders/latest", "/api/other", "/api/orders", "/api/orders/7/x", "/api/files/a%2Fb.txt"):
        unknown = ask(service, "GET", target)
        assert (unknown.status, unknown.reason) == (404, "operation_unknown"), target
    assert ask(service, "DELETE", "/api/orders/7").reason == "operation_unknown"


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_what_is_not_looked_at(request: Any, file: Path, kind: str) -> None:
    description = OpenApi(file, outside="allow")
    exempt = {"exempt": "/orders/0"}
    wrapped: Any = (
        OpenApiMiddleware(asgi_app, description, **exempt)
        if kind == "asgi"
        else WsgiOpenApiMiddleware(wsgi_app, description, **exempt)
    )
    service = request.getfixturevalue(kind)(wrapped)
    assert ask(service, "GET", "/elsewhere", JSON, b"{").body == b"None 1"
    assert ask(service, "GET", "/orders/-1", WEB).reason == "parameter_invalid"


def test_by_hand(file: Path) -> None:
    description = OpenApi(file)
    assert [one.name for one in description.operations][:2] != []
    found = description.check("GET", "/orders/7", b"page=1", [("x-channel", "web")])
    assert found is not None and (found.name, found.method, found.path) == (
        "readOrder",
        "GET",
        "/orders/{order}",
    )
    with pytest.raises(RequestInvalid) as refused:
        description.check(
            "POST", "/orders/7", "", [(b"content-type", b"application/json")], b'{"amount": 777}'
        )
    assert (refused.value.status, refused.value.code) == (422, "schema_mismatch")
    assert refused.value.errors == [{"pointer": "/amount", "detail": "has to be at most 100"}]
    assert b"777" not in refused.value.problem()


def test_only_the_standard_library_and_the_native_module(file: Path) -> None:
    """No model, no framework: what a service installs is the package and nothing behind it."""
    program = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] not in sys.stdlib_module_names | {'yett'}:\n"
        "            raise ImportError(f'{name} is not there')\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from yett.backend import OpenApi, OpenApiMiddleware, WsgiOpenApiMiddleware\n"
        "description = OpenApi(sys.argv[1])\n"
        "print(description.check('GET', '/orders/7', b'', [('x-channel', 'web')]).name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "readOrder\n"), done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("swagger: '2.0'", "3.0 and 3.1 are read here"),
        ("openapi: 3.1.0\npaths: [", "orders.yaml:"),
        ("openapi: 3.1.0\ninfo: {}", "there are no `paths`"),
        (DESCRIPTION.replace("#/components/schemas/Order", "#/components/schemas/Odrer"), "orders.yaml:19:"),
        (DESCRIPTION.replace("maxLength: 5", "maxLength: five"), "maxLength"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_used_says_where(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidDescription) as refused:
        OpenApi(file)
    assert said in str(refused.value) and str(file) in str(refused.value)


def test_json_is_read_as_well(file: Path, tmp_path: Path) -> None:
    document = {
        "openapi": "3.0.3",
        "paths": {"/a/{b}": {"get": {"parameters": [{"in": "path", "name": "b", "required": True, "schema": {"type": "integer"}}]}}},
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    found = OpenApi(path).check("GET", "/a/1")
    assert found is not None and found.name == "GET /a/{b}"
    with pytest.raises(RequestInvalid):
        OpenApi(path).check("GET", "/a/x")
