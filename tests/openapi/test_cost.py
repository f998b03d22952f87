"""`x-yett-cost`: what an operation costs in the limit of its caller."""

from __future__ import annotations

import json

import pytest

from yett.config import compile_file
from yett.errors import ConfigurationError
from yett.policy.openapi_import import importer


def described(**operations):
    """Operations by path: what stands in each beside its security and answers."""
    answers = {"200": {"description": "ok"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://localhost"}],
        "security": [{"id": []}],
        "components": {"securitySchemes": {"id": {"type": "http", "scheme": "bearer"}}},
        "paths": {f"/{name}": {"get": {"responses": answers, **more}} for name, more in operations.items()},
    }


def imported(directory, document):
    file = directory / "api.json"
    file.write_text(json.dumps(document, indent=1))
    found = importer.convert(file, directory)
    for name, text in found.files.items():
        (directory / name).write_text(text)
    ir = json.loads(compile_file(directory / "gateway.yaml").ir)
    return found, {route["match"]["path"]: route["rate_limits"] for route in ir["routes"]}


def test_an_operation_costs_what_it_says(tmp_path):
    after = {"after": {"header": "x-cost", "missing": 2}}
    _, limits = imported(
        tmp_path, described(cheap={}, dear={"x-yett-cost": 30}, report={"x-yett-cost": after})
    )
    assert [one["burst"] for path in limits for one in limits[path]] == [60, 60, 60], "twice the dearest"
    assert {path: [one.get("cost") for one in limit] for path, limit in limits.items()} == {
        "/cheap": [None],
        "/dear": [{"default": 30}],
        "/report": [{"default": 1, "after": {"header": "x-cost", "missing": 2}}],
    }
    assert len({(one["name"], one["scope"]) for limit in limits.values() for one in limit}) == 1, "one bucket"


def test_a_public_operation_has_nobody_to_charge(tmp_path):
    found, limits = imported(tmp_path, described(open={"x-yett-cost": 5, "security": []}))
    assert limits == {"/open": []}
    assert ["counts for callers, and this route has none" in str(note) for note in found.notes].count(
        True
    ) == 1


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("x-yett-cost", 0, "nothing costs anything"),
        ("x-yett-cost", -1, "`-1` is not a cost"),
        ("x-yett-cost", "5", "`5` is not a cost"),
        ("x-yett-cost", 10**12, "is not a cost"),
        ("x-yett-cost", None, "`None` is not a cost"),
        ("x-yett-cost", [], "is not a cost"),
        ("x-yett-cost", {"GET": 5}, "is a whole number of requests"),
        ("x-yett-cost", {"cel": "request.size"}, "is a whole number of requests"),
        ("x-yett-cost", {"after": {"header": "x-cost"}}, "say what an answer without the header costs"),
        ("x-yett-cost", 1001, "is more than an import takes"),
        ("x-yett-cost", {"after": {"header": "Location", "missing": 1}}, "`Location` says something else"),
        (
            "x-yett-cost",
            {"after": {"header": "content-security-policy", "missing": 1}},
            "says something else",
        ),
        ("x-yett-costs", 5, "`x-yett-costs` is not read here; there is `x-yett-cost` here"),
    ],
)
def test_what_is_no_cost_is_told_with_its_place(tmp_path, key, value, said):
    with pytest.raises(ConfigurationError) as refused:
        imported(tmp_path, described(a={key: value}))
    (error,) = refused.value.errors
    assert said in error.message and error.line > 10, error


@pytest.mark.parametrize("place", ["path", "document"])
def test_it_stands_at_an_operation(tmp_path, place):
    document = described(a={})
    (document if place == "document" else document["paths"]["/a"])["x-yett-cost"] = 5
    with pytest.raises(ConfigurationError, match="stands at an operation"):
        imported(tmp_path, document)
