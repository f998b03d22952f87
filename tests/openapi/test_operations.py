"""Operations of OpenAPI descriptions: what they say of parameters and bodies is what requests have to be."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from yett.errors import ConfigurationError

JSON = {"Content-Type": "application/json"}


def description(version="3.1.0", **operation):
    components = operation.pop("components", {})
    path = operation.pop("path", "/items/{id}")
    method = operation.pop("method", "post")
    return {
        "openapi": version,
        "info": {"title": "t", "version": "1"},
        "paths": {
            path: {method: {"operationId": "it", "responses": {"200": {"description": "ok"}}, **operation}}
        },
        "components": components,
    }


def of_json(schema, required=True):
    return {"required": required, "content": {"application/json": {"schema": schema}}}


@pytest.fixture
def api(gateway, origin, tmp_path):
    service = origin()

    def start(document, path="/items/{id}", methods="POST", route=None, **validation):
        file = tmp_path / "api.json"
        file.write_text(json.dumps(document))
        validation = {"openapi": str(file), "operation": "it", **validation}
        config = configs.public(service)
        config["routes"] = {
            "it": configs.route(path, methods, request_validation=validation, **(route or {}))
        }
        return gateway(config)

    start.service = service
    return start


def post(gate, body, target="/items/7", headers=JSON):
    return gate.post(target, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


PARAMETERS = [
    {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}},
    {"name": "exact", "in": "query", "schema": {"type": "boolean"}},
    {"name": "rate", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0}},
    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2}},
    {
        "name": "ids", "in": "query", "explode": False,
        "schema": {"type": "array", "items": {"type": "integer"}},
    },
    {"name": "X-Trace", "in": "header", "required": True, "schema": {"type": "string", "format": "uuid"}},
    {"name": "theme", "in": "cookie", "schema": {"enum": ["dark", "light"]}},
    {"name": "either", "in": "query", "schema": {"anyOf": [{"type": "integer"}, {"const": "all"}]}},
]  # fmt: skip
TRACE = {"X-Trace": "0198a5c2-0000-7000-8000-000000000000"}


@pytest.mark.parametrize(
    ("target", "headers", "wrong"),
    [
        ("/items/7", TRACE, None),
        ("/items/0", TRACE, ("path", "id")),
        ("/items/x", TRACE, ("path", "id")),
        ("/items/7.0", TRACE, ("path", "id")),
        ("/items/%37", TRACE, None),
        ("/items/7?limit=100", TRACE, None),
        ("/items/7?limit=101", TRACE, ("query", "limit")),
        ("/items/7?limit=", TRACE, ("query", "limit")),
        ("/items/7?limit=1&limit=2", TRACE, ("query", "limit")),
        ("/items/7?limit=0x10", TRACE, ("query", "limit")),
        ("/items/7?limit=%2010", TRACE, ("query", "limit")),
        ("/items/7?limit=1e1", TRACE, ("query", "limit")),
        ("/items/7?limit=%ff", TRACE, ("query", "limit")),
        ("/items/7?exact=true", TRACE, None),
        ("/items/7?exact=yes", TRACE, ("query", "exact")),
        ("/items/7?rate=0.5", TRACE, None),
        ("/items/7?rate=2", TRACE, None),
        ("/items/7?rate=-1", TRACE, ("query", "rate")),
        ("/items/7?tag=a&tag=b", TRACE, None),
        ("/items/7?tag=abcd", TRACE, ("query", "tag")),
        ("/items/7?tag=a&tag=b&tag=c", TRACE, ("query", "tag")),
        ("/items/7?ids=1,2,3", TRACE, None),
        ("/items/7?ids=1,x", TRACE, ("query", "ids")),
        ("/items/7?either=5", TRACE, None),
        ("/items/7?either=all", TRACE, None),
        ("/items/7?either=some", TRACE, ("query", "either")),
        ("/items/7?other=1", TRACE, None),
        ("/items/7", {}, ("header", "x-trace")),
        ("/items/7", {"X-Trace": "17"}, ("header", "x-trace")),
        ("/items/7", {"X_Trace": TRACE["X-Trace"]}, ("header", "x-trace")),
        ("/items/7", {**TRACE, "Cookie": "a=b; theme=dark"}, None),
        ("/items/7", {**TRACE, "Cookie": "theme=secret-7"}, ("cookie", "theme")),
        ("/items/7", {**TRACE, "Cookie": "theme=dark; theme=light"}, ("cookie", "theme")),
    ],
)
def test_parameters(api, target, headers, wrong):
    gate = api(description(parameters=PARAMETERS))
    answer = gate.post(target, b"", headers)
    if wrong is None:
        assert answer.status == 200, answer.body
        return
    assert (answer.status, answer.reason) == (400, "parameter_invalid")
    assert {(one["in"], one["parameter"]) for one in answer.json()["errors"]} == {wrong}
    assert b"secret-7" not in answer.body
    assert api.service.saw_nothing()


def test_unknown_parameters(api):
    gate = api(description(parameters=PARAMETERS), unknown_parameters="refuse", query="page")
    assert gate.post("/items/7?limit=1&page=2", b"", TRACE).status == 200
    for query in ("limit=1&admin=1", "LIMIT=1", "%6cimit=1&x", "=1", "%ff=1", "limit%00=1"):
        answer = gate.post(f"/items/7?{query}", b"", TRACE)
        assert (answer.status, answer.reason) == (400, "parameter_unknown"), query
    assert len(api.service.requests) == 1


def test_only_listed_headers_reach_the_service(api):
    gate = api(description(parameters=PARAMETERS), headers="x-channel")
    headers = {
        **TRACE,
        "X-Channel": "desk",
        "X-Debug": "1",
        "Cookie": "a=b",
        "User-Agent": "me",
        "Accept": "*/*",
    }
    assert gate.post("/items/7", b"", headers).status == 200
    names = api.service.only.names
    assert {"x-channel", "x-trace", "user-agent", "accept", "x-forwarded-for"} <= names
    assert not {"x-debug", "cookie"} & names


ITEM = {
    "type": "object",
    "required": ["name", "id"],
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "secret": {"type": "string", "writeOnly": True},
        "name": {"type": "string"},
        "size": {"type": "integer", "format": "int32"},
        "next": {"$ref": "#/components/schemas/Item"},
    },
}


@pytest.mark.parametrize(
    ("body", "unknown", "pointer"),
    [
        ({"name": "a"}, "allow", None),
        ({"name": "a", "size": 2**31 - 1}, "allow", None),
        ({"name": "a", "size": 2**31}, "allow", "/size"),
        ({"name": "a", "id": "1"}, "allow", "/id"),
        ({"name": "a", "secret": "x"}, "allow", None),
        ({"name": "a", "next": {"name": "b", "next": {"name": "c"}}}, "allow", None),
        ({"name": "a", "next": {"name": "b", "next": {"name": 1}}}, "allow", "/next/next/name"),
        ({"name": "a", "more": 1}, "allow", None),
        ({"name": "a", "more": 1}, "refuse", "/more"),
        ({"name": "a", "next": {"name": "b", "more": 1}}, "refuse", "/next/more"),
        ({"name": "a", "next": {"name": "b"}}, "refuse", None),
    ],
)
def test_bodies(api, body, unknown, pointer):
    document = description(
        requestBody=of_json({"$ref": "#/components/schemas/Item"}), components={"schemas": {"Item": ITEM}}
    )
    gate = api(document, unknown_properties=unknown)
    answer = post(gate, body)
    if pointer is None:
        assert answer.status == 200, answer.body
    else:
        assert (answer.status, answer.reason) == (422, "schema_mismatch")
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
        assert api.service.saw_nothing()


def test_what_is_composed_is_not_refused_for_its_parts(api):
    """`allOf` of two schemas: what one names is known, whichever it is."""
    base = {"type": "object", "properties": {"a": {"type": "integer"}}}
    more = {"properties": {"b": {"type": "integer"}}}
    gate = api(description(requestBody=of_json({"allOf": [base, more]})), unknown_properties="refuse")
    assert post(gate, {"a": 1, "b": 2}).status == 200
    assert post(gate, {"a": 1, "c": 2}).reason == "schema_mismatch"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "nullable": True, "enum": ["a"]}, [None, "a"], ["b"]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], [1, 0]),
        ({"type": "integer", "maximum": 5, "exclusiveMaximum": False}, [5], [6]),
        ({"nullable": True, "allOf": [{"type": "object"}]}, [None, {}], ["a"]),
    ],
)
def test_what_3_0_writes_otherwise(api, schema, good, bad):
    document = description("3.0.3", requestBody=of_json({"type": "object", "properties": {"v": schema}}))
    gate = api(document)
    for value in good:
        assert post(gate, {"v": value}).status == 200, value
    for value in bad:
        assert post(gate, {"v": value}).reason == "schema_mismatch", value


def test_whether_there_is_a_body(api):
    gate = api(description(requestBody=of_json({"type": "object"}, required=False)))
    assert post(gate, b"").status == 200
    assert post(gate, []).reason == "schema_mismatch"
    assert post(gate, {}, headers={"Content-Type": "text/plain"}).status == 415
    none = api(description())
    assert post(none, {}).reason == "body_unexpected"


FORM = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": "integer", "minimum": 0},
        "tag": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"name=ann&age=7&tag=a&tag=b", None),
        (b"name=a%2Bb+c", None),
        (b"age=7", "schema_mismatch"),
        (b"name=ann&age=x", "schema_mismatch"),
        (b"name=ann&age=-1", "schema_mismatch"),
        (b"name=ann&name=bob", "schema_mismatch"),
        (b"name=ann&admin=1", "schema_mismatch"),
        (b"name=ann&tag=a&tag=b&tag=c", "schema_mismatch"),
        (b"name=too+long", "schema_mismatch"),
        (b"name=%ff", "form_malformed"),
        (b"name=%zz", "form_malformed"),
        (b"name=" + b"x" * 70_000, "form_too_complex"),
        (b"&".join(b"tag=a" for _ in range(101)), "form_too_complex"),
    ],
)
def test_forms(api, body, reason):
    content = {"application/x-www-form-urlencoded": {"schema": FORM}}
    gate = api(description(requestBody={"required": True, "content": content}))
    answer = gate.post("/items/7", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.reason == reason
    assert (answer.status == 200) is (reason is None)
    assert api.service.saw_nothing() if reason else api.service.only.body == body


def parts(*blocks, boundary=b"XX"):
    return (
        b"".join(b"--" + boundary + b"\r\n" + block + b"\r\n" for block in blocks)
        + b"--"
        + boundary
        + b"--\r\n"
    )


def text(name, value, extra=b""):
    return b'Content-Disposition: form-data; name="' + name + b'"' + extra + b"\r\n\r\n" + value


def file(name, value, kind=b"image/png", filename=b"a.png"):
    disposition = b'Content-Disposition: form-data; name="' + name + b'"; filename="' + filename + b'"'
    return disposition + b"\r\nContent-Type: " + kind + b"\r\n\r\n" + value


PHOTO = file(b"photo", b"\x89PNG\r\n--X\xff")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (parts(text(b"name", b"ann"), PHOTO), None),
        (parts(PHOTO, text(b"name", b"ann"), text(b"meta", b'{"n": 1}')), None),
        (parts(text(b"name", b"ann")), "schema_mismatch"),
        (parts(text(b"name", b"ann"), text(b"photo", b"x")), "schema_mismatch"),
        (parts(text(b"name", b"ann"), file(b"photo", b"<html>", b"text/html")), "schema_mismatch"),
        (parts(file(b"name", b"ann"), PHOTO), "schema_mismatch"),
        (parts(text(b"name", b"ann"), PHOTO, PHOTO), "schema_mismatch"),
        (parts(text(b"name", b"ann"), PHOTO, text(b"admin", b"1")), "schema_mismatch"),
        (parts(text(b"name", b"ann"), PHOTO, text(b"meta", b'{"n": "x"}')), "schema_mismatch"),
        (parts(text(b"name", b"ann"), PHOTO, text(b"meta", b'{"n": 1, "n": 2}')), "schema_mismatch"),
        (parts(text(b"name", b"ann"), file(b"photo", b"x" * 2000)), "form_too_complex"),
        (parts(text(b"name", b"\xff"), PHOTO), "schema_mismatch"),
        (parts(text(b"name", b"ann"), file(b"photo", b"x", filename=b"../../etc/passwd")), "form_malformed"),
        (parts(text(b"name", b"ann"), file(b"photo", b"x", filename=b"a\\b")), "form_malformed"),
        (parts(text(b"name", b"ann", b'; name="id"'), PHOTO), "form_malformed"),
        (parts(text(b"name", b"ann", b"; filename*=utf-8''a"), PHOTO), "form_malformed"),
        (parts(text(b"name", b"ann"), b"Content-Transfer-Encoding: base64\r\n" + PHOTO), "form_malformed"),
        (parts(b"X: y\r\n\r\nz"), "form_malformed"),
        (b"preamble\r\n" + parts(text(b"name", b"ann"), PHOTO), "form_malformed"),
        (parts(text(b"name", b"ann"), PHOTO) + b"epilogue", "form_malformed"),
        (parts(text(b"name", b"ann"), PHOTO)[:-6], "form_malformed"),
        (parts(text(b"name", b"ann"), PHOTO).replace(b"\r\n", b"\n"), "form_malformed"),
        (parts(text(b"name", b"ann"), PHOTO, boundary=b"YY"), "form_malformed"),
        (b"", "body_missing"),
    ],
)
def test_multipart(api, body, reason):
    schema = {
        "type": "object",
        "required": ["name", "photo"],
        "properties": {
            "name": {"type": "string"},
            "photo": {"type": "string", "format": "binary"},
            "meta": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
        "additionalProperties": False,
    }
    media = {"schema": schema, "encoding": {"photo": {"contentType": "image/png, image/jpeg"}}}
    content = {"multipart/form-data": media}
    gate = api(description(requestBody={"required": True, "content": content}), form_limits={"file": "1KiB"})
    answer = gate.post("/items/7", body, {"Content-Type": "multipart/form-data; boundary=XX"})
    assert answer.reason == reason, answer.body
    assert (answer.status == 200) is (reason is None)
    assert api.service.saw_nothing() if reason else api.service.only.body == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<a/>", 200),
        (b'<?xml version="1.0" encoding="utf-8"?><a/>', 200),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', 400),
        (b"<a/><!doctype b>", 400),
        ('<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"), 400),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', 400),
    ],
)
def test_xml_where_it_is_asked_for(api, body, status):
    content = {"application/xml": {"schema": {"type": "object"}}}
    gate = api(description(requestBody={"required": True, "content": content}))
    answer = gate.post("/items/7", body, {"Content-Type": "application/xml"})
    assert answer.status == status
    assert answer.reason == (None if status == 200 else "xml_refused")


@pytest.mark.parametrize(
    ("document", "changes", "codes"),
    [
        ({"swagger": "2.0"}, {}, ["openapi_invalid"]),
        ({**description(), "openapi": "4.0.0"}, {}, ["openapi_invalid"]),
        (description(), {"operation": "if"}, ["operation_unknown"]),
        (description(), {"methods": {"any_of": ["POST", "PUT"]}}, ["operation_method"]),
        (description(parameters=PARAMETERS), {"path": "/items/{item}"}, ["operation_path"]),
        (description(requestBody=of_json({"$ref": "other.yaml#/X"})), {}, ["openapi_invalid"]),
        (description(requestBody=of_json({"$ref": "#/components/schemas/X"})), {}, ["openapi_invalid"]),
        (description(requestBody=of_json({"pattern": "(?=a)"})), {}, ["schema_invalid"]),
        (description(requestBody=of_json({"type": "strange"})), {}, ["schema_invalid"]),
        (description(requestBody={"content": {"*/*": {}}}), {}, ["openapi_invalid"]),
        (
            description(parameters=[{"name": "a", "in": "query", "schema": {"type": "object"}}]),
            {},
            ["openapi_invalid"],
        ),
        (
            description(parameters=[{"name": "a", "in": "query", "style": "pipeDelimited", "schema": {}}]),
            {},
            ["openapi_invalid"],
        ),
        (description(), {"json_schema": "x.json"}, ["file_missing", "key_unused"]),
        (description(), {"form_limits": {"fields": 3}}, ["key_unused"]),
    ],
)
def test_what_does_not_load(api, document, changes, codes):
    with pytest.raises(ConfigurationError) as caught:
        api(document, **changes)
    assert sorted(error.code for error in caught.value.errors) == codes


def test_schemas_that_refer_to_each_other_without_end(api):
    """Compositions in circles are read in time and mean what they say."""
    schemas = {
        "A": {
            "allOf": [{"$ref": "#/components/schemas/B"}, {"$ref": "#/components/schemas/B"}],
            "properties": {"a": {}},
        },
        "B": {"anyOf": [{"$ref": "#/components/schemas/C"}, {"type": "object"}], "properties": {"b": {}}},
        "C": {"properties": {"c": {"$ref": "#/components/schemas/A"}}},
    }
    document = description(
        requestBody=of_json({"$ref": "#/components/schemas/A"}), components={"schemas": schemas}
    )
    gate = api(document, unknown_properties="refuse")
    assert post(gate, {"a": 1, "b": 2, "c": {"a": 1}}).status == 200
    assert post(gate, {"c": {"x": 1}}).reason == "schema_mismatch"


def test_a_variable_of_another_notation_has_a_name_of_this_one(api):
    """`{orderId}` of a description is `{order_id}` of a path here; what is asked of it is asked all the same."""
    parameters = [
        {"name": "orderId", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "line-no", "in": "path", "required": True, "schema": {"type": "integer", "maximum": 9}},
    ]
    document = description(path="/orders/{orderId}/{line-no}", method="get", parameters=parameters)
    gate = api(document, path="/orders/{order_id}/{line_no}", methods="GET", operation="it")
    assert gate.get("/orders/7/9").status == 200
    for target, name in (("/orders/x/9", "order_id"), ("/orders/7/10", "line_no")):
        reply = gate.get(target)
        assert (reply.status, reply.json()["errors"][0]["parameter"]) == (400, name)
    assert len(api.service.requests) == 1


def test_an_operation_is_named_by_method_and_path(api):
    """Also one that a path item of another place has."""
    document = description(path="/items/{id}", method="get", parameters=PARAMETERS[:1])
    shared = document["paths"].pop("/items/{id}")
    del shared["get"]["operationId"]
    document["paths"]["/items/{id}"] = {"$ref": "#/components/pathItems/Item"}
    document["components"] = {"pathItems": {"Item": shared}}
    gate = api(document, methods="GET", operation="GET /items/{id}")
    assert (gate.get("/items/7").status, gate.get("/items/x").status) == (200, 400)
    assert len(api.service.requests) == 1
