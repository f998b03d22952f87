"""api_key: named, hashed, expiring keys; what `yett keys create` prints works."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_key_opens_its_route_and_is_named_in_the_log(gateway, origin, tmp_path, workers):
    service, keys = origin(), KeyFile(tmp_path)
    key = keys.add("partner", expires=moment(3600))
    gate = gateway(configs.with_keys(service, keys), workers=workers)
    for _ in range(3):
        assert gate.get("/closed", {"X-Api-Key": key}).status == 200
    assert gate.get("/closed", {"x-API-key": key}).status == 200
    assert all("partner" in str(line) for line in gate.wait_log(4))


def test_no_key_and_a_wrong_key(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path)
    keys.add("partner")
    gate = gateway(configs.with_keys(service, keys))
    missing = gate.get("/closed")
    assert (missing.status, missing.reason) == (401, "credential_missing")
    assert missing["www-authenticate"].startswith("ApiKey realm=")
    wrong = gate.get("/closed", {"X-Api-Key": KeyFile.assemble("a" * 12, "b" * 43)})
    assert (wrong.status, wrong.reason) == (401, "api_key_unknown")
    malformed = gate.get("/closed", {"X-Api-Key": "secret"})
    assert malformed.status == 401
    assert malformed.reason in ("credential_malformed", "api_key_unknown")
    assert service.saw_nothing()


def test_an_expired_key(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path)
    key = keys.add("partner", expires="2020-01-01T00:00:00Z")
    gate = gateway(configs.with_keys(service, keys))
    answer = gate.get("/closed", {"X-Api-Key": key})
    assert (answer.status, answer.reason) == (401, "api_key_expired")
    assert service.saw_nothing()


def test_a_key_expires_while_it_is_in_use(gateway, origin, tmp_path):
    from tests.support.waiting import eventually

    service, keys = origin(), KeyFile(tmp_path)
    key = keys.add("partner", expires=moment(2))
    gate = gateway(configs.with_keys(service, keys))
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers={"X-Api-Key": key}).status == 200
        eventually(lambda: wire.ask(target="/closed", headers={"X-Api-Key": key}).reason == "api_key_expired")


def test_a_withdrawn_key_ends_with_the_reload(gateway, origin, tmp_path, workers):
    service, keys = origin(), KeyFile(tmp_path)
    key, other = keys.add("partner"), keys.add("other")
    config = configs.with_keys(service, keys)
    gate = gateway(config, workers=workers)
    wires = [gate.connect() for _ in range(4)]
    for wire in wires:
        assert wire.ask(target="/closed", headers={"X-Api-Key": key}).status == 200
    keys.remove("partner")
    gate.reload(config)
    for wire in wires:
        wire.close()
    for _ in range(4):
        assert gate.get("/closed", {"X-Api-Key": key}).reason == "api_key_unknown"
    assert gate.get("/closed", {"X-Api-Key": other}).status == 200


def test_another_header(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path)
    key = keys.add("partner")
    gate = gateway(configs.with_keys(service, keys, {"header": "X-Partner-Key"}))
    assert gate.get("/closed", {"X-Api-Key": key}).reason == "credential_missing"
    assert service.saw_nothing()
    assert gate.get("/closed", {"X-Partner-Key": key}).status == 200
    assert "x-partner-key" not in service.only


def test_a_pepper_is_part_of_the_hash(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path, pepper=b"pepper-0f3a9c4e77d1")
    key = keys.add("partner")
    good = configs.with_keys(
        service, keys, {"pepper": {"file": configs.write_secret(tmp_path, "pepper", b"pepper-0f3a9c4e77d1")}}
    )
    assert gateway(good).get("/closed", {"X-Api-Key": key}).status == 200
    bad = configs.with_keys(
        service, keys, {"pepper": {"file": configs.write_secret(tmp_path, "other", b"another-0f3a9c4e77d1")}}
    )
    assert gateway(bad).get("/closed", {"X-Api-Key": key}).reason == "api_key_unknown"
    assert (
        gateway(configs.with_keys(service, keys)).get("/closed", {"X-Api-Key": key}).reason
        == "api_key_unknown"
    )
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize(
    "change",
    [
        lambda k: k.update(hash="00"),
        lambda k: k.update(id="short"),
        lambda k: k.update(scope="x"),
        lambda k: k.update(expires="soon"),
        lambda k: k.update(hash=None),
        lambda k: k.update(scopes=5),
    ],
)
def test_a_broken_keys_file_does_not_load(gateway, origin, tmp_path, change):
    service, keys = origin(), KeyFile(tmp_path)
    keys.add("partner")
    change(keys.keys["partner"])
    keys.write()
    with pytest.raises(Exception):
        gateway(configs.with_keys(service, keys))


def test_two_keys_with_one_id_do_not_load(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path)
    keys.add("partner")
    keys.keys["twin"] = dict(keys.keys["partner"])
    keys.write()
    with pytest.raises(Exception):
        gateway(configs.with_keys(service, keys))


def test_what_the_command_line_creates_works(gateway, origin, tmp_path):
    service, keys = origin(), KeyFile(tmp_path, "partners.keys.yaml")
    keys.path.unlink(missing_ok=True)
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "from yett.cli import main; main()",
            "keys",
            "create",
            "--name",
            "partner",
            "--scope",
            "read",
            "--file",
            str(keys.path),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    found = re.search(r"yett_[a-z0-9]{12}_[A-Za-z0-9]{49}", made.stdout)
    assert found, made.stdout
    key = found[0]
    assert key not in keys.path.read_text()
    assert KeyFile.assemble(key.split("_")[1], key.split("_")[2][:43]) == key, (
        "the checksum is not as documented"
    )
    gate = gateway(configs.with_keys(service, keys, authorize={"scopes": "read"}))
    assert gate.get("/closed", {"X-Api-Key": key}).status == 200
    assert gate.get("/closed", {"X-Api-Key": key[:-1] + ("A" if key[-1] != "A" else "B")}).status == 401
