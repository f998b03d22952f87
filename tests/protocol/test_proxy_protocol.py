"""PROXY protocol version 2: required from trusted addresses, refused from others, before TLS."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Wire, head

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
BALANCER = {"addresses": ["127.0.0.1"]}


def crc32c(data: bytes) -> int:
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total >> 1) ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def announce(
    source: str = "203.0.113.9",
    port: int = 40000,
    command: int = 0x21,
    family: int | None = None,
    tlvs: bytes = b"",
    checksum: bool = False,
) -> bytes:
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    address = socket.inet_pton(kind, source)
    block = address + address + struct.pack("!HH", port, 443) + tlvs
    if family is None:
        family = 0x21 if ":" in source else 0x11
    if not checksum:
        return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block
    start = SIGNATURE + struct.pack("!BBH", command, family, len(block) + 7) + block + b"\x03\x00\x04"
    return start + struct.pack("!I", crc32c(start + bytes(4)))


def listener(addresses=BALANCER, **more):
    return configs.listener(proxy_protocol=addresses, **more)


@pytest.fixture
def shop(gateway, origin):
    service = origin()
    return gateway({**configs.public(service), "listeners": listener()}), service


def ask(wire: Wire, announced: bytes, **options):
    wire.send(announced)
    return wire.ask(**options)


@pytest.mark.parametrize("source", ["203.0.113.9", "2001:db8::9"])
def test_the_announced_address_is_the_client(shop, source):
    gate, service = shop
    with gate.connect() as wire:
        assert ask(wire, announce(source), target="/a").status == 200
        assert wire.ask(target="/b").status == 200
    assert [seen["x-forwarded-for"] for seen in service.requests] == [source, source]
    assert gate.log_line(path="/a")["client"] == source


def test_byte_by_byte_and_with_tlvs_and_checksum(shop):
    gate, service = shop
    data = announce(tlvs=b"\x02\x00\x04host" + b"\x04\x00\x00" + b"\x20\x03\xe8" + bytes(1000), checksum=True)
    with gate.connect() as wire:
        for byte in data + head("GET", "/a"):
            wire.send(bytes([byte]))
        assert wire.reply().status == 200
    assert service.only["x-forwarded-for"] == "203.0.113.9"


def test_local_is_the_balancer_itself(shop):
    gate, service = shop
    with gate.connect() as wire:
        assert ask(wire, SIGNATURE + b"\x20\x00\x00\x00", target="/health").status == 200
    assert service.only["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        (head("GET", "/a"), "missing"),
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n" + head("GET", "/a"), "malformed"),
        (announce(command=0x22) + head("GET", "/a"), "malformed"),
        (announce(command=0x11) + head("GET", "/a"), "malformed"),
        (announce(family=0x12) + head("GET", "/a"), "malformed"),
        (announce(family=0x31, tlvs=bytes(216)) + head("GET", "/a"), "malformed"),
        (announce(family=0x00) + head("GET", "/a"), "malformed"),
        (announce(tlvs=b"\x04\x00\x09x") + head("GET", "/a"), "malformed"),
        (announce(checksum=True)[:-1] + b"\x00" + head("GET", "/a"), "malformed"),
        (announce(tlvs=b"\x04\x10\x00" + bytes(4096)) + head("GET", "/a"), "malformed"),
        (SIGNATURE[:11] + b"X" + announce()[12:] + head("GET", "/a"), "missing"),
    ],
)
def test_a_trusted_address_has_to_announce_and_well(shop, data, counter):
    gate, service = shop
    with gate.connect() as wire:
        wire.try_send(data)
        assert wire.closed()
    assert service.saw_nothing()
    name = f"yett_proxy_protocol_{counter}_total"
    eventually(lambda: gate.metric(name) == 1, what=name)


def test_a_header_that_does_not_come_is_not_waited_for(gateway, origin):
    service = origin()
    gate = gateway({**configs.public(service), "listeners": listener(timeouts={"handshake": "200ms"})})
    with gate.connect() as silent, gate.connect() as slow:
        slow.send(announce()[:20])
        assert silent.closed(5.0)
        assert slow.closed(5.0)
    assert gate.metric("yett_proxy_protocol_missing_total") == 2
    assert service.saw_nothing()


@pytest.mark.parametrize("data", [announce(), b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n"])
def test_nobody_else_announces(gateway, origin, data):
    service = origin()
    gate = gateway({**configs.public(service), "listeners": listener({"addresses": ["192.0.2.0/24"]})})
    with gate.connect() as wire:
        wire.try_send(data + head("GET", "/a"))
        assert wire.closed()
    assert service.saw_nothing()
    eventually(lambda: gate.metric("yett_proxy_protocol_untrusted_total") == 1)
    assert gate.get("/a").status == 200, "without it, others are served as they are"
    assert service.only["x-forwarded-for"] == "127.0.0.1"


def test_without_the_option_it_is_no_http(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    with gate.connect() as wire:
        wire.try_send(announce() + head("GET", "/a"))
        assert wire.reply().status == 400
    assert service.saw_nothing()


def test_it_stands_before_tls(gateway, origin, listener_tls, client_tls):
    service = origin()
    main = {"address": "127.0.0.1:0", "tls": listener_tls, "proxy_protocol": BALANCER}
    gate = gateway({**configs.public(service), "listeners": {"main": main}})
    with gate.connect() as wire:
        wire.send(announce("2001:db8::7"))
        wire.socket = client_tls.wrap_socket(wire.socket, server_hostname="localhost")
        assert wire.ask(target="/a").status == 200
    assert service.only["x-forwarded-for"] == "2001:db8::7"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gate.connect(tls=client_tls, server_name="localhost")
    eventually(lambda: gate.metric("yett_proxy_protocol_missing_total") == 1)


def test_limits_count_the_announced_address(gateway, origin):
    service = origin()
    config = configs.public(service, address_limit={"door": {"rate": "1/h", "burst": 1}})
    gate = gateway({**config, "listeners": listener()})

    def status(source: str) -> int:
        with gate.connect() as wire:
            return ask(wire, announce(source), target="/a").status

    assert [status(s) for s in ("203.0.113.1", "203.0.113.2", "203.0.113.1", "::ffff:203.0.113.2")] == [
        200,
        200,
        429,
        429,
    ]
    assert service.saw_no_more_than(2)


def test_trusted_proxies_judges_the_announced_address(gateway, origin):
    service = origin()
    config = {
        **configs.public(service),
        "listeners": listener(
            trusted_proxies={"addresses": ["198.51.100.0/24"], "header": "x-forwarded-for"}
        ),
    }
    gate = gateway(config)
    for source in ("198.51.100.7", "203.0.113.9"):
        with gate.connect() as wire:
            ask(wire, announce(source), target="/a", headers={"X-Forwarded-For": "192.0.2.55"})
    assert [seen["x-forwarded-for"] for seen in service.requests] == ["192.0.2.55", "203.0.113.9"]


def test_a_change_of_trust_lets_older_connections_drain(gateway, origin):
    service = origin()
    config = {**configs.public(service), "listeners": listener()}
    gate = gateway(config)
    with gate.connect() as wire:
        assert ask(wire, announce(), target="/a").status == 200
        gate.reload({**config, "listeners": listener({"addresses": ["192.0.2.0/24"]})})
        assert wire.closed()
    assert gate.get("/a").status == 200
