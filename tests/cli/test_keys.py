"""`yett keys`: rotate with overlap, expire, revoke, show, and what a running gateway makes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import configs
from tests.support.waiting import eventually
from tests.support.wire import Reply, Wire


def keys(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from yett.cli import main; main()", "keys", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def created(file: Path, name: str, *options: object) -> str:
    return keys("create", "--name", name, "--file", file, *options).stdout.strip()


def shown(file: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        keys("show", "--name", name, "--file", file, "--format", "json").stdout
    )
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "partners.keys.yaml"


def served(service, file: Path, **changes: object) -> configs.Config:
    config: configs.Config = {
        "identity_providers": {"partners": {"type": "api_key", "keys": str(file)}},
        "services": {"origin": configs.service(service)},
        "routes": {"closed": configs.route(authenticate="partners", access="authenticated")},
    }
    return {**config, **changes}


def test_a_rotation_overlaps(gateway, origin, file):
    service = origin()
    first = created(file, "acme", "--scope", "read")
    second = keys("rotate", "--name", "acme", "--file", file, "--overlap", "1h").stdout.strip()
    assert first != second and first not in file.read_text() and second not in file.read_text()
    gate = gateway(served(service, file))
    for key in (first, second):
        assert gate.get("/a", {"X-Api-Key": key}).status == 200
    assert {line["subject"] for line in gate.wait_log(2)} == {"acme"}
    third = keys("rotate", "--name", "acme", "--file", file, "--overlap", "0").stdout.strip()
    gate.reload(served(service, file))
    assert [gate.get("/a", {"X-Api-Key": key}).reason for key in (first, second, third)] == [
        None, "api_key_unknown", None,
    ]  # fmt: skip
    keys("revoke", "--name", "acme", "--file", file, "--id", first.split("_")[1])
    gate.reload(served(service, file))
    assert gate.get("/a", {"X-Api-Key": first}).reason == "api_key_unknown"
    assert gate.get("/a", {"X-Api-Key": third}).status == 200


def test_an_end_holds_for_earlier_keys_too(file):
    created(file, "acme", "--expires", "never")
    keys("rotate", "--name", "acme", "--file", file, "--overlap", "30d")
    keys("expire", "--name", "acme", "--file", file, "--at", "1h")
    row = shown(file, "acme")
    assert [one["expires"] for one in row["previous"]] == [row["expires"]]  # type: ignore[attr-defined]
    assert (
        keys("expire", "--name", "acme", "--file", file, "--at", "2001-01-01", code=2).stderr.count("past")
        == 1
    )


def test_what_is_written_by_hand_stays(file):
    for name in ("one", "two", "three"):
        created(file, name)
    text = file.read_text().replace(
        '  "two":', '  # asked for by the warehouse\n  "two":\n    # until the new scanner is there'
    )
    file.write_text(text + "# the end\n")
    keys("rotate", "--name", "two", "--file", file)
    keys("revoke", "--name", "one", "--file", file)
    after = file.read_text()
    for comment in ("# asked for by the warehouse", "# until the new scanner is there", "# the end"):
        assert comment in after
    rows = json.loads(keys("list", "--file", file, "--format", "json").stdout)
    assert [row["name"] for row in rows] == ["three", "two"]
    keys("revoke", "--name", "two", "--file", file)
    keys("revoke", "--name", "three", "--file", file)
    assert json.loads(keys("list", "--file", file, "--format", "json").stdout) == []
    created(file, "four")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rotate", "--name", "nobody"), 1),
        (("rotate", "--name", "acme", "--overlap", "never"), 2),
        (("revoke", "--name", "acme", "--id", "zzzzzzzzzzzz"), 1),
        (("create", "--name", "x", "--kind", "user"), 1),
        (("create", "--name", "x", "--allow", "here"), 1),
        (("show", "--name", "nobody"), 1),
    ],
)
def test_what_cannot_be_done_changes_nothing(file, arguments, code):
    created(file, "acme")
    before = file.read_bytes()
    assert keys(*arguments, "--file", file, code=code).stderr
    assert file.read_bytes() == before


def test_two_at_once_lose_nothing(file):
    created(file, "first")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: created(file, name), [f"n{number}" for number in range(6)]))
    rows = json.loads(keys("list", "--file", file, "--format", "json").stdout)
    assert len({row["id"] for row in rows}) == len(rows) == 7


def test_allowed_addresses_kind_and_partner(gateway, origin, file):
    service = origin()
    here = created(file, "here", "--allow", "127.0.0.0/8", "--kind", "device", "--partner", "acme")
    elsewhere = created(file, "elsewhere", "--allow", "192.0.2.0/24")
    proxied = {
        "listeners": configs.listener(trusted_proxies={"addresses": "127.0.0.1", "header": "x-forwarded-for"})
    }
    gate = gateway(served(service, file, **proxied))
    assert gate.get("/a", {"X-Api-Key": here}).status == 200
    for _ in range(2):
        answer = gate.get("/a", {"X-Api-Key": elsewhere})
        assert (answer.status, answer.reason) == (403, "api_key_address_forbidden")
    # the client, after trusted proxies
    assert gate.get("/a", {"X-Api-Key": elsewhere, "X-Forwarded-For": "192.0.2.7"}).status == 200
    assert gate.get("/a", {"X-Api-Key": elsewhere}).status == 403
    assert (
        gate.get("/a", {"X-Api-Key": here, "X-Forwarded-For": "192.0.2.7"}).reason
        == "api_key_address_forbidden"
    )
    line = gate.log_line(subject="here", status=200)
    assert (line["kind"], line["partner"]) == ("device", "acme")
    assert len(service.requests) == 2


def test_a_running_gateway_says_when_a_key_was_used_and_forgets_a_revoked_one(run, origin, file, tmp_path):
    service, state = origin(), tmp_path / "state"
    state.mkdir(mode=0o700)
    key, kept = created(file, "acme"), created(file, "kept")
    created(file, "idle")
    control = tmp_path / "control.sock"
    config = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        **served(service, file, state={"directory": str(state)}),
    }
    configuration = tmp_path / "gateway.yaml"
    configuration.write_text(json.dumps(config))
    gate = run(configuration, "--socket", str(control))

    def ask(key: str = key) -> Reply:
        with Wire(("127.0.0.1", gate.port)) as wire:
            return wire.ask("GET", "/a", {"X-Api-Key": key})

    assert ask().status == ask(kept).status == 200
    where = ("--file", file, "--socket", control)

    def used() -> dict[str, object]:
        rows = json.loads(keys("list", "--used", "--format", "json", *where).stdout)
        return {row["name"]: row["last_used"] for row in rows}

    eventually(lambda: used()["acme"] is not None)
    assert used()["idle"] is None
    assert keys("revoke", "--name", "acme", "--reload", *where).stderr.count("reloaded") == 1
    assert ask().reason == "api_key_unknown"
    gate.signal(signal.SIGTERM)
    assert gate.process.wait(60) == 0
    # over a restart
    assert len(json.loads((state / "key-uses.json").read_text())["partners"]) >= 1
    gate = run(configuration, "--socket", str(control))
    assert used()["kept"] is not None
    assert used()["idle"] is None
