"""Health: active checks and failing requests take endpoints away, and give them back; services die and return."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from tests.support import configs
from tests.support.go_tools import go_program
from tests.support.origin import reply
from tests.support.process import open_files
from tests.support.waiting import eventually

OFTEN = {"path": "/healthz", "interval": "50ms", "timeout": "500ms", "healthy": 2, "unhealthy": 2}


def checked(*services, check=None, **changes):
    config = configs.public(services[0])
    config["services"]["origin"] = configs.service(
        *services, health_check={**OFTEN, **(check or {})}, **changes
    )
    return config


def healthy(gate, service):
    return gate.metrics().get(f'yett_endpoint_healthy{{service="origin",endpoint="{service.endpoint}"}}')


def turns(gate, service, value):
    eventually(lambda: healthy(gate, service) == value, what=f"{service.name} becomes {value}")


def settled(gate, service):
    """Its first check, which decides alone, has passed."""
    passed = f'yett_health_checks_total{{service="origin",endpoint="{service.endpoint}"}}'
    eventually(lambda: gate.metrics().get(passed, 0) >= 1)
    assert healthy(gate, service) == 1


def real(service):
    """What came, without checks."""
    return [request for request in service.requests if request.target != "/healthz"]


def events(gate, name):
    return [event for line in gate.events() if (event := json.loads(line))["event"] == name]


def ill(service, status=503):
    service.paths["/healthz"] = reply(status)


def well(service):
    service.paths["/healthz"] = reply(200)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_endpoint_that_fails_its_checks_gets_nothing_until_it_passes_them(gateway, origin, workers):
    first, second = origin(name="first"), origin(name="second")
    gate = gateway(checked(first, second), workers=workers)
    settled(gate, first)
    ill(first)
    turns(gate, first, 0)
    before = len(real(first))
    for _ in range(20):
        assert gate.get("/a").status == 200
    assert len(real(first)) == before
    assert len(real(second)) >= 20
    assert gate.metric("yett_health_check_failures_total", endpoint=first.endpoint, cause="status") >= 2
    well(first)
    turns(gate, first, 1)
    for _ in range(20):
        assert gate.get("/a").status == 200
    assert len(real(first)) > before
    names = [json.loads(line) for line in gate.events()]
    found = [(one["event"], one.get("cause")) for one in names if one["event"].startswith("endpoint_")]
    assert found == [("endpoint_unhealthy", "status"), ("endpoint_healthy", None)]


def test_a_service_that_dies_and_returns(gateway, origin):
    """No request meets the dead one once its checks have failed."""
    dying, other = origin(name="dying"), origin(name="other")
    gate = gateway(checked(dying, other))
    settled(gate, dying)
    dying.stop_listening()
    dying.drop_connections()
    turns(gate, dying, 0)
    failures = gate.metric("yett_upstream_connect_failures_total")
    for _ in range(20):
        assert gate.get("/a").status == 200
    assert gate.metric("yett_upstream_connect_failures_total") == failures
    assert gate.metric("yett_health_check_failures_total", endpoint=dying.endpoint, cause="connect") >= 2
    returned = socket.create_server(("127.0.0.1", dying.port), reuse_port=False)
    try:
        # a server that accepts and says nothing does not pass
        eventually(
            lambda: (
                gate.metric("yett_health_check_failures_total", endpoint=dying.endpoint, cause="timeout") >= 1
            )
        )
        assert healthy(gate, dying) == 0
    finally:
        returned.close()


def test_no_healthy_endpoint_is_refused_at_once(gateway, origin):
    services = [origin(name="first"), origin(name="second")]
    for service in services:
        ill(service)
    gate = gateway(checked(*services))
    for service in services:
        turns(gate, service, 0)
        service.forget()
    answer = gate.get("/a")
    assert (answer.status, answer.reason) == (503, "no_healthy_endpoint")
    assert answer["retry-after"] == "1"
    line = gate.log_line(reason="no_healthy_endpoint")
    assert line["fault"] == "service"
    assert not any(real(service) for service in services)


def test_one_endpoint_alone_is_refused_as_well(gateway, origin):
    service = origin()
    ill(service)
    gate = gateway(checked(service))
    turns(gate, service, 0)
    assert gate.get("/a").reason == "no_healthy_endpoint"
    assert real(service) == []


def test_the_next_priority_takes_over_and_gives_back(gateway, origin):
    first, standby = origin(name="first"), origin(name="standby")
    config = checked(first, standby)
    config["services"]["origin"]["endpoints"] = [first.url, {"url": standby.url, "priority": 1}]
    gate = gateway(config)
    ill(first)
    turns(gate, first, 0)
    for _ in range(5):
        assert gate.get("/a").status == 200
    assert len(real(standby)) == 5
    well(first)
    turns(gate, first, 1)
    for _ in range(5):
        assert gate.get("/a").status == 200
    assert len(real(standby)) == 5


def test_what_is_asked(gateway, origin):
    service = origin()
    service.paths["/ready?deep=1"] = reply(204)
    service.behaviour = reply(204)
    gate = gateway(
        checked(service, check={"path": "/ready?deep=1", "status": [200, 204], "host": "inner.test"})
    )
    eventually(lambda: gate.metric("yett_health_checks_total") >= 2)
    seen = service.requests[0]
    assert (seen.method, seen.target, seen["host"]) == ("GET", "/ready?deep=1", "inner.test")
    assert seen["user-agent"] == "yett-health-check"
    assert healthy(gate, service) == 1


def test_checks_are_the_process_s_not_each_worker_s(gateway, origin):
    service = origin()
    gate = gateway(checked(service, check={"interval": "1h"}), workers=4)
    eventually(lambda: gate.metric("yett_health_checks_total") >= 1)
    gate.get("/a")
    assert len(service.requests) == 2, "the check and the request"


def test_answers_that_are_none(gateway, origin):
    """A head without an end, and something that is not HTTP, are read no further than a bound."""
    endless, nonsense, silent = origin(name="endless"), origin(name="nonsense"), origin(name="silent")
    stop = threading.Event()

    def drip(stage):
        stage.send(b"HTTP/1.1 200 OK\r\n")
        while not stop.is_set():
            stage.send(b"X-More: " + b"x" * 4000 + b"\r\n")

    endless.behaviour = drip
    nonsense.sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    silent.behaviour = lambda stage: stop.wait(20)
    gate = gateway(checked(endless, nonsense, silent, check={"timeout": "300ms"}))
    for service in (endless, nonsense, silent):
        turns(gate, service, 0)
    stop.set()
    metric = "yett_health_check_failures_total"
    assert gate.metric(metric, endpoint=endless.endpoint, cause="invalid") >= 1
    assert gate.metric(metric, endpoint=nonsense.endpoint, cause="invalid") >= 1
    assert gate.metric(metric, endpoint=silent.endpoint, cause="timeout") >= 1


def test_a_connection_is_enough_for_tcp(gateway, origin):
    service = origin()
    ill(service)
    config = configs.public(service)
    config["services"]["origin"]["health_check"] = {"protocol": "tcp", "interval": "50ms", "unhealthy": 1}
    gate = gateway(config)
    eventually(lambda: gate.metric("yett_health_checks_total") >= 2)
    assert healthy(gate, service) == 1
    assert service.saw_nothing()
    service.stop_listening()
    turns(gate, service, 0)


def test_checks_use_the_service_s_tls(gateway, origin, server_tls, authority_file):
    service = origin(tls=server_tls)
    config = checked(service)
    config["services"]["origin"] = {
        "endpoints": f"https://localhost:{service.port}",
        "tls": {"ca": authority_file},
        "health_check": OFTEN,
    }
    gate = gateway(config)
    eventually(lambda: gate.metric("yett_health_checks_total") >= 2)
    assert gate.metric("yett_endpoint_healthy") == 1
    # another authority: the check refuses it as a request would
    del config["services"]["origin"]["tls"]
    gate.reload(config)
    eventually(lambda: gate.metric("yett_endpoint_healthy") == 0)
    assert gate.metric("yett_health_check_failures_total", cause="tls") >= 1


def test_grpc_is_asked_by_its_own_protocol(gateway, origin):
    """Against gRPC's own server and health service, which knows `` and what it is told."""
    program = go_program("health")
    server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())

        def say(service, status):
            server.stdin.write(f"{service} {status}\n")
            server.stdin.flush()
            assert server.stdout.readline() == "set\n"

        config = configs.public(origin())
        check = {"protocol": "grpc", "interval": "50ms", "healthy": 1, "unhealthy": 1}
        config["services"]["origin"].update(endpoints=f"http://127.0.0.1:{port}", health_check=check)
        gate = gateway(config)
        checks, failures = "yett_health_checks_total", "yett_health_check_failures_total"
        eventually(lambda: gate.metric(checks) >= 2)
        assert (gate.metric("yett_endpoint_healthy"), gate.metric(failures)) == (1, 0)
        say("", "NOT_SERVING")
        eventually(lambda: gate.metric("yett_endpoint_healthy") == 0)
        assert gate.get("/a").reason == "no_healthy_endpoint"
        assert gate.metric(failures, cause="not_serving") >= 1
        say("", "SERVING")
        eventually(lambda: gate.metric("yett_endpoint_healthy") == 1)
        # a service that the server does not know, then does
        config["services"]["origin"]["health_check"] = {**check, "service": "shop.Orders"}
        gate.reload(config)
        eventually(lambda: gate.metric("yett_endpoint_healthy") == 0)
        say("shop.Orders", "SERVING")
        eventually(lambda: gate.metric("yett_endpoint_healthy") == 1)
    finally:
        server.kill()
        server.communicate()
    eventually(lambda: gate.metric("yett_endpoint_healthy") == 0)


