"""The middleware for ASGI and WSGI on real servers: who gets in, what an application learns, what refusals look like."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.backend.minting import Mint
from tests.support.services import ask
from yett.backend import (
    IdentityMiddleware,
    LogFilter,
    Refused,
    WsgiIdentityMiddleware,
    audit,
    caller,
    current,
    require_scope,
    require_tenant,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Application:
    """The same service twice; it keeps what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.act: Any = lambda: None

    def answer(self, path: str, body: bytes) -> bytes:
        self.seen.append((path, body))
        self.act()
        found = current()
        return json.dumps({"sub": found.subject if found else None}).encode()

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": scope["yett.caller"].subject})
            await send({"type": "websocket.close"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        text = self.answer(scope["path"], body)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(text)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": text})

    def wsgi(self, environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"].encode("latin-1").decode()
        text = self.answer(path, body)
        start_response("200 OK", [("content-length", str(len(text)))])
        return [text]


@pytest.fixture(params=["asgi", "wsgi"])
def service(request: pytest.FixtureRequest, asgi: Any, wsgi: Any) -> Any:
    """`service(verifier)`: the application, and the server behind whose door it stands."""

    def start(verifier: Any, **options: Any) -> tuple[Application, Any]:
        app = Application()
        if request.param == "asgi":
            return app, asgi(IdentityMiddleware(app.asgi, verifier, **options))
        return app, wsgi(WsgiIdentityMiddleware(app.wsgi, verifier, **options))

    return start


def told(text: str | None) -> list[tuple[str, str]]:
    return [("Yett-Identity", text)] if text is not None else []


def test_who_comes_through_the_gateway(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier())
    text = mint.assertion("POST", "/café/a b", b"q=%20x&y=%C3%A9")
    answer = ask(server, "POST", "/caf%C3%A9/a%20b?q=%20x&y=%C3%A9", told(text), b"hello")
    assert (answer.status, answer.json()) == (200, {"sub": "alice"})
    assert app.seen == [("/café/a b", b"hello")]
    assert current() is None


def test_who_comes_around_it(service: Any) -> None:
    mint, thief = Mint(), Mint()
    app, server = service(mint.verifier())
    good = mint.assertion("GET", "/a", b"x=1")
    refused = {
        "assertion_missing": ("GET", "/a?x=1", None),
        "assertion_signature_invalid": ("GET", "/a?x=1", thief.assertion("GET", "/a", b"x=1")),
        "assertion_audience_mismatch": ("GET", "/a?x=1", mint.assertion("GET", "/a", b"x=1", aud="orders")),
        "assertion_stale": ("GET", "/a?x=1", mint.assertion("GET", "/a", b"x=1", iat=1, exp=31)),
        "assertion_key_unknown": ("GET", "/a?x=1", mint.sign(mint.claims("GET", "/a", b"x=1"), kid="other")),
    }
    for code, (method, target, text) in refused.items():
        answer = ask(server, method, target, told(text))
        assert (answer.status, answer.reason) == (401, code)
        assert answer["cache-control"] == "no-store"
    for method, target in (
        ("GET", "/a?x=2"),
        ("GET", "/a"),
        ("GET", "/a?x=1&"),
        ("GET", "/b?x=1"),
        ("GET", "/A?x=1"),
        ("POST", "/a?x=1"),
    ):
        answer = ask(server, method, target, told(good))
        assert (answer.status, answer.reason) == (401, "assertion_request_mismatch"), (method, target)
    assert app.seen == []
    assert ask(server, "GET", "/a?x=1", told(good)).status == 200
    assert ask(server, "GET", "/a?x=1", told(good)).reason == "assertion_replayed"
    assert len(app.seen) == 1


def test_two_of_them_are_none(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier())
    both = [*told(mint.assertion()), *told(mint.assertion())]
    assert ask(server, "GET", "/", both).status == 401
    assert ask(server, "GET", "/", [("Yett_Identity", mint.assertion()), *told("x")]).status == 401
    assert app.seen == []


def test_paths_that_need_none(service: Any) -> None:
    app, server = service(Mint().verifier(), exempt="/healthz")
    assert ask(server, "GET", "/healthz").json() == {"sub": None}
    for target in ("/healthz/", "/healthz/x", "/Healthz", "/x?/healthz"):
        assert ask(server, "GET", target).status == 401, target
    assert len(app.seen) == 1


def test_bodies(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier())
    digest = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    assert ask(server, "POST", "/a", told(mint.assertion("POST", "/a", body=digest)), b"abc").status == 200
    for body in (b"abd", b"ab", b"abcd", b""):
        answer = ask(server, "POST", "/a", told(mint.assertion("POST", "/a", body=digest)), body)
        assert (answer.status, answer.reason) == (401, "assertion_body_mismatch")
    large = ask(
        server, "POST", "/a", told(mint.assertion("POST", "/a", body=digest)), b"x" * (1024 * 1024 + 1)
    )
    assert (large.status, large.reason) == (413, "body_too_large")
    assert app.seen == [("/a", b"abc")]


def test_what_an_application_refuses(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier(anonymous=True))

    def asked(act: Any, **changes: Any) -> tuple[int, str | None]:
        app.act = act
        answer = ask(server, "GET", "/", told(mint.assertion(**changes)))
        return answer.status, answer.reason

    assert asked(lambda: require_scope("billing.read")) == (200, None)
    assert asked(lambda: require_scope("billing.read", "billing.write")) == (403, "scope_missing")
    assert asked(require_scope) == (403, "scope_missing")
    assert asked(lambda: require_tenant("acme")) == (200, None)
    assert asked(lambda: require_tenant("globex")) == (403, "tenant_mismatch")
    assert asked(lambda: require_tenant("")) == (403, "tenant_missing")
    assert asked(lambda: require_tenant(None)) == (403, "tenant_missing")
    assert asked(lambda: require_tenant("acme"), tenant=None) == (403, "tenant_missing")
    assert asked(caller, kind="anonymous", sub="anonymous") == (401, "caller_missing")
    assert asked(current, kind="anonymous", sub="anonymous") == (200, None)


def test_log_lines_and_audit_lines(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier())
    lines, audited = io.StringIO(), io.StringIO()
    shown, kept = logging.StreamHandler(lines), logging.StreamHandler(audited)
    shown.setFormatter(
        logging.Formatter("%(request_id)s %(trace_id)s %(principal)s %(tenant)s %(revision)s %(message)s")
    )
    shown.addFilter(LogFilter())
    log, record = logging.getLogger("tests.backend"), logging.getLogger("yett.audit")
    log.addHandler(shown)
    record.addHandler(kept)
    try:

        def act() -> None:
            log.warning("read")
            audit("invoices.read", "invoice/9001", "denied", amount=12)

        app.act = act
        fields = [("Traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("X-Request-Id", "lies")]
        assert ask(server, "GET", "/", [*told(mint.assertion(sub="al\nice")), *fields]).status == 200
        log.warning("outside")
    finally:
        log.removeHandler(shown)
        record.removeHandler(kept)
    assert lines.getvalue().splitlines() == [
        f"r-1 {TRACE} al\\u000aice acme 0123456789ab read",
        "- - - - - outside",
    ]
    (line,) = audited.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "event": "audit", "action": "invoices.read", "resource": "invoice/9001", "outcome": "denied", "details": {"amount": 12},
        "request_id": "r-1", "trace_id": TRACE, "principal": "al\nice", "provider": "customers", "client": "app", "tenant": "acme",
        "revision": "0123456789ab",
    }  # fmt: skip


def test_an_audit_line_is_written_where_nobody_asked_for_logs(capsys: pytest.CaptureFixture[str]) -> None:
    root, record = logging.getLogger(), logging.getLogger("yett.audit")
    before = root.handlers[:]
    root.handlers.clear()
    try:
        audit("keys.read", "key/1", "success")
    finally:
        root.handlers[:] = before
        record.handlers.clear()
    assert json.loads(capsys.readouterr().out)["principal"] is None


def test_an_error_of_the_application_stays_one(service: Any) -> None:
    mint = Mint()
    app, server = service(mint.verifier())

    def fail() -> None:
        raise RuntimeError("a bug")

    app.act = fail
    assert ask(server, "GET", "/", told(mint.assertion())).status == 500
    app.act = lambda: None
    assert ask(server, "GET", "/", told(mint.assertion())).status == 200


def test_websocket(asgi: Any) -> None:
    mint = Mint()
    server = asgi(IdentityMiddleware(Application().asgi, mint.verifier(), exempt=["/ws"]))
    url = f"ws://127.0.0.1:{server.port}/ws?x=1"
    good = {"Yett-Identity": mint.assertion("GET", "/ws", b"x=1")}
    with connect(url, additional_headers=good, proxy=None) as connection:
        assert connection.recv() == "alice"
    # `exempt` is for requests, not for connections.
    for headers in (None, good, {"Yett-Identity": mint.assertion("GET", "/ws")}):
        with pytest.raises(InvalidStatus) as caught:
            connect(url, additional_headers=headers, proxy=None)
        assert caught.value.response.status_code == 403


def test_a_refusal_after_the_answer_began_is_no_second_answer() -> None:
    mint = Mint()
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        require_scope("more")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"yett-identity", mint.assertion().encode())],
    }
    with pytest.raises(Refused):
        asyncio.run(IdentityMiddleware(app, mint.verifier())(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert current() is None


def test_a_store_of_ones_own_is_asked_beside_the_loop() -> None:
    import threading

    mint, threads = Mint(), []

    class Store:
        def first(self, assertion_id: str, until: float) -> bool:
            threads.append(threading.current_thread())
            raise Refused("replays_full")

    async def nothing(*_: Any) -> None:
        raise AssertionError("the application was asked")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"yett-identity", mint.assertion().encode())],
    }
    asyncio.run(IdentityMiddleware(nothing, mint.verifier(replays=Store()))(scope, nothing, send))
    assert sent[0]["status"] == 503
    assert threads != [threading.main_thread()]
