"""Questions about a body: decided by the code that decides live ones."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.gateway import compiled, complete
from yett.policy.engine import Engine, Question

URL = "http://gateway.test/a"
JSON = (("Content-Type", "application/json"),)


@pytest.fixture
def engine(tmp_path):
    schema = tmp_path / "order.json"
    schema.write_text(
        json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    )
    config = {
        "services": {"origin": {"endpoints": "http://127.0.0.1:9", "plaintext": "test"}},
        "routes": {"open": configs.route("/a", "POST", request_validation={"json_schema": str(schema)})},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(complete(config, tmp_path)))
    return Engine(*compiled(file))


def test_bodies_are_judged(engine):
    decided = engine.decide(Question("POST", URL, JSON, body=b'{"n": 1}'))
    assert (decided["outcome"], decided["phase"]) == ("allow", "forward")
    decided = engine.decide(Question("POST", URL, JSON, body=b'{"n": "x"}'))
    assert (decided["outcome"], decided["phase"]) == ("refuse", "validate")
    assert decided["refusal"]["errors"] == [{"pointer": "/n", "detail": "has to be of type integer"}]
    assert engine.decide(Question("POST", URL, JSON))["refusal"]["reason"] == "body_missing"
    announced = engine.decide(Question("POST", URL, (*JSON, ("Content-Length", "8"))))
    assert announced["outcome"] == "refuse"