def test_grpc_is_not_http(gateway, origin):
    service = origin()
    config = configs.public(service)
    config["services"]["origin"]["health_check"] = {"protocol": "grpc", "interval": "50ms"}
    service.behaviour = lambda stage: stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    gate = gateway(config)
    turns(gate, service, 0)
    service.faults.clear()


def test_our_own_listener_is_not_asked(gateway, origin):
    service = origin()
    gate = gateway(configs.public(service))
    config = configs.public(service)
    config["services"]["origin"].update(endpoints=f"http://127.0.0.1:{gate.port}", health_check=OFTEN)
    gate.reload(config)
    eventually(lambda: gate.metric("yett_health_check_failures_total", cause="forbidden") >= 1)
    assert gate.get("/a").status == 503


def test_a_new_endpoint_waits_for_its_first_check(gateway, origin):
    old, new = origin(name="old"), origin(name="new")
    release = threading.Event()
    new.paths["/healthz"] = lambda stage: (release.wait(20), reply(200)(stage))
    gate = gateway(checked(old))
    eventually(lambda: gate.metric("yett_health_checks_total") >= 1)
    gate.reload(checked(old, new, check={"timeout": "20s"}))
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert real(new) == []
    release.set()
    turns(gate, new, 1)
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert len(real(new)) == 5


