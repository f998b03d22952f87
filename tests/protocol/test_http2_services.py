"""HTTP/2 to services: with and without TLS, bodies both ways, resets, stream limits, GOAWAY, nginx."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h2.errors
import pytest

from tests.support import configs
from tests.support.http2_peer import MAX_STREAMS, Gone, Http2Client, Http2Service, Stream, reply
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.wire import Truncated

BIG = bytes(range(256)) * 20_000
Start = Callable[..., Http2Service]


@pytest.fixture
def service(_cleanup: contextlib.ExitStack) -> Start:
    """`service()` starts one that speaks HTTP/2."""

    def start(**options: Any) -> Http2Service:
        started = Http2Service(**options)
        _cleanup.callback(started.close)
        return started

    return start


def to(service: Any, protocol: str = "http2", http2: Any = None, route: Any = None, **changes: Any) -> Any:
    more = {**({"http2": http2} if http2 else {}), **changes}
    return {
        "services": {"origin": {**configs.service(service), "protocol": protocol, **more}},
        "routes": {"open": configs.route(**(route or {}))},
        "listeners": configs.listener(http2={"prior_knowledge": True}),
    }


def trusting(authority_file: str) -> dict[str, Any]:
    return {"tls": {"ca": authority_file, "server_name": "localhost"}}


def test_prior_knowledge(gateway, service):
    there = service(behaviour=reply(b"hello", ("x-a", "b"), ("server", "secret")))
    gate = gateway(to(there))
    answer = gate.get("/a?b=c", [("Cookie", "a=1"), ("TE", "trailers"), ("Connection", "x-b"), ("X-B", "1")])
    assert (answer.status, answer.body, answer["x-a"], answer["content-length"]) == (200, b"hello", "b", "5")
    assert "server" not in answer
    seen = there.only
    assert (seen[":method"], seen[":scheme"], seen[":path"]) == ("GET", "http", "/a?b=c")
    assert (seen[":authority"], seen["cookie"], seen["x-forwarded-host"]) == (
        f"127.0.0.1:{there.port}", "a=1", "gateway.test",
    )  # fmt: skip
    assert not {"te", "connection", "host", "x-b", "transfer-encoding"} & {name for name, _ in seen.head}
    for number in range(20):
        assert gate.get(f"/{number}").status == 200
    assert there.accepted == 1, "requests one after the other share a connection"
    assert f"127.0.0.1:{there.port}" in str(gate.wait_log(21)[0])


def test_over_tls_and_never_without_alpn(gateway, service, origin, server_tls, authority_file, certificate):
    there = service(tls=server_tls)
    gate = gateway(to(there, **trusting(authority_file)))
    assert gate.get("/a").status == 200
    assert there.only[":scheme"] == "https"
    # One that does not say `h2` in the handshake never gets a request.
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(plain)
    old = origin(tls=plain)
    gate = gateway(to(old, **trusting(authority_file)))
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (502, "service_tls_failed")
    assert not old.requests


def test_auto_takes_what_the_service_chooses(
    gateway, service, origin, server_tls, authority_file, certificate
):
    new = service(tls=server_tls)
    gate = gateway(to(new, "auto", **trusting(authority_file)))
    assert [gate.get("/a").status for _ in range(3)] == [200] * 3
    assert new.accepted == 1
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    old = origin(tls=context)
    gate = gateway(to(old, "auto", **trusting(authority_file)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: gate.get("/b").status, range(24))) == [200] * 24
    assert old.last.head.startswith(b"GET /b HTTP/1.1")
    before = old.connections
    assert gate.get("/c").status == 200
    assert old.connections == before, "kept connections are used"


def test_a_service_that_speaks_something_else(gateway, origin):
    """Its answer to the preface is no SETTINGS frame: no request is sent."""
    old = origin()
    gate = gateway(to(old))
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (502, "service_unreachable")
    eventually(lambda: old.open_connections == 0)
    assert not old.requests
    old.faults.clear()


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_big_bodies_both_ways(gateway, service, client):
    there = service()

    def echo(stream: Stream) -> None:
        stream.headers([(":status", "200")])
        sent = 0
        while not (stream.ended and sent == len(stream.body)):
            stream.wait(lambda: stream.ended or stream.unread)
            stream.acknowledge()
            piece = stream.body[sent : sent + 50_000]
            sent += len(piece)
            stream.data(piece)
        stream.data(b"", end=True)

    there.behaviour = echo
    gate = gateway(to(there, route={"limits": {"body": "10MiB"}}))
    if client == "http1":
        assert gate.post("/a", BIG).body == BIG
        return
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a")
        writer = threading.Thread(target=lambda: stream.data(BIG, end=True))
        writer.start()
        assert stream.read() == BIG
        writer.join()


def test_a_slow_reader_stops_the_service_and_nobody_else(gateway, service):
    """No more than the window is taken from the service for a client that does not read."""
    there = service()
    sent: list[int] = []

    def pour(stream: Stream) -> None:
        stream.headers([(":status", "200"), ("content-length", str(len(BIG)))])
        for start in range(0, len(BIG), 16_384):
            stream.data(BIG[start : start + 16_384], end=start + 16_384 >= len(BIG))
            sent.append(1)

    there.paths["/pour"] = pour
    gate = gateway(to(there, http2={"connections": 1, "window": "64KiB"}))
    with contextlib.ExitStack() as clients:
        slow = [
            clients.enter_context(Http2Client(gate.address())).begin(path="/pour", end=True) for _ in range(5)
        ]
        for stream in slow:
            assert stream.status == 200
        eventually(lambda: all(stream.unread == 65_535 for stream in slow))
        for _ in range(20):
            assert gate.get("/quick").status == 200
        # What the client's window and the gateway's own take, and what waits in the gateway's buffers.
        assert sum(sent) * 16_384 < 5 * (256 << 10), "the service was not stopped"
        assert slow[0].read() == BIG
    assert there.accepted == 1


def test_a_slow_service_stops_the_client(gateway, service):
    there = service()
    release = threading.Event()

    def lazy(stream: Stream) -> None:
        release.wait(20)
        stream.read()
        stream.headers([(":status", "200")], end=True)

    there.behaviour = lazy
    gate = gateway(to(there, route={"limits": {"body": "10MiB"}}))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a")
        writer = threading.Thread(target=lambda: stream.data(BIG, end=True))
        writer.start()
        there.wait_for(1)
        eventually(lambda: len(there.only.body) == 65_535, what="the service's window is full")
        assert writer.is_alive()
        release.set()
        assert stream.status == 200
        writer.join()
    assert there.only.body == BIG


def test_a_reset_before_the_answer(gateway, service):
    there = service(behaviour=lambda stream: stream.reset(h2.errors.ErrorCodes.INTERNAL_ERROR))
    gate = gateway(to(there))
    answer = gate.post("/a", b"x")
    assert (answer.status, answer.reason) == (502, "service_reset")
    assert len(there.requests) == 1, "what may have been acted on is not sent again"
    there.behaviour = reply()
    assert gate.get("/b").status == 200
    assert there.accepted == 1, "the connection lives on"


def test_a_reset_inside_an_answer_cuts_it(gateway, service):
    there = service()

    def cut(stream: Stream) -> None:
        stream.headers([(":status", "200")])
        stream.data(b"hello")
        stream.reset(h2.errors.ErrorCodes.INTERNAL_ERROR)

    there.behaviour = cut
    gate = gateway(to(there))
    with gate.connect() as wire, pytest.raises(Truncated):
        wire.ask(target="/a")
    assert gate.wait_log(1)[0]["reason"] == "service_reset"
    with Http2Client(gate.address()) as wire, pytest.raises(Gone):
        wire.get("/a")


@pytest.mark.parametrize("length", [3, 7])
def test_a_body_of_another_length_cuts_the_answer(gateway, service, length):
    there = service()

    def lie(stream: Stream) -> None:
        stream.headers([(":status", "200"), ("content-length", str(length))])
        stream.data(b"hello", end=True)

    there.behaviour = lie
    gate = gateway(to(there))
    with Http2Client(gate.address()) as wire, pytest.raises(Gone):
        wire.get("/a")


@pytest.mark.parametrize(
    "fields",
    [
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("X-Upper", "1")],
        [("content-length", "2"), ("content-length", "2")],
        [("content_length", "2")],
        [(f"x-{number}", "1") for number in range(300)],
        [("x-long", "a" * 70_000)],
    ],
    ids=["connection", "te", "upper", "lengths", "alias", "many", "long"],
)
def test_malformed_answers(gateway, service, fields):
    there = service()

    def odd(stream: Stream) -> None:
        stream.headers([(":status", "200"), *fields])
        stream.data(b"ok", end=True)

    there.behaviour = odd
    gate = gateway(to(there))
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (502, "service_response_invalid")
    assert len(there.requests) == 1


def test_interim_answers_are_dropped_and_counted(gateway, service):
    there = service()

    def behave(stream: Stream) -> None:
        for _ in range(int(stream[":path"][1:])):
            stream.headers([(":status", "103"), ("link", "</a>")])
        stream.headers([(":status", "200")], end=True)

    there.behaviour = behave
    gate = gateway(to(there))
    assert gate.get("/8").status == 200
    answer = gate.get("/9")
    assert (answer.status, answer.reason) == (502, "service_response_invalid")


def test_an_early_answer_is_passed_on(gateway, service):
    """RFC 9113 section 8.1: the whole answer, then NO_ERROR for a request that is not wanted any more."""
    there = service()

    def early(stream: Stream) -> None:
        stream.wait(lambda: stream.body)
        stream.headers([(":status", "403")])
        stream.data(b"no", end=True)
        stream.reset(h2.errors.ErrorCodes.NO_ERROR)

    there.behaviour = early
    gate = gateway(to(there, route={"limits": {"body": "10MiB"}}))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a")
        stream.data(b"x" * 1000)
        assert (stream.status, stream.read()) == (403, b"no")


@pytest.mark.parametrize("fields", [[("content-length", "10")], []], ids=["known length", "no length"])
def test_a_part_of_an_answer_is_none_whatever_the_reset_says(gateway, service, fields):
    """NO_ERROR before the end: to a client of HTTP/1.1 the next answer would be the rest of this one."""
    there = service()

    def cut(stream: Stream) -> None:
        stream.headers([(":status", "200"), *fields])
        stream.data(b"hello")
        stream.reset(h2.errors.ErrorCodes.NO_ERROR)

    there.paths["/cut"] = cut
    gate = gateway(to(there))
    with gate.connect(timeout=5) as wire, pytest.raises(Truncated):
        wire.ask(target="/cut")
    assert gate.wait_log(1)[0]["reason"] == "service_reset"
    with Http2Client(gate.address()) as wire, pytest.raises(Gone):
        wire.get("/cut")
    assert gate.get("/next").body == b"ok"


def test_a_client_that_leaves_resets_the_stream(gateway, service):
    there = service(behaviour=lambda stream: stream.wait(lambda: stream.reset_code is not None))
    gate = gateway(to(there))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("GET", "/a", end=True)
        there.wait_for(1)
        stream.reset()
        eventually(lambda: there.only.reset_code == h2.errors.ErrorCodes.CANCEL)
    there.behaviour = reply()
    assert gate.get("/b").status == 200
    assert there.accepted == 1


def test_targets_that_http2_cannot_say(gateway, service):
    there = service()
    gate = gateway(to(there))
    answer = gate.get("/a?b=<c>")
    assert (answer.status, answer.reason) == (400, "malformed_request")
    assert there.saw_nothing()


class Held:
    """Answers wait until they are let go."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.most = 0
        self.now = 0
        self.lock = threading.Lock()

    def __call__(self, stream: Stream) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.release.wait(20)
        with self.lock:
            self.now -= 1
        reply()(stream)


