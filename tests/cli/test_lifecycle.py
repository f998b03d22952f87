"""A gateway that ends, runs out of descriptors, loses its watcher or its log, or is reloaded fifty times over."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.cli.conftest import Running, config
from tests.support.load import Load, document, fresh, kept, posted, streams
from tests.support.origin import Origin
from tests.support.waiting import eventually
from tests.support.wire import Wire, head
from yett.control import channel

Run = Callable[..., Running]
UNFINISHED = b"GET /hello HTTP/1.1\r\nHost: gate"


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def start(run: Run, file: Path, control: Path) -> Callable[..., Running]:
    """`start(TEXT, …)` runs this configuration, with an admin listener."""

    def begin(text: str, *words: str, **options: Any) -> Running:
        file.write_text(text)
        return run(file, "--socket", control, "--admin", "127.0.0.1:0", *words, **options)

    return begin


def status(control: Path) -> dict[str, Any]:
    return channel.ask(control, {"command": "status"}, 10)


def metric(admin: str, name: str) -> float:
    host, _, port = admin.rpartition(":")
    with Wire((host, int(port))) as wire:
        text = wire.ask(target="/metrics", host=admin).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.split()[0] == name)


def admin_of(control: Path) -> str:
    return str(status(control)["gateway"]["admin"]["address"])


def hanging(gateway: Running, control: Path) -> Wire:
    """A request that does not end."""
    wire = Wire(("127.0.0.1", gateway.port))
    wire.send(UNFINISHED)
    eventually(lambda: status(control)["gateway"]["connections"] >= 1)
    return wire


def test_the_deadline_of_a_drain(start: Run, control: Path) -> None:
    """What is cut is counted in the log; the stop was asked for, so the code is 0."""
    gateway = start(config().replace("drain: 5s", "drain: 300ms"), "--workers", "2")
    with hanging(gateway, control) as wire:
        gateway.signal(signal.SIGTERM)
        assert gateway.end() == 0
        assert wire.closed()
    assert sum(int(event["connections"]) for event in gateway.events("connections_cut")) == 1
    assert not gateway.events("stopping_now")


def test_a_drain_that_ends_in_time_cuts_nothing(start: Run, control: Path) -> None:
    gateway = start(config())
    with hanging(gateway, control) as wire:
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("stopping")
        wire.send(b"way.test\r\n\r\n")
        assert wire.reply().status == 200
    assert gateway.end() == 0
    assert not gateway.events("connections_cut")


def test_a_second_signal_cuts(start: Run, control: Path) -> None:
    """The drain would take ten minutes."""
    gateway = start(config().replace("drain: 5s", "drain: 10m"), "--workers", "2")
    with hanging(gateway, control) as wire:
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("stopping")
        assert gateway.process.poll() is None
        gateway.signal(signal.SIGTERM)
        assert gateway.end() == 0
        assert wire.closed()
    assert gateway.events("stopping_now")
    assert sum(int(event["connections"]) for event in gateway.events("connections_cut")) == 1


def test_descriptors_run_out_and_come_back(start: Run, control: Path) -> None:
    gateway = start(config(), "--workers", "1")
    admin = admin_of(control)
    port, pid = gateway.port, gateway.process.pid
    with Wire(("127.0.0.1", port)) as served:
        assert served.ask(target="/hello").status == 200
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
        began = time.monotonic()
        gateway.wait_for("accept_failed")
        # who is connected is served on, and who comes waits
        assert all(served.ask(target="/hello").status == 200 for _ in range(500))
        with Wire(("127.0.0.1", port)) as waiting:
            waiting.send(head("GET", "/hello"))
            with pytest.raises(channel.Unreachable):
                channel.ask(control, {"command": "status"}, 0.3)
            for one in idle:
                one.close()
            assert waiting.reply().status == 200
    took = time.monotonic() - began
    errors = metric(admin, "yett_accept_errors_total")
    # one listener, one worker: an attempt each 50 ms and not a busy loop
    assert 1 <= errors <= took / 0.05 + 2, (errors, took)
    eventually(lambda: status(control)["control_restarts"] >= 1, 30)
    assert gateway.events("control_task_crashed")


def test_a_watcher_that_crashes_comes_back(start: Run, file: Path, control: Path) -> None:
    """For a while there are no descriptors left, not even for the watcher's own."""
    gateway = start(config(), "--watch")
    gateway.wait_for("configuration_unchanged")
    pid = gateway.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        file.write_text(config("two"))
        gateway.wait_for("control_task_crashed")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert gateway.events("control_task_crashed")[0]["task"] == "watch"
    eventually(lambda: gateway.get("/hello").body == b"two", 30)
    assert status(control)["control_restarts"] >= 1
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0


def spend(gateway: Running, requests: int) -> None:
    """Requests with long lines in the log."""
    target = "/hello?" + "/" * 10
    path = "/hello" + "/x" * 900
    with Wire(("127.0.0.1", gateway.port)) as wire:
        assert wire.ask(target=target).status == 200
        for _ in range(requests // 50):
            wire.send(head("GET", path) * 50)
            for _ in range(50):
                assert wire.reply().status == 404


def test_a_log_on_a_full_disk(start: Run, control: Path) -> None:
    gateway = start(config().replace("access_log: off", "access_log: {file: /dev/full}"))
    admin = admin_of(control)
    spend(gateway, 100)
    eventually(lambda: metric(admin, "yett_access_log_dropped_total") == 101)
    assert metric(admin, "yett_access_log_errors_total") >= 1
    assert gateway.get("/hello").status == 200
    gateway.wait_for("access_log_write_failed")
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0


def test_a_log_that_nobody_reads(start: Run, control: Path) -> None:
    """A pipe that is full blocks its writer: requests go on, the lines are counted, and the gateway still ends."""
    gateway = start(config().replace("access_log: off", "access_log: stdout"), stdout=subprocess.PIPE)
    admin = admin_of(control)
    # more than the pipe, what the writer holds, and the 2 MiB that wait for it
    spend(gateway, 2000)
    eventually(lambda: metric(admin, "yett_access_log_dropped_total") >= 1)
    assert gateway.get("/hello").status == 200
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    eventually(lambda: gateway.events("access_log_stuck"))
    assert gateway.process.stdout is not None
    gateway.process.stdout.close()


def test_reloads_under_load_lose_nothing(
    start: Run,
    file: Path,
    control: Path,
    origin: Callable[..., Origin],
    authority: trustme.CA,
    listener_tls: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    service = origin()
    service.answers(body=b"y" * 5000)
    count = int(request.config.getoption("--reloads"))

    def changed(number: int) -> str:
        """Of every kind of change one: routes, the service's pool, the listener's settings."""
        full = document(service, listener_tls, str(number))
        full["listeners"]["main"]["timeouts"] = {"keep_alive": f"{60 + number % 3}s"}
        full["services"]["origin"]["pool"] = {"idle": 8 + number % 2}
        return json.dumps(full)

    gateway = start(changed(0), "--workers", "2")
    with Load(("127.0.0.1", gateway.port), authority, fresh, kept, posted, streams) as load:
        load.progress(5)
        for number in range(1, count + 1):
            file.write_text(changed(number))
            answer = channel.ask(control, {"command": "reload"}, 60)
            assert (answer["ok"], answer["changed"]) == (True, True), answer
        load.progress(5)
    assert load.failed == []
    assert load.bodies[str(count).encode()] > 0
    print(f"{count} reloads, {load.answered.total()} requests: {dict(load.answered)}")
