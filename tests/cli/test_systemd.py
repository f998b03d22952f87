"""`yett run` under a service manager: what comes on its notify socket."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config

Run = Callable[..., Running]


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)

    def next(self) -> dict[str, str]:
        """The next message that is no sign of life."""
        while True:
            message = self.any()
            if "WATCHDOG" not in message:
                return message

    def any(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def manager(yett: Yett, tmp_path: Path) -> Iterator[Manager]:
    path = tmp_path / "notify"
    yett.environment["NOTIFY_SOCKET"] = str(path)
    found = Manager(path)
    with found.socket:
        yield found


def test_start_reloads_and_stop_are_told(manager: Manager, run: Run, file: Path) -> None:
    gateway = run(file)
    first = manager.next()
    assert first["READY"] == "1"
    assert gateway.get("/hello").body == b"one"

    asked = time.monotonic_ns() // 1000
    file.write_text(config("two"))
    gateway.signal(signal.SIGHUP)
    reloading = manager.next()
    assert reloading["RELOADING"] == "1"
    assert asked <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    second = manager.next()
    assert second["READY"] == "1"
    assert second["STATUS"] != first["STATUS"]
    assert gateway.get("/hello").body == b"two"

    file.write_text(config().replace("access: public", "acess: public"))
    gateway.signal(signal.SIGHUP)
    assert manager.next()["RELOADING"] == "1"
    refused = manager.next()
    assert refused["READY"] == "1"
    assert "refused" in refused["STATUS"]
    assert gateway.get("/hello").body == b"two"

    gateway.signal(signal.SIGTERM)
    assert manager.next()["STOPPING"] == "1"
    assert gateway.end() == 0


def test_a_configuration_with_errors_is_never_ready(manager: Manager, run: Run, file: Path) -> None:
    file.write_text(config().replace("access: public", "acess: public"))
    assert run(file, wait=False).end() == 1
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.any()


def test_the_watchdog_hears_of_live_workers(manager: Manager, yett: Yett, run: Run, file: Path) -> None:
    yett.environment["WATCHDOG_USEC"] = "400000"
    run(file, "--workers", "2")
    last = None
    for _ in range(5):
        while "WATCHDOG" not in manager.any():
            pass
        now = time.monotonic()
        # under a manager that waits 0.4 s; the rest is for a busy machine
        assert last is None or now - last < 2
        last = now


def test_a_watchdog_of_another_process_is_not_ours(
    manager: Manager, yett: Yett, run: Run, file: Path
) -> None:
    yett.environment |= {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    gateway = run(file)
    assert manager.any()["READY"] == "1"
    gateway.signal(signal.SIGHUP)
    assert [next(iter(manager.any())) for _ in range(2)] == ["RELOADING", "READY"]
