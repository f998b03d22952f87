"""Names of endpoints: a gateway with an `/etc/hosts` of its own, which changes while it runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Wire

NAME = "billing.test"


class Hosts:
    """The names that a process knows: it runs in a mount namespace with these files in place of the system's."""

    def __init__(self, directory: Path) -> None:
        self.file, self.order = directory / "hosts", directory / "nsswitch.conf"
        self.order.write_text("hosts: files\n")
        self.are()

    def are(self, *addresses: str) -> None:
        """Written in place: the file is mounted."""
        with self.file.open("w") as file:
            file.write("".join(f"{address} {NAME}\n" for address in addresses))

    @property
    def prefix(self) -> tuple[str, ...]:
        script = f'mount --bind {self.file} /etc/hosts && mount --bind {self.order} /etc/nsswitch.conf && exec "$@"'
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        return ("unshare", *user, "--mount", "sh", "-c", script, "sh")


@pytest.fixture
def hosts(tmp_path):
    return Hosts(tmp_path)


def named(service, **changes):
    config = configs.public(service)
    config["services"]["origin"] = {
        "endpoints": f"http://{NAME}:{service.port}",
        "plaintext": "test",
        "dns": {"refresh": "100ms"},
        **changes,
    }
    return config


def metric(process, name):
    host = f"127.0.0.1:{process.admin_port}"
    with Wire(("127.0.0.1", process.admin_port)) as wire:
        lines = wire.ask(target="/metrics", host=host).body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def pair(origin):
    """Two services on one port of two addresses."""
    first = origin(name="first", address="127.0.0.2")
    return first, origin(name="second", address="127.0.0.3", at_port=first.port)


def asked(process, count=1):
    return [(answer.status, answer.reason) for answer in (process.get("/a") for _ in range(count))]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_connections_go_to_all_addresses(run, origin, hosts, workers):
    first, second = pair(origin)
    hosts.are(first.address, second.address)
    process = run(named(first, pool={"idle": 0}), "--workers", workers, prefix=hosts.prefix)
    assert {status for status, _ in asked(process, 20)} == {200}
    assert len(first.requests) >= 9
    assert len(second.requests) >= 9
    # one of them dies: the next address answers
    first.close()
    assert {status for status, _ in asked(process, 10)} == {200}
    assert len(second.requests) >= 19


def test_an_address_that_went_is_left(run, origin, hosts):
    first, second = pair(origin)
    hosts.are(first.address)
    process = run(named(first), "--workers", "1", prefix=hosts.prefix)
    assert asked(process, 3) == [(200, None)] * 3
    assert (first.connections, first.open_connections, second.connections) == (1, 1, 0)
    hosts.are(second.address)
    eventually(lambda: "addresses_changed" in process.stderr())
    assert asked(process, 5) == [(200, None)] * 5
    assert (len(first.requests), len(second.requests)) == (3, 5), "also the idle connection was left"
    eventually(lambda: first.open_connections == 0, what="the idle connection is dropped")


def test_an_answer_under_way_is_not_cut(run, origin, hosts):
    first, second = pair(origin)
    hosts.are(first.address)
    process = run(named(first), "--workers", "1", prefix=hosts.prefix)

    def slow(stage):
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        hosts.are(second.address)
        eventually(lambda: process.get("/b").status == 200 and second.requests)
        stage.send(b"world")

    first.paths["/slow"] = slow
    assert process.get("/slow").body == b"helloworld"
    eventually(lambda: first.open_connections == 0, what="its connection is not kept")


def test_a_metadata_address_spoils_the_name(run, origin, hosts):
    first, _ = pair(origin)
    hosts.are(first.address)
    process = run(named(first), "--workers", "1", prefix=hosts.prefix)
    assert asked(process) == [(200, None)]
    hosts.are(first.address, "169.254.169.254")
    eventually(lambda: asked(process) == [(502, "service_address_forbidden")])
    eventually(lambda: first.open_connections == 0, what="the idle connection is dropped")
    before = len(first.requests)
    assert asked(process, 3) == [(502, "service_address_forbidden")] * 3
    assert len(first.requests) == before
    hosts.are(first.address)
    eventually(lambda: asked(process) == [(200, None)])


def test_our_own_listener_behind_a_name_is_refused(run, origin, hosts):
    first, _ = pair(origin)
    hosts.are(first.address)
    config = named(first)
    process = run(config, "--workers", "1", prefix=hosts.prefix)
    config["services"]["origin"]["endpoints"] = f"http://{NAME}:{process.port}"
    hosts.are("127.0.0.1")
    process.write(config)
    process.signal(signal.SIGHUP)
    eventually(lambda: asked(process) == [(502, "service_address_forbidden")])


def test_failures_keep_the_old_answer_for_a_while(run, origin, hosts):
    first, _ = pair(origin)
    hosts.are(first.address)
    process = run(
        named(first, pool={"idle": 0}, dns={"refresh": "100ms", "stale": "1s"}),
        "--workers",
        "1",
        prefix=hosts.prefix,
    )
    assert asked(process) == [(200, None)]
    hosts.are()
    eventually(lambda: metric(process, "yett_dns_failures_total") >= 2)
    assert asked(process) == [(200, None)]
    eventually(lambda: asked(process) == [(502, "service_unreachable")])
    hosts.are(first.address)
    eventually(lambda: asked(process) == [(200, None)])


def test_a_name_without_an_answer_holds_nobody_up(run, origin, hosts):
    first, _ = pair(origin)
    process = run(named(first), "--workers", "1", prefix=hosts.prefix)
    assert asked(process, 2) == [(502, "service_unreachable")] * 2
    assert first.saw_nothing()
    hosts.are(first.address)
    eventually(lambda: asked(process) == [(200, None)])


def test_checks_follow_the_name(run, origin, hosts):
    first, second = pair(origin)
    hosts.are(first.address)
    check = {"path": "/healthz", "interval": "50ms", "unhealthy": 1, "healthy": 1}
    process = run(named(first, health_check=check), "--workers", "1", prefix=hosts.prefix)
    eventually(lambda: asked(process) == [(200, None)])
    first.close()
    eventually(lambda: asked(process) == [(503, "no_healthy_endpoint")])
    hosts.are(second.address)
    eventually(lambda: asked(process) == [(200, None)])
