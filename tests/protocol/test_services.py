"""Services: several endpoints, failures tried elsewhere, time limits, TLS, host policies; the log names the endpoint."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import pytest

from tests.support import configs
from tests.support.origin import reply
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head


def failed(gate, answer, status, reason):
    assert (answer.status, answer.reason) == (status, reason)
    line = gate.log_line(reason=reason)
    assert line["status"] == status
    assert line["fault"] == "service"
    return line


def dead(config, *ports):
    config["services"]["origin"]["endpoints"] = [f"http://127.0.0.1:{port}" for port in ports]
    return config


def test_a_dead_service_is_502_and_the_log_says_which(gateway, origin):
    port = free_port()
    gate = gateway(dead(configs.public(origin()), port))
    answer = gate.get("/a")
    line = failed(gate, answer, 502, "service_unreachable")
    assert f"127.0.0.1:{port}" in str(line)
    assert str(port) not in answer.body.decode(), "an internal address in an answer"


def test_a_connect_failure_is_tried_elsewhere(gateway, origin):
    alive = origin()
    gate = gateway(dead(configs.public(alive), free_port(), alive.port))
    for number in range(10):
        assert gate.post(f"/{number}", b"hello").status == 200
    assert [seen.body for seen in alive.requests] == [b"hello"] * 10


def test_all_endpoints_dead(gateway, origin):
    ports = [free_port(), free_port(), free_port()]
    gate = gateway(dead(configs.public(origin()), *ports))
    failed(gate, gate.get("/a"), 502, "service_unreachable")


def test_a_failure_after_sending_is_not_repeated(gateway, origin):
    """A request that may have been acted on is not sent again by itself."""
    first, second = origin(name="first"), origin(name="second")
    for service in (first, second):
        service.behaviour = lambda stage: (stage.read_body(), stage.close())
    gate = gateway({**configs.public(first), "services": {"origin": configs.service(first, second)}})
    failed(gate, gate.post("/a", b"x"), 502, "service_reset")
    assert len(first.requests) + len(second.requests) == 1


def test_a_reset_is_502(gateway, origin):
    service = origin()
    service.behaviour = lambda stage: (stage.read_body(), stage.reset())
    gate = gateway(configs.public(service))
    line = failed(gate, gate.get("/a"), 502, "service_reset")
    assert service.endpoint in str(line)


def test_a_kept_connection_that_the_service_closed_is_no_failure(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    for number in range(10):
        assert gate.get(f"/{number}").status == 200
        service.drop_connections()
        eventually(lambda: service.open_connections == 0)
    assert len(service.requests) == 10


def limits(service, **timeouts):
    return configs.public(service, timeouts=timeouts)


def test_first_byte_in_time(gateway, origin):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20), reply()(stage))
    gate = gateway(limits(service, first_byte="300ms"))
    line = failed(gate, gate.get("/a"), 504, "service_timeout")
    assert service.endpoint in str(line)
    release.set()
    service.answers()
    assert gate.get("/b").body == b"ok", "an answer that came too late was given to another request"


def test_a_pause_in_an_answer_cuts_it(gateway, origin):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        release.wait(20),
    )
    gate = gateway(limits(service, idle="300ms"))
    with gate.connect() as wire, pytest.raises(Truncated):
        wire.ask(target="/a")
    release.set()
    line = gate.wait_log(1)[0]
    assert (line["reason"], line["fault"]) == ("service_timeout", "service")


def test_a_total_limit_ends_a_stream(gateway, origin):
    service = origin()
    stop = threading.Event()

    def drip(stage):
        stage.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not stop.wait(0.05):
            stage.send(b"1\r\nx\r\n")

    service.behaviour = drip
    gate = gateway(limits(service, total="600ms"))
    with gate.connect() as wire, pytest.raises(Truncated):
        wire.ask(target="/a")
    stop.set()
    assert gate.wait_log(1)[0]["reason"] == "total_timeout"


def test_a_total_limit_before_the_first_byte_is_504(gateway, origin):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20))
    gate = gateway(limits(service, total="300ms"))
    answer = gate.get("/a")
    release.set()
    assert (answer.status, answer.reason) == (504, "total_timeout")


def test_connect_in_time(gateway, origin):
    """A backlog that is full drops SYNs, as a dead machine does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        config = dead(configs.public(origin()), port)
        config["routes"]["open"]["timeouts"] = {"connect": "300ms"}
        gate = gateway(config)
        failed(gate, gate.get("/a"), 504, "service_connect_timeout")
        for filler in fillers:
            filler.close()


# balancing


def test_round_robin_takes_turns(gateway, origin):
    services = [origin(name=f"origin-{number}") for number in range(3)]
    gate = gateway(
        {
            **configs.public(services[0]),
            "services": {"origin": configs.service(*services, balance="round_robin")},
        }
    )
    for _ in range(30):
        assert gate.get("/a").status == 200
    assert [len(service.requests) for service in services] == [10, 10, 10]


