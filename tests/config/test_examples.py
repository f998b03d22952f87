"""Every example loads, and editors accept it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jsonschema
import pytest

from yett import _core
from yett.config import compile_file
from yett.config.schema import json_schema

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
GOOD = sorted((Path(__file__).parent / "cases" / "good").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("CLIENT_SECRET", "a secret of some length 0123456789")
    monkeypatch.setenv("REDIS_PASSWORD", "a secret of some length 0123456789")


def test_there_are_some() -> None:
    assert len(EXAMPLES) >= 13


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_loads(path: Path) -> None:
    compiled = compile_file(path)
    assert compiled.policies or any(listener.passthrough for listener in compiled.gateway.listeners.values())


# An overlay is a part of a configuration, for which there is no schema.
WHOLE = [path for path in EXAMPLES + GOOD if "\nbase:" not in path.read_text()]


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_editors_accept_it(path: Path) -> None:
    value = json.loads(_core.parse_yaml(path.read_bytes()))["value"]
    jsonschema.Draft202012Validator(json_schema()).validate(value)


def test_editors_refuse_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    value = json.loads(_core.parse_yaml(EXAMPLES[0].read_bytes()))["value"]
    assert list(validator.iter_errors({**value, "listener": {}}))
    assert list(validator.iter_errors({key: item for key, item in value.items() if key != "version"}))
