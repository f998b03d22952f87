"""Passthrough: TLS is forwarded unopened by the name that the client asks for, and everything unclear is closed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocol.test_proxy_protocol import announce
from tests.support import configs
from tests.support.certificates import Made, make
from tests.support.nginx import Nginx
from tests.support.waiting import eventually
from tests.support.wire import Wire

NAME = "db.example.com"


def config(*services: Any, passthrough: Any = None, **listener: Any) -> dict[str, Any]:
    hosts = {NAME: {"service": "s0"}, "*.shop.test": {"service": f"s{len(services) - 1}"}}
    raw = {"address": "127.0.0.1:0", "passthrough": {"hosts": hosts, **(passthrough or {})}, **listener}
    return {
        "listeners": {"raw": raw},
        "services": {f"s{n}": {"endpoints": one.url} for n, one in enumerate(services)},
        "routes": {},
    }


@pytest.fixture
def root() -> Made:
    return make("root", authority=True)


@pytest.fixture
def trust(root: Made) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=root.pem)


@pytest.fixture
def encrypted(origin: Any, root: Made, tmp_path: Any) -> Any:
    """A service with TLS of its own, for these names."""
    count = iter(range(100))

    def start(*names: str, version: ssl.TLSVersion | None = None) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            make("service", by=root, names=names or [NAME]).written(tmp_path / f"{next(count)}.pem")
        )
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return origin(tls=context)

    return start


@pytest.fixture
def nginx(root: Made, tmp_path: Any) -> Iterator[Nginx]:
    server = Nginx(make("nginx", by=root, names=[NAME]), tmp_path)
    with contextlib.closing(server):
        yield server


class Plain:
    """A service that sees exactly what comes over TCP, and answers as it is told."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        self.listener.settimeout(10)
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        return connection

    def saw_nobody(self) -> bool:
        self.listener.setblocking(False)
        try:
            self.listener.accept()
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def plain() -> Iterator[Plain]:
    service = Plain()
    with service.listener:
        yield service


def counted(gate: Any, end: str, count: int) -> None:
    """A client may see the close before it is counted."""
    ended = lambda: gate.metric("yett_passthrough_connections_total", end=end)  # noqa: E731
    eventually(lambda: ended() >= count, what=f"{count} connections that ended with {end}")
    assert ended() == count