def test_least_requests_avoids_the_busy_one(gateway, origin):
    busy, idle = origin(name="busy"), origin(name="idle")
    release = threading.Event()
    for service in (busy, idle):
        service.paths["/hold"] = lambda stage: (stage.read_body(), release.wait(30), reply()(stage))
    gate = gateway(
        {
            **configs.public(busy),
            "services": {"origin": configs.service(busy, idle, balance="least_requests")},
        }
    )
    held = []
    for _ in range(2):
        wire = gate.connect(timeout=30)
        held.append(wire.send(head("GET", "/hold")))
        eventually(lambda: len(busy.requests) + len(idle.requests) == len(held))
    assert len(busy.requests) == len(idle.requests) == 1
    release.set()
    assert held[0].reply().status == 200  # both are free after this
    assert held[1].reply().status == 200
    release.clear()
    held[0].send(head("GET", "/hold"))
    eventually(lambda: len(busy.requests) + len(idle.requests) == 3)
    taken, free = (busy, idle) if len(busy.requests) == 2 else (idle, busy)
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert (len(taken.requests), len(free.requests)) == (2, 11)
    release.set()
    for wire in held:
        wire.close()


def test_split_shares_by_weight(gateway, origin):
    stable, canary = origin(name="stable"), origin(name="canary")
    config = configs.public(stable)
    config["services"]["canary"] = configs.service(canary)
    del config["routes"]["open"]["service"]
    config["routes"]["open"]["split"] = {"origin": "75%", "canary": "25%"}
    gate = gateway(config)
    with gate.connect() as wire:
        for _ in range(600):
            assert wire.ask(target="/a").status == 200
    assert 80 <= len(canary.requests) <= 230
    assert len(stable.requests) + len(canary.requests) == 600


# TLS and names


def test_tls_towards_a_service(gateway, origin, server_tls, authority_file):
    service = origin(tls=server_tls)
    config = configs.public(service)
    config["services"]["origin"] = {
        "endpoints": f"https://localhost:{service.port}",
        "tls": {"ca": authority_file},
    }
    gate = gateway(config)
    for _ in range(3):
        assert gate.get("/a").status == 200
    assert service.connections == 1


def test_an_unknown_authority_is_refused(gateway, origin, server_tls):
    """CVE class 26: never an unverified certificate by default, never plain HTTP as a fallback."""
    service = origin(tls=server_tls)
    config = configs.public(service)
    config["services"]["origin"] = {"endpoints": f"https://localhost:{service.port}"}
    gate = gateway(config)
    failed(gate, gate.get("/a"), 502, "service_tls_failed")
    assert not service.requests


def test_another_name_in_the_certificate_is_refused(gateway, origin, authority, authority_file):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.test").configure_cert(context)
    service = origin(tls=context)
    config = configs.public(service)
    config["services"]["origin"] = {
        "endpoints": f"https://localhost:{service.port}",
        "tls": {"ca": authority_file},
    }
    gate = gateway(config)
    failed(gate, gate.get("/a"), 502, "service_tls_failed")
    config["services"]["origin"]["tls"]["server_name"] = "other.test"
    gate.reload(config)
    assert gate.get("/a").status == 200


def test_a_plain_service_behind_https_gets_nothing(gateway, origin, authority_file):
    service = origin()
    config = configs.public(service)
    config["services"]["origin"] = {
        "endpoints": f"https://localhost:{service.port}",
        "tls": {"ca": authority_file},
    }
    gate = gateway(config)
    answer = gate.get("/a", {"Cookie": "secret=1"})
    assert answer.status in (502, 504)
    assert not any(b"secret" in bytes(data) for data in service.received)
    service.faults.clear()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("preserve", "shop.test:81"),
        ("endpoint", "127.0.0.1:{port}"),
        ("inner.test", "inner.test"),
        (None, None),
    ],
)
def test_host_policies(gateway, origin, policy, expected):
    service = origin()
    config = configs.public(service)
    if policy:
        config["services"]["origin"]["host"] = policy
    gate = gateway(config)
    assert gate.get("/a", host="shop.test:81").status == 200
    if expected:
        assert service.only["host"] == expected.format(port=service.port)
    assert service.only["x-forwarded-host"] == "shop.test:81"


def test_services_see_how_many_connections_they_need(gateway, origin, workers):
    service = origin()
    gate = gateway(configs.public(service), workers=workers)
    for number in range(40):
        assert gate.get(f"/{number}").status == 200
    assert service.connections <= workers
    assert Counter(seen.connection for seen in service.requests).total() == 40


def test_an_ipv6_service(gateway, origin):
    service = origin(address="::1")
    gate = gateway(configs.public(service))
    assert gate.get("/a").status == 200
