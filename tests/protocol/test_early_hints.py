"""Early hints (103, RFC 8297): links that a service sends ahead of its answer."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import head

BROWSER = {"Sec-Fetch-Mode": "navigate"}
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nSet-Cookie: a=b\r\nX-Secret: 1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def front(gateway, service, **changes):
    config = configs.public(service, **{"early_hints": True, **changes})
    return gateway({**config, "listeners": configs.listener(http2={"prior_knowledge": True})})


def heads(gate, headers) -> tuple[list, int]:
    """Interim heads, and the status of the answer."""
    interim = []
    with gate.connect() as wire:
        wire.send(head("GET", "/a", headers))
        while True:
            status, fields, _ = wire.read_head()
            if status >= 200:
                assert wire.exactly(2) == b"ok"
                # The connection is in step.
                assert wire.ask(target="/b").body == b"ok"
                return interim, status
            interim.append((status, fields))


def test_links_and_nothing_else_pass(gateway, origin):
    service = origin()
    service.paths["/a"] = lambda stage: stage.send(HINT + ANSWER)
    gate = front(gateway, service)
    assert heads(gate, BROWSER) == ([(103, [("link", "</a.css>; rel=preload; as=style")])], 200)


def test_hints_come_before_the_answer(gateway, origin):
    service = origin()
    came: list[bool] = []

    def slow(stage):
        stage.send(HINT)
        eventually(lambda: came, what="the hint at the client")
        stage.send(ANSWER)

    service.behaviour = slow
    with front(gateway, service).connect() as wire:
        wire.send(head("GET", "/a", BROWSER))
        assert wire.read_head()[0] == 103
        came.append(True)
        assert wire.reply().body == b"ok"


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({"early_hints": False}, BROWSER),
        ({"early_hints": None}, BROWSER),
        ({}, {}),
        ({}, {"Sec-Fetch-Mode": "cors"}),
    ],
)
def test_who_gets_none(gateway, origin, changes, headers):
    service = origin()
    service.paths["/a"] = lambda stage: stage.send(HINT + ANSWER)
    assert heads(front(gateway, service, **changes), headers) == ([], 200)


def test_hints_are_bounded_and_other_interim_answers_dropped(gateway, origin):
    service = origin()
    many = b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </a>\r\n" * 50 + b"\r\n"
    long = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: <" + b"a" * 5000 + b">\r\n\r\n"
    none = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    service.paths["/a"] = lambda stage: stage.send(none + many + long + many + ANSWER)
    interim, status = heads(front(gateway, service), BROWSER)
    assert status == 200
    assert [len(fields) for _, fields in interim] == [16, 1]
    assert all(name == "link" for _, fields in interim for name, _ in fields)


def test_over_http2(gateway, origin):
    import subprocess

    service = origin()
    service.paths["/a"] = lambda stage: stage.send(HINT + ANSWER)
    gate = front(gateway, service)
    done = subprocess.run(
        ["curl", "-sSi", "--http2-prior-knowledge", "--max-time", "20", f"http://127.0.0.1:{gate.port}/a"],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    first, second, body = done.stdout.split(b"\r\n\r\n")
    assert first.splitlines() == [b"HTTP/2 103 ", b"link: </a.css>; rel=preload; as=style"]
    assert second.startswith(b"HTTP/2 200") and body == b"ok"
