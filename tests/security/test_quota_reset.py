"""A caller who has used up its quota gets none of it back: by a crash, by filling the table with keys, by a file that was changed."""

from __future__ import annotations

import sqlite3

import pytest

from tests.filters.test_quota import month, with_quota
from tests.support import configs
from tests.support.waiting import eventually
from yett import _core


def test_a_full_table_lets_nobody_through_early(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(2)})
    gate = gateway({**config, "process": {"quota_keys": 3}})
    first = identity.bearer(sub="first")
    assert [gate.get("/closed", first).status for _ in range(3)] == [200, 200, 429]
    others = [gate.get("/closed", identity.bearer(sub=f"made-up-{number}")).status for number in range(20)]
    # two with places of their own, two that the rest shares
    assert others.count(200) == 4
    assert gate.get("/closed", first).status == 429
    assert gate.metric("yett_quota_overflow_total") == 2
    assert gate.metric("yett_quota_keys") == 3


def test_what_was_written_survives_kill_9(run, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(5)})
    first = run(config)
    assert [first.request("GET", "/closed", identity.bearer()).status for _ in range(3)] == [200] * 3
    eventually(lambda: written(tmp_path) == 3, what="it is written within a second or so")
    first.process.kill()
    first.process.wait(20)
    second = run(config)
    assert [second.request("GET", "/closed", identity.bearer()).status for _ in range(3)] == [200, 200, 429]


def written(directory):
    with sqlite3.connect(f"file:{directory / 'state' / 'quotas.db'}?mode=ro", uri=True) as found:
        return sum(row[0] for row in found.execute("SELECT used FROM used"))


def test_a_damaged_file_is_refused_and_kept(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(1)})
    first = gateway(config)
    assert first.get("/closed", identity.bearer()).status == 200
    first.stop()
    file = tmp_path / "state" / "quotas.db"
    with sqlite3.connect(file) as change:
        change.execute("UPDATE used SET used = 0")
    change.close()
    before = file.read_bytes()
    with pytest.raises(_core.ApplyError, match=r"does not fit its sum.*move the file away"):
        gateway(config)
    assert file.read_bytes() == before
    plain = configs.protected(service, identity, tmp_path)
    serving = gateway(plain)
    with pytest.raises(_core.ApplyError, match="does not fit its sum"):
        serving.reload(config)
    assert serving.get("/closed", identity.bearer()).status == 200, "what served before serves on"
