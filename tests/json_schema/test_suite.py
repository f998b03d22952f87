"""The required tests of JSON-Schema-Test-Suite (2020-12) pass through request_validation, sent to a gateway as bodies."""

from __future__ import annotations

import json
import re

import pytest

from tests.support import configs
from tests.support.json_schema_suite import Case, cases
from yett import _core

WIDE = {"depth": 64, "keys": 100_000, "items": 100_000, "string": "1MiB", "number": 400}
EXCEPT = {
    "vocabulary: schema that uses custom metaschema with with no validation vocabulary": "a meta-schema of one's own is another dialect",
    "vocabulary: ignore unrecognized optional vocabulary": "a meta-schema of one's own is another dialect",
}
"""Schemas that do not load, and why."""


def loads(case: Case) -> bool:
    return _core.check_schema(json.dumps(case.schema).encode(), False) is None


def test_the_suite(gateway, origin, tmp_path):
    service = origin()
    found = [case for case in cases() if case.id not in EXCEPT]
    assert len(found) > 250
    refused = [case.id for case in found if not loads(case)]
    assert not refused, refused
    config = configs.public(service)
    config["routes"] = {}
    for number, case in enumerate(found):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(case.schema))
        validation = {"json_schema": str(path), "formats": False, "json_limits": WIDE}
        config["routes"][f"case-{number}"] = configs.route(
            f"/{number}", "POST", request_validation=validation
        )
    gate = gateway(config)
    wrong, count = [], 0
    with gate.connect() as wire:
        for number, case in enumerate(found):
            for description, data, valid in case.tests:
                count += 1
                answer = wire.ask(
                    "POST", f"/{number}", {"Content-Type": "application/json"}, json.dumps(data).encode()
                )
                if (answer.status, answer.reason) != ((200, None) if valid else (422, "schema_mismatch")):
                    wrong.append((case.id, description, answer.status, answer.reason))
    assert not wrong, wrong
    assert count > 1000
    assert len(service.requests) == sum(valid for case in found for _, _, valid in case.tests)


@pytest.mark.parametrize("pattern", [r"^(?!a)", r"(?<=a)b", r"(a)\1", r"(?=a)a", r"(?<!a)b"])
def test_patterns_that_the_linear_engine_refuses(pattern):
    schema = {"properties": {"a": {"pattern": pattern}}}
    pointer, message = _core.check_schema(json.dumps(schema).encode(), True)
    assert pointer == "/properties/a/pattern" and "linear time" in message
    schema = {"patternProperties": {pattern: True}}
    pointer, message = _core.check_schema(json.dumps(schema).encode(), True)
    assert pointer.startswith("/patternProperties") and "linear time" in message


def test_the_exceptions_are_those_that_do_not_load():
    for case in cases():
        if case.id in EXCEPT:
            assert re.search("localhost:1234", json.dumps(case.schema["$defs"]["case"]["$schema"])), case.id
