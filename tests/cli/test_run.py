"""`yett run` through the front door: reload, signals, the watcher, the control socket."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config
from tests.support.process import open_files
from tests.support.waiting import eventually
from tests.support.wire import Wire

Run = Callable[..., Running]
BROKEN = config().replace("access: public", "acess: public")


def test_serves_and_stops(run: Run, file: Path) -> None:
    gateway = run(file)
    assert gateway.get("/hello").body == b"one"
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    assert gateway.events("stopped")


def test_everything_weakened_is_listed_at_start(run: Run, file: Path) -> None:
    listed = [event["what"] for event in run(file).events("weakened")]
    assert any("plain HTTP" in what for what in listed), listed
    assert any("log" in what for what in listed), listed


def test_a_configuration_with_errors_does_not_start(run: Run, file: Path) -> None:
    file.write_text(BROKEN)
    gateway = run(file, wait=False)
    assert gateway.end() == 1
    assert f"{file}:8:" in "".join(gateway.lines)


def test_an_address_in_use_does_not_start(run: Run, file: Path, tmp_path: Path) -> None:
    first = run(file)
    other = tmp_path / "other.yaml"
    other.write_text(config().replace("127.0.0.1:0", f"127.0.0.1:{first.port}"))
    second = run(other, wait=False)
    assert second.end() == 1
    assert str(first.port) in "".join(second.lines)
    assert first.get("/hello").body == b"one"


@pytest.mark.parametrize("how", ["command", "SIGHUP"])
def test_reload(run: Run, yett: Yett, file: Path, how: str) -> None:
    gateway = run(file)
    file.write_text(config("two"))
    if how == "command":
        assert yett("reload", file).returncode == 0
    else:
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("configuration_applied", 2)
    assert gateway.get("/hello").body == b"two"


def test_a_failed_reload_changes_nothing_and_says_so(run: Run, yett: Yett, file: Path) -> None:
    gateway = run(file)
    before = json.loads(yett("status", file, "--format", "json").stdout)
    file.write_text(BROKEN)
    done = yett("reload", file)
    assert done.returncode == 1
    assert f"{file}:8:" in done.stderr
    assert "keeps serving" in done.stderr
    assert gateway.get("/hello").body == b"one"
    after = json.loads(yett("status", file, "--format", "json").stdout)
    assert after["revision"] == before["revision"]
    assert after["last_reload"]["ok"] is False
    assert "`acess`" in after["last_reload"]["problems"][0]["text"]
    assert "FAILED" in yett("status", file).stdout
    assert gateway.events("configuration_error")
    file.write_text(config("two"))
    assert yett("reload", file).returncode == 0
    assert gateway.get("/hello").body == b"two"


def test_watch_sees_a_saved_file_and_survives_a_bad_one(run: Run, file: Path) -> None:
    gateway = run(file, "--watch")
    file.write_text(BROKEN)
    gateway.wait_for("configuration_refused")
    fresh = file.with_suffix(".new")
    fresh.write_text(config("two"))
    fresh.replace(file)
    eventually(lambda: gateway.get("/hello").body == b"two")


def test_watch_sees_a_swapped_configmap(run: Run, tmp_path: Path) -> None:
    """Kubernetes: FILE -> ..data/FILE, `..data` -> a directory; an update swaps `..data` and removes the old one."""
    mount = tmp_path / "config"
    for name, body in (("..one", "one"), ("..two", "two"), ("..three", "three")):
        (mount / name).mkdir(parents=True)
        (mount / name / "gateway.yaml").write_text(config(body))
    (mount / "..data").symlink_to("..one")
    (mount / "gateway.yaml").symlink_to("..data/gateway.yaml")
    gateway = run(mount / "gateway.yaml", "--watch")
    for old, new in (("one", "two"), ("two", "three")):
        (mount / "..tmp").symlink_to(f"..{new}")
        (mount / "..tmp").rename(mount / "..data")
        (mount / f"..{old}" / "gateway.yaml").unlink()
        (mount / f"..{old}").rmdir()
        eventually(lambda new=new: gateway.get("/hello").body == new.encode())  # type: ignore[misc]


def test_watch_sees_an_included_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    teams = tmp_path / "teams"
    teams.mkdir()
    file.write_text(config(extra="include: [teams/*.yaml]\n"))
    part = "version: 1\nroutes:\n  ROUTE:\n    match: {hosts: any, path: /ROUTE, methods: GET}\n"
    part += "    access: public\n    respond: {status: 200, body: ROUTE}\n"
    (teams / "a.yaml").write_text(part.replace("ROUTE", "alpha"))
    gateway = run(file, "--watch")
    assert gateway.get("/alpha").body == b"alpha"
    (teams / "a.yaml").write_text(part.replace("ROUTE", "gamma"))
    eventually(lambda: gateway.get("/gamma").body == b"gamma")
    (teams / "b.yaml").write_text(part.replace("ROUTE", "beta"))
    eventually(lambda: gateway.get("/beta").body == b"beta")


def test_the_control_socket_is_its_owners_alone(run: Run, yett: Yett, file: Path) -> None:
    run(file)
    directory = Path(yett.environment["XDG_RUNTIME_DIR"]) / "yett"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (socket,) = directory.glob("*.sock")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_a_directory_open_to_others_is_refused(run: Run, yett: Yett, file: Path) -> None:
    directory = Path(yett.environment["XDG_RUNTIME_DIR"]) / "yett"
    directory.mkdir()
    directory.chmod(0o755)
    gateway = run(file, wait=False)
    assert gateway.end() == 1
    assert "0700" in "".join(gateway.lines)


def test_one_gateway_for_one_file(run: Run, file: Path) -> None:
    first = run(file)
    second = run(file, wait=False)
    assert second.end() == 1
    assert "another gateway" in "".join(second.lines)
    assert first.get("/hello").body == b"one"


def test_a_socket_left_behind_by_a_crash_is_taken_over(run: Run, yett: Yett, file: Path) -> None:
    gateway = run(file)
    gateway.process.kill()
    gateway.process.wait()
    run(file)
    assert yett("status", file).returncode == 0


def test_bytes_that_are_no_command_hurt_nothing(run: Run, yett: Yett, file: Path, tmp_path: Path) -> None:
    import socket

    gateway = run(file, "--socket", tmp_path / "c.sock")
    for sent in (b"\n", b"[]\n", b'{"command": "format"}\n', b"\xff\xfe\n", b"{" * 70_000 + b"\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(tmp_path / "c.sock"))
            try:
                client.sendall(sent)
                client.recv(4096)
            except OSError:
                pass
    assert yett("status", "--socket", tmp_path / "c.sock").returncode == 0
    assert gateway.get("/hello").body == b"one"


def test_a_request_under_way_finishes_after_sigterm(
    run: Run, file: Path, origin: Callable[..., object]
) -> None:
    started = origin()
    file.write_text(
        config(
            extra=f"""\
  slow:
    match: {{hosts: any, path: /slow, methods: POST}}
    access: public
    service: origin