def test_full_connections_open_more_and_then_requests_wait(gateway, service):
    """The service's limit of two streams counts, and never more than three connections are opened."""
    held = Held()
    there = service(behaviour=held, settings={MAX_STREAMS: 2})
    gate = gateway(to(there, http2={"connections": 3, "streams": 50}))
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(gate.get, f"/{number}") for number in range(20)]
        eventually(lambda: held.now == 6)
        held.release.set()
        assert [answer.result().status for answer in answers] == [200] * 20
    assert (there.accepted, held.most) == (3, 6)


def test_too_many_that_wait_are_refused(gateway, service):
    held = Held()
    there = service(behaviour=held)
    gate = gateway(to(there, http2={"connections": 1, "streams": 2}))
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(gate.get, f"/{number}") for number in range(10)]
        eventually(lambda: sum(answer.done() for answer in answers) == 6)
        held.release.set()
        refused = [answer.result() for answer in answers if answer.result().status != 200]
    assert [(answer.status, answer.reason) for answer in refused] == [(503, "service_overloaded")] * 6
    assert len(there.requests) == 4


def test_a_place_is_waited_for_within_the_connect_limit(gateway, service):
    held = Held()
    there = service(behaviour=held)
    gate = gateway(
        to(there, http2={"connections": 1, "streams": 1}, route={"timeouts": {"connect": "300ms"}})
    )
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gate.get, "/a")
        there.wait_for(1)
        answer = gate.get("/b")
        assert (answer.status, answer.reason) == (504, "service_connect_timeout")
        held.release.set()
        assert first.result().status == 200
    assert len(there.requests) == 1


