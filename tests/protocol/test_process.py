"""`yett run` as a process: reload by signal and by symlink under load, a bad file keeps the old one, stop drains."""

from __future__ import annotations

import signal
import threading

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import Truncated, head


def under_load(process, act):
    """Runs `act` while requests run; returns what went wrong with them."""
    stop, failures, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            try:
                answer = process.get("/a")
                if answer.status != 200:
                    failures.append(answer)
            except (Truncated, OSError) as error:
                failures.append(error)
            count[0] += 1

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: count[0] > 20)
        act()
        seen = count[0]
        eventually(lambda: count[0] > seen + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    return failures


def test_sighup_reloads_without_a_failed_request(run, origin):
    first, second = origin(name="first"), origin(name="second")
    process = run(configs.public(first), "--workers", "2")

    def act():
        for number in range(4):
            target = second if number % 2 == 0 else first
            process.write(configs.public(target))
            before = len(target.requests)
            process.signal(signal.SIGHUP)
            eventually(
                lambda target=target, before=before: len(target.requests) > before + 5,
                what="the new configuration",
            )

    assert not under_load(process, act)


def test_a_bad_file_keeps_the_old_configuration_and_says_where(run, origin):
    service = origin()
    process = run(configs.public(service))
    process.file.write_text(process.file.read_text().replace('"public"', '"publik"'))
    process.signal(signal.SIGHUP)
    eventually(lambda: "publik" in process.stderr(), what="the error")
    assert f"{process.file.name}:" in process.stderr()
    assert process.get("/a").status == 200
    assert process.ready()


def test_a_symlink_swap_reloads(run, origin, tmp_path):
    """As Kubernetes updates a ConfigMap: `..data` is swapped, the file's own name never changes."""
    first, second = origin(name="first"), origin(name="second")
    mount = tmp_path / "config"
    mount.mkdir()
    for name in ("one", "two"):
        (mount / name).mkdir()
    (mount / "..data").symlink_to("one")
    (mount / "gateway.yaml").symlink_to("..data/gateway.yaml")
    process = run(configs.public(first), "--watch", file=mount / "gateway.yaml")
    assert process.get("/a").status == 200

    def act():
        process.write(configs.public(second), to=mount / "two" / "gateway.yaml")
        (mount / "..tmp").symlink_to("two")
        (mount / "..tmp").rename(mount / "..data")
        eventually(lambda: second.requests, within=15, what="the swapped file")

    assert not under_load(process, act)


def test_sigterm_drains(run, origin):
    service = origin()
    release = threading.Event()
    service.behaviour = lambda stage: (stage.read_body(), release.wait(20), reply(body=b"late")(stage))
    process = run(configs.public(service))
    with process.connect(timeout=30) as wire:
        wire.send(head("GET", "/a"))
        service.wait_for(1)
        process.signal(signal.SIGTERM)
        eventually(lambda: not process.process.poll() and not listens(process), what="the end of listening")
        release.set()
        assert wire.reply().body == b"late"
    assert process.wait() == 0


def listens(process) -> bool:
    try:
        process.connect(timeout=2).close()
        return True
    except OSError:
        return False


def test_sigusr1_reopens_the_log(run, origin, tmp_path):
    process = run(configs.public(origin()))
    log = tmp_path / "access.jsonl"
    process.get("/before")
    eventually(lambda: log.exists() and b"/before" in log.read_bytes())
    log.rename(tmp_path / "access.jsonl.1")
    process.signal(signal.SIGUSR1)
    eventually(log.exists, what="the new file")
    process.get("/after")
    eventually(lambda: b"/after" in log.read_bytes())


def test_a_run_with_failures_says_no_secret_on_standard_error(run, origin, issuer, tmp_path):
    from tests.support.api_keys import KeyFile

    service, identity, keys = origin(), issuer(), KeyFile(tmp_path, pepper=b"pepper-0f3a9c4e77d1")
    key = keys.add("partner")
    identity.mode = "fail"
    config = configs.protected(service, identity)
    config["identity_providers"]["partners"] = {
        "type": "api_key",
        "keys": str(keys.path),
        "pepper": {"file": configs.write_secret(tmp_path, "pepper", b"pepper-0f3a9c4e77d1")},
    }
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "partners"]}
    process = run(config)
    token = identity.token()
    assert process.get("/closed", {"Authorization": f"Bearer {token}"}).status == 503
    assert process.get("/closed", {"X-Api-Key": key}).status == 200
    service.stop_listening()
    service.drop_connections()
    assert process.get("/closed", {"X-Api-Key": key}).status == 502
    assert process.get(f"/closed?access_token={token}").status in (400, 401)
    process.file.write_text(process.file.read_text().replace('pepper"}', 'nowhere"}'))
    process.signal(signal.SIGHUP)
    eventually(lambda: "nowhere" in process.stderr(), what="the error of the reload")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    text = process.stderr()
    for secret in (
        token,
        token.split(".")[2],
        key,
        key.split("_")[2],
        "pepper-0f3a9c4e77d1",
        keys.salt.hex(),
    ):
        assert secret not in text
        assert secret not in (tmp_path / "access.jsonl").read_text()
