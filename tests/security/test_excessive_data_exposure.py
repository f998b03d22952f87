"""A service that answers with more than anybody outside should see: nothing of it leaves, in whatever way it is written."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support import configs

JSON = [("Content-Type", "application/json")]
SECRET = "secret-7"
OPEN = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}


@pytest.fixture
def shop(gateway, origin, tmp_path):
    service = origin()
    schema = tmp_path / "open.json"
    schema.write_text(json.dumps(OPEN))

    def start(**validation):
        if validation.pop("known", False):
            validation["json_schema"] = str(schema)
        return gateway(configs.public(service, response_validation=validation))

    start.service = service
    return start


def escaped(text):
    """Every character as JSON may write it."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize(
    "leak",
    [
        "4111111111111111",
        "4111 1111 1111 1111 12/29",
        "-----BEGIN PRIVATE KEY-----",
        "Traceback (most recent call last):",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl",
        "postgres://shop:hunter2@db.internal/orders",
    ],
)
def test_however_json_writes_it(shop, leak):
    gate = shop()
    for body in (f'"{leak}"', f'{{"a":[{{"b":"\\n{escaped(leak)}\\t"}}]}}', f'{{"{escaped(leak)}":1}}'):
        shop.service.answers(200, body.encode(), JSON)
        answer = gate.get("/")
        assert (answer.status, answer.reason) == (502, "response_leak"), body
        assert leak.encode() not in answer.body


@pytest.mark.parametrize("mode", ["enforce", "strip"])
@pytest.mark.parametrize(
    "body",
    [
        f'{{"name":"a","n\\u0061me2":"{SECRET}"}}',
        f'{{"name":"a","name":"{SECRET}"}}',
        f'{{"name":"a","n\\u0061me":"{SECRET}"}}',
        f'{{"name":"a"}}\n{{"name":"{SECRET}"}}',
        f'{{"name":"a"}}{SECRET}',
        f'\ufeff{{"password":"{SECRET}"}}',
        f'{{"name":"a","x":{{"y":[{{"z":"{SECRET}"}}]}}}}',
        f'[{{"password":"{SECRET}"}}]',
        f'{{"name":"a", // {SECRET}\n "b":1}}',
        '{"x":' * 40 + f'"{SECRET}"' + "}" * 40,
    ],
)
def test_what_a_schema_does_not_know(shop, mode, body):
    gate = shop(known=True, mode=mode)
    shop.service.answers(200, body.encode(), JSON)
    answer = gate.get("/")
    assert SECRET.encode() not in answer.body
    assert answer.status == 502 or (mode == "strip" and answer.json() == {"name": "a"})


@pytest.mark.parametrize(
    "kind", ["application/JSON ; charset=utf-8", "Application/Json", "application/problem+json"]
)
def test_types_by_another_spelling(shop, kind):
    gate = shop(known=True)
    shop.service.answers(200, json.dumps({"password": SECRET}).encode(), [("Content-Type", kind)])
    answer = gate.get("/")
    assert answer.status == 502 and SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/octet-stream", "image/png", "text/event-stream"]
)
def test_types_that_have_no_schema(shop, kind):
    gate = shop(known=True)
    types = [("Content-Type", kind)] if kind else []
    shop.service.answers(200, json.dumps({"password": SECRET}).encode(), types)
    answer = gate.get("/")
    assert (answer.status, answer.reason) == (502, "response_type_unexpected")
    assert SECRET.encode() not in answer.body


def test_nothing_leaves_before_all_of_it_was_judged(shop):
    """The client has not a byte while the answer is not there to its end, and nothing of it when it is cut."""
    gate = shop(known=True)
    ended = threading.Event()

    def behave(stage):
        stage.send(
            b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        stage.send(b'{"name":"' + SECRET.encode())
        assert ended.wait(30)
        stage.close()

    shop.service.behaviour = behave
    with gate.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        shop.service.wait_for(1)
        assert wire.quiet(0.3)
        ended.set()
        answer = wire.reply()
    assert (answer.status, answer.reason) == (502, "service_reset")
    assert SECRET.encode() not in answer.body + answer.head and "x-own" not in answer


def test_answers_of_one_connection_do_not_mix(shop):
    """What was refused stays refused; what follows on the same connections is its own."""
    gate = shop(known=True)
    with gate.connect() as wire:
        for number in range(10):
            shop.service.answers(200, json.dumps({"password": SECRET}).encode(), [*JSON, ("X-Own", SECRET)])
            refused = wire.ask()
            assert refused.status == 502 and SECRET.encode() not in refused.body + refused.head
            shop.service.answers(200, json.dumps({"name": str(number)}).encode(), JSON)
            answer = wire.ask()
            assert (answer.status, answer.json()) == (200, {"name": str(number)})
            assert "x-own" not in answer