def test_what_is_known_outlives_a_reload(gateway, origin):
    sick, other = origin(name="sick"), origin(name="other")
    gate = gateway(checked(sick, other))
    ill(sick)
    turns(gate, sick, 0)
    release = threading.Event()
    sick.paths["/healthz"] = lambda stage: (release.wait(20), reply(200)(stage))
    gate.reload(checked(sick, other, check={"timeout": "20s"}))
    assert healthy(gate, sick) == 0
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert real(sick) == []
    release.set()
    # without a check nothing says that it is ill
    gate.reload({**checked(sick, other), "services": {"origin": configs.service(sick, other)}})
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert len(real(sick)) == 5
    assert not any(name.startswith("yett_endpoint_healthy") for name in gate.metrics())


def test_checks_end_with_the_configuration_that_asks_for_them(gateway, origin):
    first, second = origin(name="first"), origin(name="second")
    gate = gateway(checked(first, second))
    eventually(lambda: len(second.requests) >= 2)
    gate.reload(checked(first))
    asked = len(second.requests)
    eventually(lambda: len(first.requests) >= 2)
    seen = len(first.requests)
    eventually(lambda: len(first.requests) >= seen + 10)
    assert len(second.requests) <= asked + 1, "one may have been under way"


def test_two_hundred_reloads_leave_nothing_behind(gateway, origin):
    """Each with another check, so that each starts one and ends one."""
    service = origin()
    slow = {"interval": "1h", "timeout": "10s"}
    gate = gateway(checked(service, check=slow))

    def sockets():
        return sum("socket:" in link for link in open_files(os.getpid()).values())

    for number in range(200):
        gate.reload(checked(service, check={**slow, "path": f"/healthz?{number % 7}"}))
        if number == 20:
            settled = sockets()
    eventually(lambda: sockets() <= settled + 4, what="the sockets of checks are closed")
    gate.reload(checked(service, check={"path": "/last"}))
    eventually(lambda: service.last.target == "/last")
    # the last one goes on alone
    before = len(service.requests)
    eventually(lambda: len(service.requests) >= before + 5)
    assert {request.target for request in service.requests[before:]} == {"/last"}


# slow start


def test_an_endpoint_that_is_back_starts_slowly(gateway, origin):
    returning, other = origin(name="returning"), origin(name="other")
    gate = gateway(checked(returning, other, slow_start="1h"))
    settled(gate, returning)
    for _ in range(20):
        assert gate.get("/a").status == 200
    assert len(real(returning)) == 10, "the start of the gateway is no return"
    ill(returning)
    turns(gate, returning, 0)
    well(returning)
    turns(gate, returning, 1)
    returning.forget()
    for _ in range(44):
        assert gate.get("/a").status == 200
    assert 2 <= len(real(returning)) <= 6, "a tenth of the other's share"


