"""`yett run --takeover`: another process on the same sockets, and not one request lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.cli.conftest import Running, Yett, config
from tests.support.load import Load, document, fresh, kept, posted, streams
from tests.support.origin import Origin
from tests.support.waiting import eventually
from tests.support.wire import Wire
from yett.control import channel, predecessor

Run = Callable[..., Running]


@pytest.fixture
def takeovers(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--takeovers"))


def configured(body: str, origin: Origin, listener_tls: dict[str, Any]) -> str:
    return json.dumps({**document(origin, listener_tls, body), "admin": {"address": "127.0.0.1:0"}})


def test_takeovers_under_load_lose_nothing(
    run: Run,
    yett: Yett,
    file: Path,
    origin: Callable[..., Origin],
    authority: trustme.CA,
    listener_tls: dict[str, Any],
    takeovers: int,
) -> None:
    service = origin()
    service.answers(body=b"y" * 5000)
    file.write_text(configured("0", service, listener_tls))
    now = run(file, "--workers", "4")
    port = now.port
    with Load(("127.0.0.1", port), authority, fresh, fresh, kept, posted, streams) as load:
        load.progress()
        for number, workers in zip(range(1, takeovers + 1), [1, 4, 2] * takeovers, strict=False):
            file.write_text(configured(str(number), service, listener_tls))
            before, now = now, run(file, "--workers", str(workers), "--takeover")
            assert now.port == port
            assert now.events("serving")[0]["took_over_from"] == before.process.pid
            # idle probes as well as the control socket are the new one's
            status = json.loads(yett("status", file, "--format", "json").stdout)
            assert (status["pid"], status["gateway"]["workers"]) == (now.process.pid, workers)
            assert before.end() == 0, "".join(before.lines)
            assert before.events("handed_over")
            load.progress()
    assert load.failed == []
    assert set(load.bodies) >= {b"0", str(takeovers).encode()}
    print(f"{takeovers} takeovers, {load.answered.total()} requests: {dict(load.answered)}")


def test_nobody_runs(run: Run, file: Path) -> None:
    """A service manager may always start with --takeover."""
    gateway = run(file, "--takeover")
    assert gateway.get("/hello").body == b"one"
    assert gateway.events("nobody_to_take_over_from")
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0


def test_the_control_socket_moves_and_goes_with_the_last_one(run: Run, yett: Yett, file: Path) -> None:
    first = run(file)
    (path,) = (Path(yett.environment["XDG_RUNTIME_DIR"]) / "yett").glob("*.sock")
    before = path.stat().st_ino
    with Wire(("127.0.0.1", first.port)) as wire:
        # holds the first one's drain
        assert wire.ask(target="/hello").status == 200
        second = run(file, "--takeover")
        for _ in range(5):
            assert channel.ask(path, {"command": "status"}, 10)["pid"] == second.process.pid
        assert first.process.poll() is None
        reply = wire.ask(target="/hello")
        assert (reply.status, reply["connection"]) == (200, "close")
    assert first.end() == 0
    assert path.stat().st_ino == before
    third = run(file, wait=False)
    assert third.end() == 1, "the lock moved along"
    file.write_text(config("two"))
    assert yett("reload", file).returncode == 0
    assert second.get("/hello").body == b"two"
    second.signal(signal.SIGTERM)
    assert second.end() == 0
    assert not path.exists()


def test_a_listener_that_went_and_one_that_came(run: Run, file: Path) -> None:
    both = config().replace('"test"}}', '"test"}, other: {address: "127.0.0.1:0", plaintext: "test"}}')
    both = both.replace("    match:", "    listeners: {any_of: [local, other]}\n    match:")
    file.write_text(config())
    first = run(file)
    file.write_text(both)
    second = run(file, "--takeover")
    assert first.end() == 0
    ports = {
        one["name"]: int(one["address"].rpartition(":")[2])
        for one in second.events("serving")[0]["listeners"]
    }
    assert ports["local"] == first.port
    file.write_text(config())
    third = run(file, "--takeover")
    assert second.end() == 0
    assert third.port == first.port
    assert third.get("/hello").body == b"one"
    with pytest.raises(ConnectionRefusedError):
        Wire(("127.0.0.1", ports["other"]))


def descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


@pytest.fixture
def serving(run: Run, file: Path, tmp_path: Path) -> Iterator[tuple[Running, Path]]:
    """A gateway that has to serve on as if nothing had happened, with as many descriptors."""
    path = tmp_path / "control.sock"
    gateway = run(file, "--workers", "2", "--socket", path)
    assert gateway.get("/hello").body == b"one"
    channel.ask(path, {"command": "status"}, 10)
    before = descriptors(gateway.process.pid)
    yield gateway, path
    assert gateway.get("/hello").body == b"one"
    status = channel.ask(path, {"command": "status"}, 10)
    assert status["pid"] == gateway.process.pid
    assert status["gateway"]["ready"] is True
    assert all(gateway.get("/hello").status == 200 for _ in range(10))
    eventually(lambda: descriptors(gateway.process.pid) <= before, what="the same descriptors")
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    assert not path.exists()


Serving = tuple[Running, Path]


def test_a_newcomer_with_a_bad_configuration(serving: Serving, run: Run, file: Path) -> None:
    gateway, path = serving
    file.write_text(config().replace("access: public", "acess: public"))
    new = run(file, "--takeover", "--socket", path, wait=False)
    assert new.end() == 1
    assert f"{file}:8:" in "".join(new.lines)
    assert "does not load" in gateway.wait_for("takeover_failed")["error"]


def test_a_newcomer_that_cannot_bind(serving: Serving, run: Run, file: Path) -> None:
    """It gets as far as the data plane."""
    gateway, path = serving
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = f'other: {{address: "127.0.0.1:{taken.getsockname()[1]}", plaintext: "test"}}'
        text = config().replace('"test"}}', f'"test"}}, {other}}}')
        file.write_text(text.replace("    match:", "    listeners: {any_of: [local, other]}\n    match:"))
        new = run(file, "--takeover", "--socket", path, wait=False)
        assert new.end() == 1
    assert "already in use" in "".join(new.lines)
    gateway.wait_for("takeover_failed")


def test_a_newcomer_that_is_killed(serving: Serving, run: Run, file: Path) -> None:
    gateway, path = serving
    for count in range(1, 4):
        new = run(file, "--takeover", "--socket", path, wait=False)
        gateway.wait_for("takeover_begun", count)
        new.process.kill()
        gateway.wait_for("takeover_failed", count)


def test_a_newcomer_that_goes_away(serving: Serving) -> None:
    gateway, path = serving
    mine = descriptors(os.getpid())
    for count, stage in enumerate(["received", "ready", "go"], start=1):
        found = predecessor.connect(path, os.getuid())
        assert found is not None
        assert found.pid == gateway.process.pid
        assert [one["listener"] for one in found.adopted] == ["local"]
        assert len(found.adopted[0]["sockets"]) == 2
        if stage == "ready":
            found._connection.sendall(b'{"ready": true}\n')
        if stage == "go":
            assert found.ready() is True
        found.close()
        gateway.wait_for("takeover_failed", count)
        for one in found.adopted:
            for number in (*one["sockets"], one["lock"]):
                os.close(number)
        with found.claimed:
            pass
        assert descriptors(os.getpid()) == mine, stage


def test_one_takeover_at_a_time_and_no_reload_meanwhile(serving: Serving, run: Run, file: Path) -> None:
    gateway, path = serving
    found = predecessor.connect(path, os.getuid())
    assert found is not None
    with pytest.raises(channel.Unreachable, match="another takeover"):
        predecessor.connect(path, os.getuid())
    file.write_text(config("two"))
    gateway.signal(signal.SIGHUP)
    assert channel.ask(path, {"command": "status"}, 10)["last_reload"]["cause"] == "start"
    file.write_text(config("one"))
    found.fail("changed its mind")
    assert "changed its mind" in gateway.wait_for("takeover_failed")["error"]
    gateway.wait_for("configuration_unchanged")
    found.close()


def test_another_version_of_the_handover(serving: Serving) -> None:
    _, path = serving
    with pytest.raises(channel.Unreachable, match="version 1 of the handover, not `2`"):
        channel.ask(path, {"command": "takeover", "protocol": 2}, 10)


@pytest.mark.skipif(os.getuid() != 0, reason="another user's rights need root")
def test_another_user_gets_nothing(serving: Serving) -> None:
    gateway, path = serving
    with pytest.raises(channel.Unreachable, match="belongs to user 0, this one to 12345"):
        predecessor.connect(path, 12345)
    assert not gateway.events("takeover_begun")
    above = [parent for parent in path.parents if parent.stat().st_mode & 0o005 != 0o005]
    modes = {entry: entry.stat().st_mode for entry in (path, *above)}
    for entry in modes:
        entry.chmod(0o666 if entry == path else 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(channel.Unreachable, match="runs as another user"):
            channel.ask(path, {"command": "takeover", "protocol": 1}, 10)
    finally:
        os.seteuid(0)
        for entry, mode in modes.items():
            entry.chmod(mode)
    assert gateway.wait_for("control_request_refused")["uid"] == 65534
    assert not gateway.events("takeover_begun")


def test_a_gateway_that_is_stopped_meanwhile(run: Run, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    gateway = run(file, "--socket", path)
    found = predecessor.connect(path, os.getuid())
    assert found is not None
    gateway.signal(signal.SIGTERM)
    gateway.wait_for("stopping")
    with pytest.raises(channel.Unreachable, match="it is stopping"):
        found.ready()
    assert gateway.end() == 0
    assert not path.exists()


def test_a_gateway_that_dies_meanwhile_leaves_the_newcomer_serving(
    run: Run, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    gateway = run(file, "--socket", path)
    # one that answers as the gateway does, until the newcomer is ready
    stand_in = tmp_path / "stand-in.sock"
    os.link(channel.lock_path(path), channel.lock_path(stand_in))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stand_in))
        listener.listen()
        found = predecessor.connect(path, os.getuid())
        assert found is not None
        (given,) = found.adopted
        fds = [found.claimed.bound.fileno(), found.claimed.lock, *given["sockets"], given["lock"]]
        new = run(file, "--takeover", "--socket", stand_in, wait=False)
        client, _ = listener.accept()
        with client:
            assert json.loads(client.recv(4096)) == {"command": "takeover", "protocol": 1}
            one = {**given, "sockets": len(given["sockets"]), "lock": True}
            answer = {"protocol": 1, "descriptors": len(fds), "listeners": [one]}
            client.sendall(json.dumps(answer).encode() + b"\n")
            socket.send_fds(client, [b"\0"], fds)
            assert json.loads(client.recv(4096)) == {"ready": True}
    new.wait_for("predecessor_is_gone")
    new.wait_for("serving")
    assert new.port == gateway.port
    gateway.process.kill()
    gateway.process.wait()
    assert all(new.get("/hello").status == 200 for _ in range(10))


Answer = Callable[[socket.socket], None]


def _says(*lines: bytes) -> Answer:
    return lambda client: client.sendall(b"".join(lines))


def _too_few(client: socket.socket) -> None:
    client.sendall(b'{"protocol": 1, "descriptors": 3, "listeners": []}\n')
    socket.send_fds(client, [b"\0"], [client.fileno(), client.fileno()])


def _no_lock(client: socket.socket) -> None:
    client.sendall(b'{"protocol": 1, "descriptors": 2, "listeners": []}\n')
    socket.send_fds(client, [b"\0"], [client.fileno(), client.fileno()])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_says(b'{"error": "`takeover` is not a command"}\n'), "is not a command"),
        (_says(b'{"protocol": 2, "descriptors": 0, "listeners": []}\n'), "another version"),
        (_says(b"[]\n"), "no document"),
        (_says(b'{"protocol": 1, "descriptors": 1000000}\n'), "too many"),
        (_says(b"nonsense\n"), "could not hand over"),
        (_says(), "closed the connection"),
        (_too_few, "2 of 3 descriptors"),
        (_no_lock, "could not hand over"),
    ],
)
def test_a_gateway_that_answers_otherwise(tmp_path: Path, answer: Answer, message: str) -> None:
    """What is no handover is refused, and nothing that came with it stays open."""
    path = tmp_path / "control.sock"
    before = descriptors(os.getpid())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def other() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                answer(client)

        thread = threading.Thread(target=other)
        thread.start()
        with pytest.raises(channel.Unreachable, match=message):
            predecessor.connect(path, os.getuid())
        thread.join(10)
    assert descriptors(os.getpid()) == before
