"""gRPC through the gateway: the official interop client and server, trailers, refusals as status codes, deadlines."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.go_tools import go_tool
from tests.support.http2_peer import Gone, Http2Client, Http2Service, Stream
from tests.support.ports import free_port
from tests.support.waiting import eventually

CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
    "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
)  # fmt: skip
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def config(url: str, route: Any = None, **service: Any) -> Any:
    plain = {"plaintext": "test"} if url.startswith("http:") else {}
    return {
        "services": {"origin": {"endpoints": url, "protocol": "http2", **plain, **service}},
        "routes": {"open": configs.route(**(route or {}))},
        "listeners": configs.listener(http2={"prior_knowledge": True}),
    }


@pytest.fixture
def interop_server(tmp_path: Path, certificate) -> Iterator[Callable[[bool], str]]:
    """`interop_server(tls)` starts the official one and says its address."""
    running: list[subprocess.Popen[bytes]] = []

    def start(tls: bool) -> str:
        port = free_port()
        chain, key = tmp_path / "grpc.pem", tmp_path / "grpc.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        secure = ["-use_tls", "-tls_cert_file", str(chain), "-tls_key_file", str(key)] if tls else []
        running.append(
            subprocess.Popen(
                [str(go_tool("grpc-interop-server")), "-port", str(port), *secure], stderr=subprocess.DEVNULL
            )
        )

        def answers() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            return False

        eventually(answers, 20)
        return f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    yield start
    for process in running:
        process.kill()
        process.wait(10)


def interop(gate: Any, case: str, authority_file: str, *options: str) -> subprocess.CompletedProcess[str]:
    host, port = gate.address()
    return subprocess.run(
        [
            str(go_tool("grpc-interop-client")), "-test_case", case, "-server_host", host, "-server_port", str(port),
            "-use_tls", "-use_test_ca", "-ca_file", authority_file, "-server_host_override", "localhost", *options,
        ],
        text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_official_cases(gateway, interop_server, listener_tls, authority_file, tls):
    """14 of 14, through TLS on the front, with and without TLS to the service."""
    trust = {"tls": {"ca": authority_file, "server_name": "localhost"}} if tls else {}
    whole = config(interop_server(tls), **trust)
    whole["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    gate = gateway(whole)
    failed = {}
    for case in CASES:
        done = interop(gate, case, authority_file)
        if done.returncode != 0:
            failed[case] = done.stderr[-500:]
    assert not failed
    seen = {line["path"] for line in gate.wait_log(len(CASES) - 1)}
    assert "/grpc.testing.TestService/FullDuplexCall" in seen


def test_a_real_client_reads_a_refusal_as_a_status(gateway, origin, issuer, listener_tls, authority_file):
    there = origin()
    whole = configs.protected(there, issuer())
    whole["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    route = whole["routes"]["closed"]
    route["match"] = {"hosts": "any", "path": "/{rest...}", "methods": "POST"}
    whole["routes"] = {"closed": route}
    gate = gateway(whole)
    done = interop(gate, "empty_unary", authority_file)
    assert done.returncode != 0
    assert "code = Unauthenticated desc = credential_missing: a credential is needed" in done.stderr
    line = gate.wait_log(1)[0]
    assert (line["status"], line["reason"]) == (401, "credential_missing")
    assert there.saw_nothing()


@pytest.fixture
def service(_cleanup: contextlib.ExitStack) -> Callable[..., Http2Service]:
    def start(**options: Any) -> Http2Service:
        started = Http2Service(**options)
        _cleanup.callback(started.close)
        return started

    return start


def answer(*trailers: tuple[str, str], body: bytes = b"ok") -> Callable[[Stream], None]:
    def behave(stream: Stream) -> None:
        stream.read()
        stream.headers([(":status", "200"), ("content-type", "application/grpc")])
        stream.data(body)
        stream.finish(list(trailers))

    return behave


def test_trailers_both_ways_and_te(gateway, service):
    there = service(behaviour=answer(("grpc-status", "0"), ("x-checksum-bin", "AAEC")))
    gate = gateway(config(there.url))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a.B/C", GRPC)
        stream.data(b"hello")
        stream.finish(
            [("x-sent", "5"), ("x-forwarded-for", "6.6.6.6"), ("content-length", "7"), ("x_request_id", "1")]
        )
        assert stream.read() == b"ok"
        assert stream.trailers == [("grpc-status", "0"), ("x-checksum-bin", "AAEC")]
    assert there.only.trailers == [("x-sent", "5")]
    assert there.only["te"] == "trailers"
    assert "x-sent" not in there.only, "a trailer field never becomes a header field"


def test_trailer_hygiene(gateway, service):
    fields = [
        ("grpc-status", "0"), ("x-request-id", "1"), ("set-cookie", "a=1"), ("content_length", "9"), ("ratelimit", "1"),
        ("strict-transport-security", "max-age=0"), ("server", "x"), ("location", "/"), ("connection", "close"),
    ]  # fmt: skip
    there = service(behaviour=answer(*fields[:-1]))
    gate = gateway(config(there.url))
    with Http2Client(gate.address()) as wire:
        stream = wire.post("/a", b"x", GRPC)
        assert stream.trailers == [("grpc-status", "0")]
        there.behaviour = answer(*fields)
        with pytest.raises(Gone):
            wire.post("/a", b"x", GRPC)
        there.behaviour = answer(*[(f"x-{number}", "1") for number in range(65)])
        with pytest.raises(Gone):
            wire.post("/a", b"x", GRPC)
    assert [line.get("reason") for line in gate.wait_log(3)] == [
        None,
        "service_reset",
        "service_response_invalid",
    ]


def test_trailers_after_a_known_length(gateway, service):
    def behave(stream: Stream) -> None:
        stream.read()
        stream.headers([(":status", "200"), ("content-length", "2")])
        stream.data(b"ok")
        stream.finish([("x-after", "1")])

    there = service(behaviour=behave)
    gate = gateway(config(there.url))
    with Http2Client(gate.address()) as wire:
        stream = wire.get("/a")
        assert (stream.body, stream["content-length"], stream.trailers) == (b"ok", "2", [("x-after", "1")])


def test_trailers_of_http1_stay_here(gateway, service, origin):
    """A client of HTTP/1.1 gets none, and its own reach no service; nor do those of a service that speaks HTTP/1.1 pass."""
    there = service(behaviour=answer(("grpc-status", "0")))
    gate = gateway(config(there.url))
    with gate.connect() as wire:
        wire.send(
            b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-a\r\n\r\n"
            b"2\r\nhi\r\n0\r\nx-a: 1\r\n\r\n"
        )
        reply = wire.reply("POST")
    assert (reply.body, reply.trailers, "grpc-status" in reply) == (b"ok", [], False)
    assert (there.only.body, there.only.trailers) == (b"hi", [])
    old = origin()
    gate = gateway({**configs.public(old), "listeners": configs.listener(http2={"prior_knowledge": True})})
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a", GRPC)
        stream.data(b"hi")
        stream.finish([("x-a", "1")])
        assert stream.read() == b"ok"
    assert "x-a" not in old.only


def test_an_answer_of_nothing_but_a_head(gateway, service):
    """Trailers-only: status and message stand in the head."""

    def behave(stream: Stream) -> None:
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")]
        stream.headers(fields, end=True)

    gate = gateway(config(service(behaviour=behave).url))
    with Http2Client(gate.address()) as wire:
        stream = wire.post("/a", b"x", GRPC)
        assert (stream["grpc-status"], stream.body, stream.trailers) == ("5", b"", [])


def test_both_ways_at_once(gateway, service):
    """The answer begins before the request ends, and the client's half ends last but one."""
    there = service()

    def echo(stream: Stream) -> None:
        stream.headers([(":status", "200"), ("content-type", "application/grpc")])
        sent = 0
        while not (stream.ended and sent == len(stream.body)):
            stream.wait(lambda: stream.ended or stream.unread)
            stream.acknowledge()
            stream.data(stream.body[sent:])
            sent = len(stream.body)
        stream.finish([("grpc-status", "0")])

    there.behaviour = echo
    gate = gateway(config(there.url))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a", GRPC)
        assert stream.status == 200, "a head before anything was sent"
        for number in range(1, 20):
            stream.data(b"ping")
            stream.wait(lambda number=number: len(stream.body) == 4 * number)
            assert not stream.ended
        stream.data(b"", end=True)
        stream.wait(lambda: stream.ended)
        assert stream.trailers == [("grpc-status", "0")]