@pytest.mark.parametrize("how", ["refused", "goaway"])
def test_what_the_service_did_not_look_at_is_sent_again(gateway, service, how):
    """Whatever the method is, and with its body."""
    there = service()
    first = threading.Event()

    def behave(stream: Stream) -> None:
        if first.is_set():
            return reply(bytes(stream.read()))(stream)
        stream.wait(lambda: len(stream.body) >= 1000)
        first.set()
        if how == "refused":
            return stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)
        return stream.connection.say_goaway(0)

    there.behaviour = behave
    gate = gateway(to(there))
    with Http2Client(gate.address()) as wire:
        stream = wire.begin("POST", "/a")
        stream.data(b"a" * 1000)
        there.wait_for(2)
        stream.data(b"b" * 1000, end=True)
        assert stream.read() == b"a" * 1000 + b"b" * 1000
        assert stream.status == 200
    assert len(there.requests) == 2
    assert there.accepted == (1 if how == "refused" else 2)


def test_a_service_that_refuses_all_is_502(gateway, service):
    there = service(behaviour=lambda stream: stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM))
    gate = gateway(to(there))
    answer = gate.post("/a", b"x")
    assert (answer.status, answer.reason) == (502, "service_reset")
    assert len(there.requests) == 3


def test_a_big_body_is_not_sent_again(gateway, service):
    there = service()

    def behave(stream: Stream) -> None:
        while len(stream.body) < 100_000:
            stream.wait(lambda: stream.unread)
            stream.acknowledge()
        stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)

    there.behaviour = behave
    gate = gateway(to(there))
    answer = gate.post("/a", b"x" * 200_000)
    assert (answer.status, answer.reason) == (502, "service_reset")
    assert len(there.requests) == 1


