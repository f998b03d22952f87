"""`yett import openapi`: what is described gets in for whom it is described, and nothing else does."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from yett import _core
from yett.cli.app import app
from yett.config import compile_file
from yett.control import source
from yett.errors import ConfigurationError
from yett.policy import emit
from yett.policy import engine as engines
from yett.policy.engine import Question, outcome
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Severity
from yett.policy.linter.run import run as lint
from yett.policy.openapi_import import importer
from yett.policy.testing import run as testing

HERE = Path(__file__).parent / "imports"
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "openapi" / "shop.yaml"
GOOD = {
    "shop": (SHOP, ["--service", "https://orders.internal:9101"]),
    "nasty_30": (HERE / "nasty_30.json", []),
    "nasty_31": (HERE / "nasty_31.yaml", []),
    "security_partial": (HERE / "bad" / "security.yaml", ["--partial", "--host", "any"]),
    "paths_partial": (HERE / "bad" / "paths.yaml", ["--partial", "--server", "https://api.example.com"]),
}
UPDATE = os.environ.get("YETT_UPDATE") == "1"


def read(text):
    return json.loads(_core.parse_yaml(text.encode()))["value"]


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """`imported(FILE, …)`: the description in a directory of its own, and what the command said of it."""

    def run(file, *words):
        shutil.copy(file, tmp_path / file.name)
        monkeypatch.chdir(tmp_path)
        return CliRunner().invoke(app, ["import", "openapi", file.name, *words])

    run.directory = tmp_path
    return run


def same(path: Path, text: str) -> None:
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} differs; YETT_UPDATE=1 writes it, read the difference"


@pytest.mark.parametrize("name", GOOD)
def test_what_is_written(imported, name):
    file, words = GOOD[name]
    done = imported(file, *words)
    assert done.exit_code == 0, done.output
    same(HERE / name / "said.txt", done.output)
    for written in ("gateway.yaml", "gateway.tests.yaml"):
        same(HERE / name / written, (imported.directory / written).read_text())


@pytest.mark.parametrize("environment", [None, "production"])
@pytest.mark.parametrize("name", GOOD)
def test_it_loads_without_findings_and_its_tests_pass(imported, name, environment):
    file, words = GOOD[name]
    assert imported(file, *words).exit_code == 0
    gateway = imported.directory / "gateway.yaml"
    if environment:
        gateway.write_text(f"environment: {environment}\n" + gateway.read_text())
    loaded = source.read(gateway)
    assert lint(Context(source.compiled_file(gateway))).of(Severity.ERROR) == []
    engine = engines.of_loaded(loaded, gateway)
    cases = testing.read(engine, loaded.tests)
    assert len(cases) > len(engine.routes)
    assert [result.problems for result in testing.run(engine, cases).failed] == []


@pytest.mark.parametrize("file", sorted((HERE / "bad").glob("*.[yj]*")), ids=lambda file: file.name)
def test_what_cannot_be_imported_is_told_with_its_place(imported, file):
    done = imported(file)
    assert done.exit_code == 1
    same(file.with_suffix(".errors"), done.output)
    places = [line for line in done.output.splitlines() if not line.startswith("nothing is written")]
    assert places
    assert all(re.match(rf"{file.name}:\d+:\d+: ", line) for line in places)
    assert list(imported.directory.iterdir()) == [imported.directory / file.name]


def ask(gateway, method, path, principal=None, host="localhost"):
    engine = engines.of_loaded(source.read(gateway), gateway)
    question = Question(
        method, f"http://{host}{path}", principals=({"provider": principal, "claims": {"sub": "x", "scope": "a b c orders.read orders.write"}},) if principal else ()
    )  # fmt: skip
    return outcome(engine.decide(question))


def test_nothing_beyond_the_description(imported):
    assert imported(SHOP).exit_code == 0
    gateway = imported.directory / "gateway.yaml"
    for method, path, came in (
        ("GET", "/tenants/acme/orders", "allow"),
        ("GET", "/tenants/acme/orders/17", "allow"),
        ("DELETE", "/tenants/acme/orders/17", "method_not_allowed"),
        ("GET", "/tenants/acme/orders/17/more", "route_not_found"),
        ("GET", "/tenants/acme/orders/", "route_not_found"),
        ("GET", "/tenants/acme", "route_not_found"),
        ("GET", "/tenants/ACME/orders", "parameter_invalid"),
        ("GET", "/tenants/acme/orders?debug=1", "parameter_unknown"),
        ("GET", "/", "route_not_found"),
    ):
        assert (path, ask(gateway, method, path, "customers")) == (path, came)
    assert ask(gateway, "GET", "/tenants/acme/orders", "customers", host="elsewhere") == "route_not_found"
    assert ask(gateway, "GET", "/tenants/acme/orders") == "credential_missing"


def test_who_is_not_said_to_may_may_not(imported):
    """Operations without security are denied, whatever else the description has; `[]` is public only where it stands itself."""
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://localhost"}],
        "security": [],
        "paths": {
            "/open": {"get": {"security": [], "responses": {"200": {"description": "ok"}}}},
            "/unsaid": {"get": {"responses": {"200": {"description": "ok"}}}},
        },
    }
    file = imported.directory / "in" / "api.json"
    file.parent.mkdir()
    for security in ([], None, [{}]):
        document["security"] = security
        file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
        done = imported(file, "--force")
        assert done.exit_code == 0, done.output
        assert "denied: api.json:1:" in done.output
        gateway = imported.directory / "gateway.yaml"
        assert "GET /unsaid: " in gateway.read_text()
        assert [route["name"] for route in json.loads(compile_file(gateway).ir)["routes"]] == ["get-open"]
        assert ask(gateway, "GET", "/open") == "allow"
        assert ask(gateway, "GET", "/unsaid") == "route_not_found"


def test_what_is_left_out_is_denied(imported):
    file, words = GOOD["security_partial"]
    assert imported(file, *words).exit_code == 0
    gateway = imported.directory / "gateway.yaml"
    names = [route["name"] for route in json.loads(compile_file(gateway).ir)["routes"]]
    assert names == ["get-alternative"]
    # the key in the query was one of two ways in
    assert ask(gateway, "GET", "/alternative") == "credential_missing"
    assert ask(gateway, "GET", "/alternative", "oauth") == "allow"
    assert ask(gateway, "GET", "/basic") == "route_not_found"


def test_files_that_are_there_are_kept(imported):
    assert imported(SHOP).exit_code == 0
    gateway, keys = imported.directory / "gateway.yaml", imported.directory / "partners.keys.yaml"
    made = CliRunner().invoke(app, ["keys", "create", "--file", str(keys), "--name", "me"])
    assert made.exit_code == 0, made.output
    gateway.write_text("mine")
    again = imported(SHOP)
    assert again.exit_code == 1
    assert "is there already; use --force" in again.output
    assert gateway.read_text() == "mine"
    before = keys.read_text()
    assert imported(SHOP, "--force").exit_code == 0
    assert gateway.read_text() != "mine"
    assert keys.read_text() == before
    compile_file(gateway)


def test_as_json(imported):
    done = imported(SHOP, "--format", "json", "-o", "out")
    found = json.loads(done.output)
    assert found["routes"] == ["listOrders", "createOrder", "readOrder", "searchOrders"]
    assert found["public"] == found["denied"] == []
    assert found["placeholders"] == ["identity_providers.customers"]
    assert sorted(Path(name).name for name in found["written"]) == sorted(
        path.name for path in (imported.directory / "out").iterdir()
    )
    refused = imported(HERE / "bad" / "swagger.yaml", "--format", "json", "-o", "other")
    assert [problem["line"] for problem in json.loads(refused.output)["problems"]] == [1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "API.example.com"], "hosts are lower case"),
        (["--host", "*.example.com"], "is many hosts"),
        (["--service", "orders.internal"], "is no endpoint"),
        (["--service", "https://orders.internal/v1"], "is no endpoint"),
        (["--server", "https://nowhere.example"], "no server has the url"),
    ],
)
def test_wrong_usage(imported, words, said):
    done = imported(SHOP, *words)
    assert done.exit_code == 2
    assert said in done.output
    assert not (imported.directory / "gateway.yaml").exists()


def test_a_file_that_is_not_there(imported):
    done = CliRunner().invoke(app, ["import", "openapi", str(imported.directory / "none.yaml")])
    assert done.exit_code == 2
    assert "cannot be read: no such file or directory" in done.output


def test_bytes_that_are_no_text(imported):
    file = imported.directory / "in" / "api.yaml"
    file.parent.mkdir()
    file.write_bytes(b"openapi: 3.1.0\ninfo: {title: \xff}\n")
    done = imported(file)
    assert (done.exit_code, done.output.splitlines()[0]) == (1, "api.yaml:2:15: this is no text in UTF-8")


TEXT = st.text(max_size=40)
TREES = st.recursive(
    TEXT | st.integers(-(2**53), 2**53) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(TEXT.filter(bool), TREES, min_size=1, max_size=4), st.lists(TEXT, max_size=3))
def test_what_is_read_back_is_what_was_meant(tree, comments):
    """Whatever a description says: no comment and no value becomes something else."""
    try:
        text = emit.written(tree, {(next(iter(tree)),): comments}, comments)
    except ValueError:
        return  # nothing is written then
    assert read(text) == json.loads(json.dumps(tree))


@pytest.mark.parametrize(
    "text",
    ["a\nroutes: {}", "a\u2028b", "a\x85b", "#", "yes", "1e3", "null", "💂", "\ud800", "- a", "\u202eb"],
)
def test_texts_of_a_description_stay_texts(text):
    if text != "\ud800":
        assert read(emit.written({"k": {"v": text}}, {("k",): [text]})) == {"k": {"v": text}}
    assert "\n" not in emit.plain(text)


DOCUMENTS = [
    read((HERE / name).read_text()) for name in ("nasty_31.yaml", "nasty_30.json", "bad/security.yaml")
]
JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        "#/paths",
        "{",
        [],
        {},
        [[]],
        [None],
        {"$ref": "#/components"},
        {"": {}},
        "\x00",
        "💂",
        10**30,
    ]
)


def parts(value, at=()):
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from parts(part, (*at, key))


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_whatever_a_description_says_it_is_imported_or_refused(tmp_path_factory, data):
    """Any part replaced by anything: nothing else than an answer comes of it, and what is written has been proved."""
    document = json.loads(json.dumps(data.draw(st.sampled_from(DOCUMENTS))))
    at = data.draw(st.sampled_from(list(parts(document))[1:]))
    here = document
    for step in at[:-1]:
        here = here[step]
    here[at[-1]] = data.draw(JUNK)
    directory = tmp_path_factory.mktemp("in")
    file = directory / "api.json"
    file.write_text(json.dumps(document))
    for partial in (True, False):
        try:
            importer.convert(file, directory, partial=partial, host="api.example.com")
        except (ConfigurationError, importer.Unproved) as error:
            assert str(error)


def test_references_in_circles_end(imported):
    """An example is looked for in a schema that has itself many times."""
    properties = {f"p{number}": {"$ref": "#/components/schemas/Node"} for number in range(8)}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://localhost"}],
        "paths": {
            "/a": {
                "post": {
                    "security": [],
                    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}},
                    "responses": {"200": {"description": "ok"}},
                }
            }
        },
        "components": {"schemas": {"Node": {"type": "object", "properties": properties}}},
    }  # fmt: skip
    file = imported.directory / "in" / "api.json"
    file.parent.mkdir()
    file.write_text(json.dumps(document))
    done = imported(file)
    assert done.exit_code == 0, done.output
    assert "no test shows that it gets in" in done.output
