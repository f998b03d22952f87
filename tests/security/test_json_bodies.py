"""Bodies that two parsers read differently, or that cost more than they should: none reaches a service."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support import configs

JSON = {"Content-Type": "application/json"}
LIMITS = {"depth": 8, "keys": 50, "items": 200, "string": "1KiB", "number": 30}
ODD = {
    "duplicate": (b'{"role":"user","role":"admin"}', "json_duplicate_name"),
    "duplicate by escape": (b'{"role":"user","r\\u006fle":"admin"}', "json_duplicate_name"),
    "duplicate deep inside": (b'[{"a":{"b":[{"c":1,"d":2,"c":3}]}}]', "json_duplicate_name"),
    "depth": (b"[" * 9 + b"]" * 9, "json_too_complex"),
    "great depth": (b"[" * 100_000, "json_too_complex"),
    "depth of objects": (b'{"a":' * 9 + b"1" + b"}" * 9, "json_too_complex"),
    "many names": (json.dumps({str(n): n for n in range(51)}).encode(), "json_too_complex"),
    "many items": (json.dumps([0] * 201).encode(), "json_too_complex"),
    "long string": (b'"' + b"x" * 1025 + b'"', "json_too_complex"),
    "long name": (b'{"' + b"x" * 1025 + b'":1}', "json_too_complex"),
    "long number": (b"1." + b"0" * 40, "json_too_complex"),
    "beyond 64 bits": (b"18446744073709551616", "json_too_complex"),
    "beyond a double": (b"1e400", "json_too_complex"),
    "invalid UTF-8": (b'{"a":"\xff"}', "json_malformed"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "json_malformed"),
    "surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "json_malformed"),
    "lone surrogate": (b'{"a":"\\ud800"}', "json_malformed"),
    "byte order mark": (b'\xef\xbb\xbf{"a":1}', "json_malformed"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "json_malformed"),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "json_malformed"),
    "UTF-7": (b"+AHsAIgBhACIAOgAxAH0-", "json_malformed"),
    "two values": (b'{"a":1}{"a":2}', "json_malformed"),
    "lines of values": (b'{"a":1}\n{"a":2}\n', "json_malformed"),
    "trailing comma": (b'{"a":1,}', "json_malformed"),
    "comment": (b'{"a":1/**/}', "json_malformed"),
    "single quotes": (b"{'a':1}", "json_malformed"),
    "bare names": (b"{a:1}", "json_malformed"),
    "NaN": (b'{"a":NaN}', "json_malformed"),
    "hexadecimal": (b'{"a":0x1}', "json_malformed"),
    "leading zero": (b'{"a":01}', "json_malformed"),
    "control character": (b'{"a":"x\ny"}', "json_malformed"),
    "NUL after the end": (b"{}\0", "json_malformed"),
    "form feed": (b"{\x0c}", "json_malformed"),
    "guard against scripts": (b")]}',\n{}", "json_malformed"),
    "blanks": (b" \n", "json_malformed"),
}


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service, request_validation={"json_limits": LIMITS}))
    return gate, service


@pytest.mark.parametrize(("body", "reason"), ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("kind", ["application/json", "application/problem+json; charset=utf-8"])
def test_odd_json_is_refused(gateway, origin, body, reason, kind):
    service = origin()
    types = {"any_of": ["application/json", "application/problem+json"]}
    gate = gateway(
        configs.public(service, request_validation={"json_limits": LIMITS, "content_types": types})
    )
    answer = gate.post("/", body, {"Content-Type": kind})
    assert (answer.status, answer.reason) == (400, reason)
    assert service.saw_nothing()


def test_bombs_are_not_even_opened(shop):
    gate, service = shop
    bomb = gzip.compress(b'"' + b"x" * 10_000_000 + b'"')
    for coding in ("gzip", "GZIP", "gzip, gzip", "identity, gzip"):
        answer = gate.post("/", bomb, {**JSON, "Content-Encoding": coding})
        assert answer.reason == "content_encoding_unsupported"
    both = [*JSON.items(), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert gate.post("/", bomb, both).reason == "content_encoding_unsupported"
    # without saying so it is no JSON
    assert gate.post("/", bomb, JSON).reason == "json_malformed"
    assert service.saw_nothing()


def test_a_type_in_disguise_does_not_get_past(shop):
    gate, service = shop
    for name in ("Content_Type", "Content.Type", "content-type "):
        with gate.connect() as wire:
            wire.send(
                f"POST / HTTP/1.1\r\nHost: a\r\n{name}: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode()
            )
            assert wire.reply().status in (400, 415)
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=a"):
        assert gate.post("/", b'{"a":1}', {"Content-Type": kind}).status == 415
    assert service.saw_nothing()


def test_at_the_bounds_it_passes(shop):
    gate, service = shop
    for body in (
        b"[" * 8 + b"]" * 8,
        json.dumps({str(n): n for n in range(50)}).encode(),
        json.dumps([0] * 200).encode(),
        b'"' + b"x" * 1024 + b'"',
        b"18446744073709551615",
    ):
        assert gate.post("/", body, JSON).status == 200
        assert service.last.body == body
