"""The access log: one JSON line for each request, refusals included, with whose fault it was; never a credential."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from tests.support import configs
from tests.support.waiting import eventually


def test_a_line_says_who_what_where_and_how_long(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    service.answers(body=b"hello")
    gate = gateway(configs.protected(service, identity, tmp_path))
    answer = gate.post(
        "/closed?secret=1", b"body", {**identity.bearer(sub="alice"), "User-Agent": "test"}, host="shop.test"
    )
    line = gate.log_line(status=200)
    assert line["method"] == "POST" and line["path"] == "/closed" and line["host"] == "shop.test"
    assert line["route"] == "closed" and line["service"] == "origin" and line["listener"] == "main"
    assert line["endpoint"] == service.endpoint
    assert line["client"] == "127.0.0.1"
    assert line["request_id"] == answer["x-request-id"]
    assert line["bytes_in"] == 4 and line["bytes_out"] == 5
    assert len(line["revision"]) >= 12 and gate.revision.startswith(line["revision"])
    assert "alice" in json.dumps(line)
    assert "secret" not in json.dumps(line), "queries carry secrets"
    stamp = line.get("time") or line.get("ts") or line.get("timestamp")
    datetime.fromisoformat(str(stamp))


def test_a_caller_that_is_remembered_is_named_in_each_line(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(configs.protected(service, identity, tmp_path))
    callers = [identity.bearer(sub=name, jti=f'{name} "1"') for name in ("alice", "bob")]
    for number in range(6):
        assert gate.get(f"/closed?{number}", callers[number % 2]).status == 200
    lines = gate.wait_log(6)
    said = [(line["subject"], line["token_id"], line["provider"], line["kind"]) for line in lines]
    assert said == [
        (name, f'{name} "1"', "id", "user") for name in ("alice", "bob", "alice", "bob", "alice", "bob")
    ]


@pytest.mark.parametrize(
    ("ask", "status", "reason", "fault"),
    [
        (lambda gate: gate.get("/closed"), 401, "credential_missing", "client"),
        (lambda gate: gate.get("/a/../b"), 400, "path_not_canonical", "client"),
        (lambda gate: gate.request("BREW", "/closed"), 405, "method_not_allowed", "client"),
        (lambda gate: gate.post("/open/a", b"x" * 2000), 413, "body_too_large", "client"),
    ],
)
def test_refusals_are_logged_with_their_reason(gateway, origin, issuer, tmp_path, ask, status, reason, fault):
    service = origin()
    config = configs.protected(service, issuer(), tmp_path)
    config["routes"]["open"]["limits"] = {"body": "1KiB"}
    gate = gateway(config)
    answer = ask(gate)
    line = gate.log_line(reason=reason)
    assert (line["status"], line["fault"]) == (status, fault)
    assert line["request_id"] == answer["x-request-id"] == answer.json()["request_id"]
    assert service.saw_nothing()


def test_what_is_no_request_is_logged_too(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    gate.send(b"nonsense\r\n\r\n")
    line = gate.log_line(status=400)
    assert (line["reason"], line["fault"]) == ("malformed_request", "client")
    assert line["client"] == "127.0.0.1"
    assert service.saw_nothing()


def test_the_file_is_reopened_after_a_rotation(gateway, origin, workers):
    gate = gateway(configs.public(origin()), workers=workers)
    gate.get("/before")
    gate.log_line(path="/before")
    old = gate.log_path.rename(gate.log_path.with_suffix(".1"))
    gate.core.reopen_logs()
    eventually(gate.log_path.exists, what="the new file")
    for _ in range(8):
        gate.get("/after")
    gate.wait_log(8)
    assert {line["path"] for line in gate.log_lines()} == {"/after"}
    assert b"/after" not in old.read_bytes()


def test_lines_of_workers_are_not_torn(gateway, origin):
    import threading

    gate = gateway(configs.public(origin()), workers=4)

    def load(number):
        with gate.connect() as wire:
            for count in range(100):
                wire.ask(target=f"/{number}/{count}/" + "x" * 500)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines = gate.wait_log(800)
    assert len({line["path"] for line in lines}) == 800


def test_every_line_is_there_after_a_stop(gateway, origin):
    gate = gateway(configs.public(origin()), workers=4)
    for number in range(50):
        gate.get(f"/{number}")
    gate.stop()
    assert len(gate.log_lines()) == 50


def test_a_log_that_cannot_be_written_does_not_load(gateway, origin, tmp_path):
    config = configs.public(origin())
    config["access_log"] = {"file": str(tmp_path / "no" / "such" / "directory" / "access.jsonl")}
    with pytest.raises(Exception):
        gateway(config)