def test_a_client_that_only_listens_is_no_slow_client(gateway, service):
    """`timeouts.body` of the listener is for requests that stall, not for the open half of a stream."""
    there = service()
    step = threading.Semaphore(0)

    def tell(stream: Stream) -> None:
        stream.headers([(":status", "200"), ("content-type", "application/grpc")])
        for _ in range(8):
            step.acquire(timeout=0.1)
            stream.data(b"news")
        stream.finish([("grpc-status", "0")])

    there.behaviour = tell
    whole = config(there.url)
    whole["listeners"] = configs.listener(http2={"prior_knowledge": True}, timeouts={"body": "300ms"})
    gate = gateway(whole)
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a", GRPC)
        assert stream.read() == b"news" * 8
        assert stream.trailers == [("grpc-status", "0")]


def test_a_stream_on_which_nothing_moves_ends(gateway, service):
    there = service()
    release = threading.Event()

    def wait(stream: Stream) -> None:
        stream.headers([(":status", "200"), ("content-type", "application/grpc")])
        release.wait(20)

    there.behaviour = wait
    gate = gateway(config(there.url, {"timeouts": {"idle": "300ms"}}))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a", GRPC)
        with pytest.raises(Gone):
            stream.read()
    release.set()
    assert gate.wait_log(1)[0]["reason"] == "service_timeout"


