"""OpenAPI descriptions that attack whoever imports them: refused with place and reason, with bounded memory and time; nothing is
fetched, and no other file is opened."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys

import pytest

MEMORY_MIB = 600
"""Most that one import may hold; about 80 are what Python and the gateway's module take."""
CPU_S = 120
"""An import is killed after that."""
OK = {"responses": {"200": {"description": "ok"}}, "security": []}


def described(schema, **more):
    """A description whose one operation has a body of this schema."""
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://localhost"}],
        "paths": {"/a": {"post": {**OK, "requestBody": body}}},
        **more,
    }


def schemas(**parts):
    return described({"$ref": "#/components/schemas/A"}, components={"schemas": parts})


def chained(most, step):
    """Each schema refers to the next one twice: written out, there would be 2**most."""
    parts = {f"S{n}": step({"$ref": f"#/components/schemas/S{n + 1}"}) for n in range(most)}
    return schemas(A={"$ref": "#/components/schemas/S0"}, **parts, **{f"S{most}": {"type": "string"}})


def nested(depth):
    schema = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def pattern(text):
    return schemas(A={"type": "object", "properties": {"x": {"type": "string", "pattern": text}}})


def number(text):
    """A bound that is written so, which Python would not write."""
    return json.dumps(schemas(A={"type": "integer", "maximum": 4711}), indent=1).replace("4711", text)


def many(operations, schema):
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}
    document = schemas(A=schema)
    document["paths"] = {f"/p{n}": {"post": {**OK, "requestBody": body}} for n in range(operations)}
    return document