def test_goaway_lets_what_is_under_way_end(gateway, service):
    held = Held()
    there = service(behaviour=held)
    gate = gateway(to(there))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gate.get, "/a")
        there.wait_for(1)
        there.only.connection.say_goaway(there.only.number)
        there.paths["/b"] = reply(b"new")
        assert gate.get("/b").body == b"new"
        assert there.accepted == 2
        held.release.set()
        assert first.result().status == 200
    eventually(lambda: there.open_connections == 1, what="the old connection closes")


def test_a_connection_that_is_cut_is_replaced(gateway, service):
    there = service()
    gate = gateway(to(there))
    for number in range(5):
        assert gate.get(f"/{number}").status == 200
        there.connections[-1].close()
        eventually(lambda: there.open_connections == 0)
    assert there.accepted == 5


def test_an_idle_connection_closes(gateway, service):
    there = service()
    gate = gateway(to(there, pool={"idle_timeout": "1ms"}))
    for number in range(3):
        assert gate.get(f"/{number}").status == 200
        end = time.monotonic() + 0.002
        eventually(lambda end=end: time.monotonic() > end)
    assert there.accepted == 3
    eventually(lambda: there.open_connections == 1, what="those that waited too long are closed")


class Silent:
    """Between gateway and service: passes bytes on until told to keep them."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.port = port
        self.silent: set[socket.socket] = set()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                self.pairs.append((near, far))
                threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self.silent and target not in self.silent:
                    target.sendall(data)

    def close(self) -> None:
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def silent(_cleanup: contextlib.ExitStack) -> Callable[[int], Silent]:
    def start(port: int) -> Silent:
        started = Silent(port)
        _cleanup.callback(started.close)
        return started

    return start


def test_a_dead_connection_is_noticed_and_left(gateway, service, silent):
    """Nothing comes over it, not even a reset: the ping is not answered."""
    held = Held()
    there = service()
    between = silent(there.port)
    config = to(there, http2={"ping": "1s", "ping_timeout": "200ms", "connections": 1})
    config["services"]["origin"]["endpoints"] = between.url
    gate = gateway(config)
    assert gate.get("/a").status == 200
    between.silent.add(between.pairs[0][0])
    there.behaviour = held
    held.release.set()
    # Not idempotent, so that it is not sent again by itself.
    answer = gate.post("/b", b"x")
    assert (answer.status, answer.reason) == (502, "service_reset")
    assert gate.get("/c").status == 200
    assert len(between.pairs) == 2


def test_a_living_connection_answers_pings(gateway, service):
    there = service()
    there.behaviour = lambda stream: (eventually(lambda: stream.connection.pings >= 1), reply()(stream))
    gate = gateway(to(there, http2={"ping": "1s", "ping_timeout": "5s"}))
    assert gate.get("/a").status == 200


def test_an_http2_client_and_an_http1_service(gateway, origin):
    there: Origin = origin()
    gate = gateway(to(there, "http1"))
    with Http2Client(gate.address()) as wire:
        assert wire.post("/a", b"hello").body == b"ok"
    assert there.only.body == b"hello"


def test_head_204_and_304(gateway, service):
    there = service()

    def behave(stream: Stream) -> None:
        status = stream[":path"][1:]
        fields = [(":status", status)] + ([("content-length", "5")] if status != "204" else [])
        stream.headers(fields, end=True)

    there.behaviour = behave
    gate = gateway(to(there))
    with gate.connect() as wire:
        head = wire.ask("HEAD", "/200")
        assert (head.status, head["content-length"], head.body) == (200, "5", b"")
        assert wire.ask("GET", "/304").status == 304
        assert wire.ask("GET", "/204").status == 204


def test_another_bound_takes_effect_at_a_reload(gateway, service):
    held = Held()
    there = service(behaviour=held)
    gate = gateway(to(there, http2={"connections": 1, "streams": 1}))
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(gate.get, "/a")]
        there.wait_for(1)
        gate.reload(to(there, http2={"connections": 2, "streams": 2}))
        answers += [pool.submit(gate.get, f"/{number}") for number in range(3)]
        eventually(lambda: held.now == 4)
        held.release.set()
        assert [answer.result().status for answer in answers] == [200] * 4


@pytest.fixture
def nginx(tmp_path, certificate) -> Iterator[Callable[[str], int]]:
    """`nginx(directives)` starts one that speaks HTTP/2 over TLS, and says its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "nginx is one of .ci/packages"
    running: list[subprocess.Popen[bytes]] = []

    def start(directives: str) -> int:
        (tmp_path / "n.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        (tmp_path / "n.key").write_bytes(certificate.private_key_pem.bytes())
        port = free_port()
        (tmp_path / "slow").write_bytes(BIG[:50_000])
        (tmp_path / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; {"user root;" if os.geteuid() == 0 else ""} pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
            events {{ worker_connections 512; }}
            http {{
              log_format numbered $connection; access_log {tmp_path}/access.log numbered; client_body_temp_path {tmp_path}/body;
              proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;
              uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;
              {directives}
              server {{
                listen 127.0.0.1:{port} ssl http2;
                ssl_certificate {tmp_path}/n.pem; ssl_certificate_key {tmp_path}/n.key;
                location / {{ return 200 "hello"; }}
                location /slow {{ alias {tmp_path}/slow; limit_rate 100k; }}
              }}
            }}""")
        running.append(subprocess.Popen([program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]))

        def answers() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            return False

        eventually(answers)
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def test_nginx_that_ends_connections_loses_no_request(gateway, nginx, origin, authority_file):
    """It says GOAWAY after every 20 requests, while others are on their way."""
    port = nginx("keepalive_requests 20;")
    config = to(origin(), **trusting(authority_file))
    config["services"]["origin"] = {
        "endpoints": f"https://127.0.0.1:{port}", "protocol": "http2", **trusting(authority_file),
    }  # fmt: skip
    gate = gateway(config)

    def several(_: int) -> list[tuple[int, bytes]]:
        with gate.connect() as wire:
            answers = [wire.ask(target=f"/{number}") for number in range(40)]
        return [(answer.status, answer.body) for answer in answers]

    with ThreadPoolExecutor(10) as pool:
        found = [answer for answers in pool.map(several, range(10)) for answer in answers]
    assert found == [(200, b"hello")] * 400


def test_nginx_that_takes_two_streams_gets_more_connections(gateway, nginx, origin, authority_file, tmp_path):
    port = nginx("http2_max_concurrent_streams 2;")
    config = to(origin(), http2={"connections": 3}, **trusting(authority_file))
    config["services"]["origin"]["endpoints"] = f"https://127.0.0.1:{port}"
    del config["services"]["origin"]["plaintext"]
    gate = gateway(config)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: gate.get("/slow"), range(12)))
    assert [(answer.status, answer.body == BIG[:50_000]) for answer in answers] == [(200, True)] * 12
    log = eventually(
        lambda: (lines := (tmp_path / "access.log").read_text().split()) and len(lines) == 12 and lines
    )
    assert len(set(log)) == 3
