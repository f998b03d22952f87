"""respond: a fixed answer in place of a service."""

from __future__ import annotations

import pytest

from tests.support import configs


def responding(service, **respond):
    config = configs.public(service)
    config["routes"] = {
        "fixed": {
            "match": {"hosts": "any", "path": "/robots.txt", "methods": "GET"},
            "access": "public",
            "respond": respond,
        }
    }
    return config


def test_a_fixed_answer(gateway, origin):
    service = origin()
    gate = gateway(responding(service, status=200, content_type="text/plain", body="User-agent: *\n"))
    with gate.connect() as wire:
        for _ in range(3):
            answer = wire.ask(target="/robots.txt")
            assert (answer.status, answer.body) == (200, b"User-agent: *\n")
            assert answer["content-type"].startswith("text/plain")
            assert "x-request-id" in answer and "date" in answer
        head = wire.ask("HEAD", "/robots.txt")
        assert (head.status, head["content-length"], head.body) == (200, "14", b"")
    assert service.saw_nothing()


@pytest.mark.parametrize("status", [200, 404, 410, 451, 503])
def test_statuses(gateway, origin, status):
    gate = gateway(responding(origin(), status=status, content_type="text/plain", body="x"))
    assert gate.get("/robots.txt").status == status
    assert gate.log_line(status=status)["route"] == "fixed"


@pytest.mark.parametrize(
    "change", [{"status": 99}, {"status": 600}, {"status": 100}, {"content_type": "a\r\nb: c"}]
)
def test_impossible_answers_do_not_load(gateway, origin, change):
    with pytest.raises(Exception):
        gateway(responding(origin(), **{"status": 200, "content_type": "text/plain", "body": "x", **change}))