services: {{origin: {{endpoints: "http://127.0.0.1:{started.port}", plaintext: "test"}}}}
"""
        )  # type: ignore[attr-defined]
    )
    gateway = run(file)
    with Wire(("127.0.0.1", gateway.port)) as wire:
        wire.send(b"POST /slow HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\r\nab")
        # the head is with the gateway before it is told to stop
        eventually(lambda: json.loads(_status(gateway))["gateway"]["connections"] >= 1)
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("stopping")
        wire.send(b"cd")
        assert wire.reply().status == 200
    assert gateway.end() == 0


def test_a_second_signal_stops_now(run: Run, file: Path) -> None:
    gateway = run(file)
    with Wire(("127.0.0.1", gateway.port)) as wire:
        wire.send(b"GET /hello HTTP/1.1\r\nHost: gate")
        eventually(lambda: json.loads(_status(gateway))["gateway"]["connections"] >= 1)
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("stopping")
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(4) in {0, 1}


def test_sigusr1_reopens_the_access_log(run: Run, file: Path, tmp_path: Path) -> None:
    log, moved = tmp_path / "access.jsonl", tmp_path / "access.jsonl.1"
    file.write_text(config().replace("access_log: off", "access_log: {file: access.jsonl}"))
    gateway = run(file)
    gateway.get("/hello")
    eventually(lambda: log.exists() and log.stat().st_size > 0)
    log.rename(moved)
    gateway.signal(signal.SIGUSR1)
    gateway.wait_for("logs_reopened")
    gateway.get("/hello?again")
    eventually(lambda: log.exists() and log.stat().st_size > 0)
    assert len(moved.read_text().splitlines()) == 1


def test_the_address_of_admin_on_the_command_line(run: Run, yett: Yett, file: Path) -> None:
    run(file, "--admin", "127.0.0.1:0")
    answer = json.loads(yett("status", file, "--format", "json").stdout)
    address, _, port = answer["gateway"]["admin"]["address"].rpartition(":")
    with Wire((address, int(port))) as wire:
        assert wire.ask("GET", "/readyz", host=f"{address}:{port}").status == 200


def test_an_admin_listener_that_others_reach_needs_a_token(run: Run, file: Path) -> None:
    gateway = run(file, "--admin", "0.0.0.0:0", wait=False)
    assert gateway.end() == 1
    assert "token" in "".join(gateway.lines)


def _status(gateway: Running) -> str:
    from yett.control import channel

    (lock,) = [
        Path(target)
        for target in open_files(gateway.process.pid).values()
        if target.endswith(".lock") and "runtime" in target
    ]
    return json.dumps(channel.ask(lock.with_suffix(".sock"), {"command": "status"}, 5))