# passive


def outlier(*services, **settings):
    config = configs.public(services[0])
    config["services"]["origin"] = configs.service(
        *services,
        outlier_detection={"consecutive_errors": 3, "eject": "1h", "max_ejected": "50%", **settings},
    )
    return config


def ejected(gate, service):
    return gate.metric("yett_endpoint_ejections_total", endpoint=service.endpoint)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["status", "reset", "nonsense"])
def test_failing_requests_eject(gateway, origin, workers, kind):
    bad, good = origin(name="bad"), origin(name="good")
    bad.behaviour = {
        "status": reply(503),
        "reset": lambda stage: (stage.read_body(), stage.reset()),
        "nonsense": lambda stage: (stage.read_body(), stage.send(b"nonsense\r\n\r\n"), stage.close()),
    }[kind]
    gate = gateway(outlier(bad, good), workers=workers)
    statuses = [gate.get("/a").status for _ in range(30)]
    assert statuses.count(200) == 27
    assert len(bad.requests) == 3, "in all workers together"
    assert ejected(gate, bad) == 1
    (event,) = events(gate, "endpoint_ejected")
    assert (event["endpoint"], event["cause"]) == (bad.endpoint, "consecutive_errors")


def test_a_dead_endpoint_is_ejected(gateway, origin):
    dead, alive = origin(name="dead"), origin(name="alive")
    dead.close()
    gate = gateway(outlier(dead, alive, consecutive_errors=1))
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert gate.metric("yett_upstream_connect_failures_total") == 1
    assert healthy(gate, dead) == 0


def test_answers_between_failures_and_errors_of_the_service_s_own_do_not_eject(gateway, origin):
    services = [origin(name="first"), origin(name="second")]
    for service in services:
        service.paths["/bad"] = reply(503)
        service.paths["/bug"] = reply(500)
    gate = gateway(outlier(*services))
    for _ in range(6):
        for target in ("/bad", "/bad", "/bad", "/bad", "/a", "/a", "/bug", "/bug"):
            gate.get(target)
    assert gate.metric("yett_endpoint_ejections_total") == 0


def test_never_more_than_the_share_is_ejected(gateway, origin):
    services = [origin(name=f"origin-{number}") for number in range(4)]
    for service in services:
        service.behaviour = reply(503)
    gate = gateway(outlier(*services, consecutive_errors=1))
    assert {gate.get("/a").status for _ in range(40)} == {503}
    assert gate.metric("yett_endpoint_ejections_total") == 2
    assert sorted(len(service.requests) for service in services)[:2] == [1, 1]


def test_an_ejected_endpoint_comes_back(gateway, origin):
    bad, good = origin(name="bad"), origin(name="good")
    bad.behaviour = reply(503)
    gate = gateway(outlier(bad, good, eject="200ms"))
    while not ejected(gate, bad):
        gate.get("/a")
    bad.answers()
    assert healthy(gate, bad) == 0
    turns(gate, bad, 1)
    bad.forget()
    for _ in range(10):
        assert gate.get("/a").status == 200
    assert len(bad.requests) == 5
    eventually(lambda: events(gate, "endpoint_returned"))


def test_a_poor_success_rate_ejects(gateway, origin):
    """Every second answer fails: never two in a row."""
    flaky, good = origin(name="flaky"), origin(name="good")
    answers = iter([200, 503, 503] * 100)
    flaky.behaviour = lambda stage: reply(next(answers))(stage)
    config = outlier(flaky, good, success_rate="50%")
    del config["services"]["origin"]["outlier_detection"]["consecutive_errors"]
    gate = gateway(config)
    with gate.connect() as wire:
        start = time.monotonic()
        while not ejected(gate, flaky):
            wire.ask(target="/a")
            assert time.monotonic() < start + 20
    assert len(flaky.requests) >= 20
    (event,) = events(gate, "endpoint_ejected")
    assert event["cause"] == "success_rate"


def test_status_names_what_is_watched(gateway, origin):
    sick, other = origin(name="sick"), origin(name="other")
    ill(sick)
    gate = gateway(checked(sick, other))
    turns(gate, sick, 0)
    found = {
        one["endpoint"]: (one["service"], one["healthy"], one["ejected"])
        for one in gate.status()["endpoints"]
    }
    assert found == {sick.endpoint: ("origin", False, False), other.endpoint: ("origin", True, False)}
    assert re.search(r"yett_endpoint_healthy\{.*\} 0", bytes(gate.core.metrics()).decode())