HEAD = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\n"
LAUGHS = HEAD + "a: &a [x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]\n" for other, one in zip("abcdefgh", "bcdefghi", strict=True)
)  # fmt: skip
WIDE = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(400)}}
REFUSED = {
    "anchors that laugh": (LAUGHS, r"anchors are not supported"),
    "an alias of itself": (HEAD + "paths: &p {a: *p}\n", r"anchors are not supported"),
    "a merge key": (HEAD + "paths: {<<: {a: 1}}\n", r"merge keys are not supported"),
    "a tag": (HEAD + "paths: !!python/object/apply:os.system [id]\n", r"tags are not supported"),
    "two documents": (HEAD + "---\n" + HEAD, r"a second document starts here"),
    "a schema that is itself": (schemas(A={"$ref": "#/components/schemas/A"}), r"leads in a circle"),
    "two that are each other": (
        schemas(A={"$ref": "#/components/schemas/B"}, B={"$ref": "#/components/schemas/A"}),
        r"leads in a circle",
    ),
    "paths in a circle": (
        {**schemas(), "paths": {"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}},
        r"leads in a circle",
    ),
    "parts that double": (chained(120, lambda part: {"allOf": [part, part]}), r"nested too deeply"),
    "schemas in schemas": (schemas(A=nested(150)), r"nested too deeply"),
    "lists in lists": (
        '{"openapi": "3.1.0",\n"paths": ' + "[" * 200_000 + "]" * 200_000 + "}",
        r"nested too deeply",
    ),
    "lists in lists of YAML": (HEAD + "paths: " + "[" * 100_000 + "]" * 100_000, r"more than 64 levels"),
    "a reference by HTTP": (schemas(A={"$ref": "{url}/x.json"}), r"leads out of this document"),
    "a reference to a file": (schemas(A={"$ref": "../../../../etc/passwd"}), r"leads out of this document"),
    "a reference to a file by URL": (schemas(A={"$ref": "file:///etc/passwd"}), r"leads out of this document"),
    "a reference to a path of a file": (
        {**schemas(), "paths": {"/a": {"$ref": "secret.yaml#/paths/~1a"}}},
        r"leads out of this document",
    ),
    "a base elsewhere": (schemas(A={"$id": "{url}/", "type": "string"}), r"`\$id` is not read"),
    "an anchor of a schema": (schemas(A={"$dynamicRef": "#x"}), r"`\$dynamicRef` is not read"),
    "a dialect elsewhere": (
        {**schemas(A={}), "jsonSchemaDialect": "{url}/dialect"},
        r"is another dialect",
    ),
    "a server that is a file": (
        {**schemas(A={}), "servers": [{"url": "file:///etc/passwd"}]},
        r"is not reached over HTTP",
    ),
    "a number beyond all": (number("1e999999999"), r"too large"),
    "a number of many digits": (number("9" * 400), r"more than 300 digits"),
    "a number of very many digits": (number("9" * 1_000_000), r"more than 300 digits"),
    "no number": (number("NaN"), r"is not JSON"),
    "a pattern that looks around": (pattern("(?=a)b"), r"linear time"),
    "a pattern that looks back": (pattern(r"(a)\1"), r"linear time"),
    "a pattern that explodes": (pattern("(((a{1000}){1000}){1000}){1000}"), r"linear time"),
    "a pattern of classes that explodes": (pattern(r"(\p{L}{1000}){1000}"), r"linear time"),
    "a pattern of parentheses": (pattern("(" * 100_000 + ")" * 100_000), r"linear time"),
    "too many operations": (many(2_001, {"type": "string"}), r"more than 2,000 operations"),
    "parts that are referred to by all": (many(800, WIDE), r"more than 300,000 parts"),
    "names that stand twice": ('{"openapi": "3.1.0",\n"paths": {}, "paths": {}}', r"stands twice"),
    "a path that leaves": (
        {**schemas(), "paths": {"/../../admin": {"get": OK}}},
        r"dot segment|`\.\.`",
    ),
}  # fmt: skip


@pytest.fixture
def listening():
    """Something that would answer whoever fetches."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def run(directory, text, name):
    """Imports in a process of its own: exit code, what it said, MiB that it held."""
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def bounded():
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))

    program = "from yett.cli.app import app; app()"
    words = [sys.executable, "-c", program, "import", "openapi", str(file), "-o", str(directory / "out")]
    out = directory / "said"
    with out.open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, preexec_fn=bounded, cwd=directory)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, out.read_text(), used.ru_maxrss >> 10


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_place_and_reason(tmp_path, listening, name):
    document, reason = REFUSED[name]
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    is_yaml = isinstance(document, str) and not document.startswith("{")
    file = "api.yaml" if is_yaml else "api.json"
    code, said, memory = run(tmp_path, text.replace("{url}", url), file)
    assert code == 1, said[-2000:]
    first = said.splitlines()[0]
    assert re.match(rf".*{re.escape(file)}:\d+:\d+: ", first) and re.search(reason, said), first[:500]
    assert "root:" not in said and len(said) < 1_000_000
    assert not (tmp_path / "out").exists(), "nothing is written"
    assert memory < MEMORY_MIB, f"{memory} MiB"
    with pytest.raises(BlockingIOError):
        listening.accept()


ADMITTED = {
    "values of every size": schemas(
        A={"type": "object", "required": ["x", "y"], "properties": {
            "x": {"type": "string", "minLength": 10**9}, "y": {"type": "array", "minItems": 10**9, "items": {}}}}
    ),
    "required parts that double": chained(
        40, lambda part: {"type": "object", "required": ["l", "r"], "properties": {"l": part, "r": part}}
    ),
    "a pattern that others backtrack on": pattern("^(a+)+$"),
    "addresses that would be fetched": {
        **described({"type": "string", "examples": ["x"]}),
        "externalDocs": {"url": "{url}/docs"},
        "info": {"title": "t", "version": "1", "license": {"name": "x", "url": "{url}/license"}},
        "components": {
            "securitySchemes": {"o": {"type": "openIdConnect", "openIdConnectUrl": "{url}/.well-known/openid-configuration"}},
            "examples": {"e": {"externalValue": "{url}/example"}},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ADMITTED)
def test_what_is_strange_and_no_fault_is_imported_within_the_same_bounds(tmp_path, listening, name):
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    code, said, memory = run(tmp_path, json.dumps(ADMITTED[name]).replace("{url}", url), "api.json")
    assert code == 0, said[-2000:]
    assert memory < MEMORY_MIB, f"{memory} MiB"
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_a_file_without_an_end_is_not_read_to_it(tmp_path):
    file = tmp_path / "api.yaml"
    file.symlink_to("/dev/zero")
    program = "from yett.cli.app import app; app()"
    words = [sys.executable, "-c", program, "import", "openapi", str(file), "-o", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "the file is larger than 16 MiB" in done.stderr