def hello(name: str | None = NAME) -> bytes:
    """What a real client sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_client_meets_a_real_servers_own_certificate(gateway, nginx, trust, root):
    gate = gateway(config(nginx))
    with gate.connect("raw", tls=trust, server_name=NAME) as wire:
        shown = wire.socket.getpeercert(binary_form=True)
        direct = ssl.get_server_certificate(("127.0.0.1", nginx.port))
        assert ssl.DER_cert_to_PEM_cert(shown) == direct
        reply = wire.ask("GET", "/", [("Connection", "close")])
        assert (reply.status, reply.body) == (200, f"{NAME} TLSv1.3 HTTP/1.1".encode())
        assert wire.closed()
    line = gate.log_line(passthrough=True)
    assert (line["host"], line["service"], line["listener"]) == (NAME, "s0", "raw")
    assert line["endpoint"] == f"127.0.0.1:{nginx.port}" and line["client"] == "127.0.0.1"
    assert line["end"] in {"complete", "client_closed"} and line["bytes_in"] > 300 and line["bytes_out"] > 700
    assert gate.metric("yett_passthrough_bytes_in_total") == line["bytes_in"]
    assert gate.metric("yett_passthrough_bytes_out_total") == line["bytes_out"]
    counted(gate, line["end"], 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_names_lead_to_their_services(gateway, encrypted, trust, version):
    one, two = encrypted(version=version), encrypted("a.shop.test", "b.c.shop.test", version=version)
    gate = gateway(config(one, two))
    for name in (NAME, "a.shop.test", "B.C.shop.test"):
        with gate.connect("raw", tls=trust, server_name=name) as wire:
            assert wire.ask("POST", "/x", body=b"y" * 100_000).status == 200
            assert wire.ask("GET", "/x").status == 200
    assert (len(one.requests), len(two.requests)) == (2, 4)
    assert one.requests[0].body == b"y" * 100_000


@pytest.mark.parametrize("name", ["other.example.com", "example.com", "shop.test", "a.db.example.com", None])
def test_other_names_and_none_are_told_and_closed(gateway, plain, name):
    gate = gateway(config(plain))
    with gate.connect("raw") as wire:
        wire.send(hello(name))
        assert wire.rest() == bytes([21, 3, 3, 0, 2, 2, 112]), "a fatal alert: unrecognized_name"
    assert plain.saw_nobody()
    end = "no_name" if name is None else "unknown_name"
    assert gate.log_line(end=end).get("host") == name
    counted(gate, end, 1)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"GET / HTTP/1.1\r\nHost: db.example.com\r\n\r\n", "not_tls"),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "not_tls"),
        (b"\x80\x2e\x01\x03\x01", "not_tls"),
        (b"\x16\x03\x01\x00\x00" * 50, "not_tls"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "not_tls"),
        (bytes([22, 3, 1, 64, 0, 1, 0, 255, 0]) + bytes(40_000), "hello_too_long"),
    ],
)
def test_what_is_no_hello_is_closed(gateway, plain, data, end):
    gate = gateway(config(plain))
    with gate.connect("raw") as wire:
        wire.try_send(data)
        assert wire.closed()
    assert plain.saw_nobody()
    assert gate.log_line(passthrough=True)["end"] in {end, "not_tls"}


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_hello_in_pieces_arrives_whole_and_unchanged(gateway, plain, size):
    gate = gateway(config(plain))
    data = hello()
    with gate.connect("raw") as wire:
        for start in range(0, len(data), size):
            wire.send(data[start : start + size])
        service = plain.accept()
        got = b""
        while len(got) < len(data):
            got += service.recv(65536)
        assert got == data
        # Over several records, too.
        service.close()
    parts = [data[5:][start : start + 50] for start in range(0, len(data) - 5, 50)]
    records = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    with gate.connect("raw") as wire:
        wire.send(records)
        service = plain.accept()
        got = b""
        while len(got) < len(records):
            got += service.recv(65536)
        assert got == records
        service.close()


def test_a_client_that_says_nothing_is_closed_in_time(gateway, plain):
    gate = gateway(config(plain, timeouts={"handshake": "200ms"}))
    with gate.connect("raw") as silent, gate.connect("raw") as slow:
        slow.send(hello()[:100])
        assert silent.closed() and slow.closed()
    assert plain.saw_nobody()
    counted(gate, "timeout", 2)


def opened(gate: Any, plain: Plain) -> tuple[Wire, socket.socket]:
    """A connection through the gateway, both ends in hand."""
    wire = gate.connect("raw")
    data = hello()
    wire.send(data)
    service = plain.accept()
    assert service.recv(65536) == data
    return wire, service


def test_each_direction_ends_for_itself(gateway, plain):
    gate = gateway(config(plain))
    wire, service = opened(gate, plain)
    with wire, service:
        wire.send(b"question")
        wire.half_close()
        got = b""
        while more := service.recv(65536):
            got += more
        assert got == b"question"
        service.sendall(b"answer" * 1000)
        service.close()
        assert wire.rest() == b"answer" * 1000
    line = gate.log_line(end="complete")
    assert (line["bytes_in"], line["bytes_out"]) == (len(hello()) + 8, 6000)
    # The other way round.
    wire, service = opened(gate, plain)
    with wire, service:
        service.sendall(b"greeting")
        service.shutdown(socket.SHUT_WR)
        assert wire.rest() == b"greeting"
        wire.send(b"still here").half_close()
        assert service.recv(65536) == b"still here"


def test_a_reader_that_stops_fills_no_memory(gateway, plain):
    gate = gateway(config(plain, passthrough={"idle": "1s"}))
    wire, service = opened(gate, plain)
    with wire, service:
        service.settimeout(0.5)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 * 1024 * 1024:
                sent += service.send(bytes(65536))
        # What two sockets hold, and little more.
        assert sent < 32 * 1024 * 1024
    assert gate.log_line(passthrough=True)["end"] in {"idle", "service_closed", "client_closed"}


def test_idle_connections_end_and_busy_ones_do_not(gateway, plain):
    gate = gateway(config(plain, passthrough={"idle": "400ms"}))
    wire, service = opened(gate, plain)
    busy, other = opened(gate, plain)
    with wire, service, busy, other:
        stop = threading.Event()

        def ticks() -> None:
            while not stop.wait(0.05):
                other.sendall(b".")

        thread = threading.Thread(target=ticks)
        thread.start()
        assert wire.closed()
        stop.set()
        thread.join()
        busy.send(b"x")
        assert other.recv(1) == b"x"
    counted(gate, "idle", 1)


def test_addresses_decide_who_may_connect(gateway, plain):
    lists = {"allow": ["127.0.0.0/8", "203.0.113.0/24"], "deny": ["127.0.0.2", "203.0.113.9"]}
    proxied = {"proxy_protocol": {"addresses": ["127.0.0.3"]}}
    gate = gateway(config(plain, passthrough=lists, **proxied))
    for source, head, allowed in [
        ("127.0.0.1", b"", True),
        ("127.0.0.2", b"", False),
        # Who a balancer stands for decides, not the balancer.
        ("127.0.0.3", announce("203.0.113.8"), True),
        ("127.0.0.3", announce("203.0.113.9"), False),
        ("127.0.0.3", announce("198.51.100.1"), False),
        ("127.0.0.3", announce("::ffff:203.0.113.9"), False),
    ]:
        with gate.connect("raw", source=(source, 0)) as wire:
            wire.try_send(head + hello())
            if allowed:
                with plain.accept() as service:
                    assert service.recv(1) == hello()[:1]
            else:
                assert wire.closed()
                assert plain.saw_nobody()
    counted(gate, "address_denied", 4)


def test_a_limit_on_connections_closes_without_a_word(gateway, plain):
    gate = gateway(config(plain, limits={"connections": 1}))
    wire, service = opened(gate, plain)
    with wire, service:
        with gate.connect("raw") as second:
            second.try_send(hello())
            assert second.closed()
        wire.send(b"x")
        assert service.recv(1) == b"x"
    assert gate.metric("yett_connections_refused_total") == 1


def test_a_service_that_is_not_there(gateway, origin):
    service = origin(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    service.stop_listening()
    gate = gateway(config(service))
    with gate.connect("raw") as wire:
        wire.send(hello())
        assert wire.closed()
    assert gate.log_line(passthrough=True)["end"] == "service_unreachable"


def test_a_name_that_resolves_to_the_gateway_is_not_connected_to(gateway, plain):
    full = config(plain)
    gate = gateway(full)
    port = gate.address("raw")[1]
    full["services"]["s0"]["endpoints"] = f"https://localhost:{port}"
    gate.reload(full)
    with gate.connect("raw") as wire:
        wire.send(hello())
        assert wire.closed()
    assert gate.log_line(passthrough=True)["end"] == "service_address_forbidden"


def test_a_reload_of_the_listener_ends_what_it_let_in(gateway, plain):
    gate = gateway(config(plain))
    wire, service = opened(gate, plain)
    with wire, service:
        gate.reload({**config(plain), "environment": "other"})
        wire.send(b"x")
        assert service.recv(1) == b"x"
        gate.reload(config(plain, passthrough={"deny": "127.0.0.0/8"}))
        assert wire.closed()
    assert gate.log_line(passthrough=True)["end"] == "reloaded"


def test_beside_other_listeners(gateway, plain, origin):
    service = origin()
    full = configs.deep(configs.public(service))
    more = config(plain)
    full["listeners"] = {**configs.listener(), **more["listeners"]}
    full["services"] |= more["services"]
    gate = gateway(full)
    wire, other = opened(gate, plain)
    with wire, other:
        assert gate.get("/x").status == 200
        # And there it is no HTTP.
        assert eventually(lambda: gate.metric("yett_passthrough_connections_total") == 0)
