"""`yett run` with sockets that a service manager has opened."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config
from tests.support.process import open_files
from tests.support.waiting import eventually
from tests.support.wire import Wire, head
from yett.control import activation, source

Run = Callable[..., Running]
# What a service manager does between fork and exec: the descriptors from 3 on, and who they are for.
LAUNCH = """\
import os, sys
numbers, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
high = [os.dup2(int(number), 100 + index, inheritable=False) for index, number in enumerate(numbers)]
for number in numbers:
    os.close(int(number))
for index, number in enumerate(high):
    os.dup2(number, 3 + index, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""
BOTH = """\
version: 1
process: {{drain: 5s}}
access_log: off
listeners:
  local: {{address: "{local}", plaintext: "test"}}
  other: {{address: "{other}", plaintext: "test"}}
routes:
  hello:
    match: {{hosts: any, path: /hello, methods: GET}}
    listeners: {{any_of: [local, other]}}
    access: public
    respond: {{status: 200, body: one}}
"""


@pytest.fixture
def listening() -> Iterator[Callable[[], socket.socket]]:
    """`listening()` is a socket of the service manager."""
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        opened.append(socket.create_server(("127.0.0.1", 0), backlog=64))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def activated(run: Run) -> Run:
    """`activated(FILE, [(name, socket), …])` starts as a service manager does."""

    def start(
        file: Path, sockets: list[tuple[str, socket.socket]], *words: str, wait: bool = True
    ) -> Running:
        numbers = [one.fileno() for _, one in sockets]
        names = ":".join(name for name, _ in sockets)
        launcher = [sys.executable, "-c", LAUNCH, ",".join(map(str, numbers)), names]
        return run(file, *words, wait=wait, launcher=launcher, descriptors=numbers)

    return start


def address(one: socket.socket) -> str:
    host, port = one.getsockname()
    return f"{host}:{port}"


def ask(one: socket.socket) -> bytes:
    with Wire(one.getsockname()) as wire:
        return wire.ask(target="/hello").body


def test_sockets_by_name_and_by_address(
    activated: Run, file: Path, listening: Callable[[], socket.socket]
) -> None:
    first, second = listening(), listening()
    file.write_text(BOTH.format(local="127.0.0.1:0", other=address(second)))
    gateway = activated(file, [("local", first), ("yett.socket", second)], "--workers", "4")
    found = {one["name"]: one["address"] for one in gateway.events("serving")[0]["listeners"]}
    assert found == {"local": address(first), "other": address(second)}
    assert all(ask(one) == b"one" for one in (first, second) for _ in range(8))
    inodes = {os.fstat(one.fileno()).st_ino for one in (first, second)}
    process = Path(f"/proc/{gateway.process.pid}")
    ours = [
        name
        for name, target in open_files(gateway.process.pid).items()
        if target in {f"socket:[{inode}]" for inode in inodes}
    ]
    assert len(ours) >= len(inodes)
    for number in ours:
        flags = (process / "fdinfo" / number).read_text().split("flags:")[1].split()[0]
        assert int(flags, 8) & os.O_CLOEXEC, number


def test_a_listener_without_a_socket_is_bound(
    activated: Run, file: Path, listening: Callable[[], socket.socket]
) -> None:
    first = listening()
    file.write_text(BOTH.format(local=address(first), other="127.0.0.1:0"))
    gateway = activated(file, [("", first)])
    found = {one["name"]: one["address"] for one in gateway.events("serving")[0]["listeners"]}
    assert found["local"] == address(first)
    host, _, port = found["other"].rpartition(":")
    with Wire((host, int(port))) as wire:
        assert wire.ask(target="/hello").body == b"one"


def test_the_admin_listener(activated: Run, file: Path, listening: Callable[[], socket.socket]) -> None:
    admin = listening()
    activated(file, [("", admin)], "--admin", address(admin))
    with Wire(admin.getsockname()) as wire:
        assert wire.ask(target="/readyz", host=address(admin)).status == 200


def test_clients_wait_while_the_gateway_is_restarted(
    activated: Run, file: Path, listening: Callable[[], socket.socket]
) -> None:
    first = listening()
    file.write_text(config().replace("127.0.0.1:0", address(first)))
    gateway = activated(file, [("local", first)], "--workers", "2")
    assert ask(first) == b"one"
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    with Wire(first.getsockname()) as wire:
        wire.send(head("GET", "/hello"))
        activated(file, [("local", first)], "--workers", "2")
        assert wire.reply().body == b"one"


def test_a_socket_without_a_listener_is_an_error(
    activated: Run, file: Path, listening: Callable[[], socket.socket]
) -> None:
    first, stray = listening(), listening()
    file.write_text(config().replace("127.0.0.1:0", address(first)))
    gateway = activated(file, [("local", first), ("stray", stray)], wait=False)
    assert gateway.end() == 1
    text = "".join(gateway.lines)
    assert "descriptor 4 (`stray`)" in text and address(stray) in text and "no listener" in text


def test_a_name_on_another_address_is_an_error(
    activated: Run, file: Path, listening: Callable[[], socket.socket]
) -> None:
    first, second = listening(), listening()
    file.write_text(config().replace("127.0.0.1:0", address(first)))
    gateway = activated(file, [("local", second)], wait=False)
    assert gateway.end() == 1
    assert "write the same in both places" in "".join(gateway.lines)


def test_what_is_no_listening_tcp_socket_is_an_error(activated: Run, file: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as silent:
        datagrams.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        gateway = activated(file, [("local", datagrams), ("local", silent)], wait=False)
        assert gateway.end() == 1
    text = "".join(gateway.lines)
    assert "no TCP socket" in text and "does not listen" in text


def test_sockets_for_another_process_are_not_ours(run: Run, yett: Yett, file: Path) -> None:
    yett.environment |= {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "local"}
    assert run(file).get("/hello").body == b"one"


def test_the_variables_are_taken_away() -> None:

    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_FDNAMES": "", "LANG": "C"}
    assert activation.take(environment) == []
    assert environment == {"LANG": "C"}
    for wrong in (
        {"LISTEN_FDS": "many"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"},
        {"LISTEN_FDS": "4000"},
    ):
        with pytest.raises(source.Refused):
            activation.take({"LISTEN_PID": str(os.getpid()), **wrong})


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="not installed")
def test_systemd_socket_activate(run: Run, file: Path, listening: Callable[[], socket.socket]) -> None:
    """The real thing: it listens, and starts the gateway with the first connection."""
    with listening() as free:
        where = address(free)
    file.write_text(config().replace("127.0.0.1:0", where))
    launcher = ["systemd-socket-activate", "-l", where, "--fdname=local"]
    gateway = run(file, wait=False, launcher=launcher)
    host, _, port = where.rpartition(":")

    def connected() -> Wire | None:
        try:
            return Wire((host, int(port)))
        except ConnectionRefusedError:
            return None

    wire = eventually(connected)
    assert wire is not None
    with wire:
        assert wire.ask(target="/hello").body == b"one"
    gateway.wait_for("serving")


def test_the_example_unit_is_one_that_works() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(Path(__file__).parents[2] / "examples" / "systemd" / "yett.socket")
    found = dict(unit["Socket"])
    assert set(found) == {"ListenStream", "FileDescriptorName", "Backlog"}
    document = {
        "listeners": [{"name": found["FileDescriptorName"], "address": found["ListenStream"]}],
        "admin": None,
    }
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        one.listen()
        document["listeners"][0]["address"] = f"0.0.0.0:{one.getsockname()[1]}"  # type: ignore[index]
        given = activation.match(
            [activation.Activated(one.fileno(), found["FileDescriptorName"])],
            json.dumps(document).encode(),
            [],
        )
    assert [one["listener"] for one in given] == ["public"]