@pytest.mark.parametrize(
    ("route", "path", "code", "status", "reason"),
    [
        ({}, "/a/%2e%2e/b", "13", 400, "path_not_canonical"),
        ({"template": "/known"}, "/a", "12", 404, "route_not_found"),
        ({"methods": "GET"}, "/a", "12", 405, "method_not_allowed"),
        ({"limits": {"body": "1KiB"}}, "/a", "8", 413, "body_too_large"),
    ],
)
def test_refusals(gateway, service, route, path, code, status, reason):
    there = service()
    gate = gateway(config(there.url, route))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", path, [*GRPC, ("content-length", "2000")])
        assert stream.status == 200
        stream.wait(lambda: stream.ended)
        assert (stream["grpc-status"], stream["content-type"], stream.body) == (code, "application/grpc", b"")
        assert stream["grpc-message"].startswith(f"{reason}: ")
        identity = stream["x-request-id"]
    assert there.saw_nothing()
    line = gate.wait_log(1)[0]
    assert (line["status"], line["reason"], line["request_id"]) == (status, reason, identity)


def test_refusals_of_others_stay_problem_documents(gateway, service):
    there = service()
    gate = gateway(config(there.url, {"template": "/known"}))
    with Http2Client(gate.address()) as wire:
        for kind in ("application/json", "application/grpc-web"):
            stream = wire.post("/a", b"x", [("content-type", kind)])
            assert (stream.status, stream["content-type"]) == (404, "application/problem+json")
    refused = gate.post("/a", b"x", GRPC[:1])
    assert (refused.status, refused.reason) == (404, "route_not_found"), "HTTP/1.1 has no trailers"


def test_a_service_that_is_gone_is_unavailable(gateway):
    gate = gateway(config(f"http://127.0.0.1:{free_port()}"))
    with Http2Client(gate.address()) as wire:
        stream = wire.post("/a", b"x", GRPC)
        assert (stream.status, stream["grpc-status"]) == (200, "14")
    assert gate.wait_log(1)[0]["status"] == 502


def test_the_clients_deadline_counts_and_never_lengthens(gateway, service):
    there = service()
    release = threading.Event()
    there.behaviour = lambda _: release.wait(20)
    for total, asked in (("1h", "50m"), ("300ms", "10S")):
        gate = gateway(config(there.url, {"timeouts": {"total": total, "first_byte": "1h"}}))
        with Http2Client(gate.address()) as wire:
            stream = wire.post("/a", b"x", [*GRPC, ("grpc-timeout", asked)])
            assert (stream["grpc-status"], stream["grpc-message"].partition(":")[0]) == ("4", "total_timeout")
        assert there.requests[-1]["grpc-timeout"] == asked
        line = gate.wait_log(1)[0]
        assert (line["status"], line["reason"]) == (504, "total_timeout")
    before = len(there.requests)
    with Http2Client(gate.address()) as wire:
        for odd in ("1", "x", "-1S", "123456789S"):
            stream = wire.post("/a", b"x", [*GRPC, ("grpc-timeout", odd)])
            assert stream["grpc-message"].startswith("header_invalid: ")
    assert len(there.requests) == before
    release.set()


def test_the_body_limit_counts_all_messages_of_a_stream(gateway, service):
    there = service(behaviour=lambda stream: stream.read())
    gate = gateway(config(there.url, {"limits": {"body": "10KiB"}}))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a", GRPC)
        for _ in range(11):
            stream.data(b"x" * 1024)
        stream.wait(lambda: stream.ended)
        assert stream["grpc-message"].startswith("body_too_large: ")
