"""One feature, one name, in every tree: configuration, data plane, tests, docs, examples; and one list of reasons."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from yett import _core
from yett.config.filters import FILTERS
from yett.config.gateway import Gateway
from yett.config.providers import PROVIDERS
from yett.config.route import Group, Route
from yett.config.schema import json_schema
from yett.reasons import REASONS

ROOT = Path(__file__).parents[1]
CRATE = ROOT / "crates" / "yett-core" / "src"
# modules beside the features that several of them share
SHARED = {
    "filters": {"mod", "header_edits", "keyed_hash", "limit_shadow", "limit_table"},
    "providers": {
        "ambient",
        "assumed",
        "authenticate",
        "claims",
        "discovery",
        "dpop",
        "endpoint",
        "event",
        "digests",
        "hyper_io",
        "json",
        "jwk",
        "jwks",
        "kept",
        "key_uses",
        "live_check",
        "machine",
        "mod",
        "nonce",
        "present",
        "testing",
        "verdict",
    },
}
NAMES = {
    "filters": sorted(item.name for item in FILTERS),
    "providers": sorted(model.model_fields["type"].annotation.__args__[0] for model in PROVIDERS),
}
KINDS = pytest.mark.parametrize("kind", ["filters", "providers"])


def stems(directory: Path, suffix: str) -> set[str]:
    return {path.stem for path in directory.glob(f"*{suffix}") if not path.stem.startswith("__")}


@KINDS
def test_configuration(kind: str) -> None:
    assert stems(ROOT / "src" / "yett" / "config" / kind, ".py") == set(NAMES[kind])


@KINDS
def test_data_plane(kind: str) -> None:
    found = {stem for stem in stems(CRATE / kind, ".rs") if not stem.endswith("_tests")}
    assert found - SHARED[kind] == set(NAMES[kind])


@KINDS
def test_tests(kind: str) -> None:
    assert {stem.removeprefix("test_") for stem in stems(ROOT / "tests" / kind, ".py")} == set(NAMES[kind])


@KINDS
def test_docs(kind: str) -> None:
    assert stems(ROOT / "docs" / kind, ".md") == set(NAMES[kind])


@KINDS
def test_examples(kind: str) -> None:
    assert set(NAMES[kind]) <= stems(ROOT / "examples", ".yaml")


def test_filters_are_keys_of_their_places() -> None:
    for item in FILTERS:
        for place, model in (("route", Route), ("group", Group)):
            assert (item.name in model.model_fields) == (place in item.places), (item.name, place)


def test_schema_has_every_key() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Gateway.model_fields)
    assert set(schema["$defs"]["Route"]["properties"]) == set(Route.model_fields)
    assert set(schema["$defs"]["Group"]["properties"]) == set(Group.model_fields)


def test_reasons_are_the_same_on_both_sides() -> None:
    assert [item["code"] for item in json.loads(_core.reasons())] == list(REASONS)


def test_every_reason_is_documented() -> None:
    text = (ROOT / "docs" / "reasons.md").read_text()
    documented = set(re.findall(r"`([a-z0-9_]+)`", text))
    assert set(REASONS) <= documented, sorted(set(REASONS) - documented)
