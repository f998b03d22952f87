"""What is stored of an ordered certificate: used where it is of use, otherwise ordered anew; never a reason not to load."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.certificates import DAY, Made, make
from yett.config import compile_file
from yett.config.acme import Ordered, Stored
from yett.config.compile import Compiled
from yett.control.acme.renewal import LONGEST_PAUSE_S, due_at, is_due, pause_s
from yett.control.acme.store import Retry, Store
from yett.control.certificates import pending

NAMES = ("a.test", "b.test")


@pytest.fixture
def root() -> Made:
    return make("root", authority=True)


def load(directory: Path) -> Compiled:
    file = directory / "gateway.yaml"
    file.write_text(
        "version: 1\n"
        "state: {directory: state}\n"
        "listeners:\n"
        "  web: {address: 127.0.0.1:0, plaintext: test}\n"
        "  secure: {address: 127.0.0.1:0, tls: {acme: {directory: https://ca.test/dir, domains: [a.test, b.test], agree_to_terms: true}}}\n"
        'routes: {a: {listeners: web, match: {hosts: any, path: "/", methods: GET}, access: public, respond: {status: 200, body: a}}}\n'
    )
    return compile_file(file)


def keep(directory: Path, text: str) -> Compiled:
    (one,) = load(directory).ordered
    Store(one.root).prepare()
    one.file.write_text(text)
    return load(directory)


def tls(compiled: Compiled) -> dict[str, object]:
    found: dict[str, object] = json.loads(compiled.ir)["listeners"][0]["tls"]
    return found


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    compiled = load(tmp_path)
    assert tls(compiled) == {"profile": "intermediate", "certificates": [], "pending": list(NAMES)}
    assert not (tmp_path / "state").exists()
    (one,) = compiled.ordered
    assert one.file in compiled.watched
    assert "`a.test`, `b.test`" in pending(compiled.ordered)[0]


def test_what_is_stored_is_used_for_the_names_that_it_has(tmp_path: Path, root: Made) -> None:
    leaf = make("leaf", by=root, names=["A.test"])
    compiled = keep(tmp_path, leaf.key_pem + leaf.pem + root.pem)
    found = tls(compiled)
    name = "listeners.secure.tls.acme.key"
    assert found["certificates"] == [{"chain": leaf.pem + root.pem, "key": name}]
    assert found["pending"] == ["b.test"]
    assert compiled.secrets[name] == leaf.key_pem.strip().encode()
    assert "PRIVATE" not in compiled.ir.decode() + repr(compiled.ordered)
    assert [one.use for one in compiled.certificates] == ["listener", "listener"]


@pytest.mark.parametrize(
    "fault", ["empty", "no key", "other key", "wrong order", "ended intermediate", "noise", "unreadable"]
)
def test_what_is_of_no_use_is_ordered_anew(tmp_path: Path, root: Made, fault: str) -> None:
    leaf = make("leaf", by=root, names=NAMES)
    ended = make("ended", by=root, authority=True, after=-9 * DAY, until=-DAY)
    low = make("low", by=ended, names=NAMES)
    text = {
        "empty": "", "no key": leaf.pem, "other key": make("x").key_pem + leaf.pem,
        "wrong order": leaf.key_pem + leaf.pem + make("x").pem, "ended intermediate": low.key_pem + low.pem + ended.pem,
        "noise": leaf.key_pem + "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "unreadable": "",
    }[fault]  # fmt: skip
    compiled = keep(tmp_path, text)
    if fault == "unreadable":
        (one,) = compiled.ordered
        one.file.unlink()
        one.file.mkdir()
        compiled = load(tmp_path)
    assert tls(compiled)["certificates"] == []
    assert "a new one is ordered" in pending(compiled.ordered)[0]


def ordered(tmp_path: Path) -> Ordered:
    return load(tmp_path).ordered[0]


def test_when_it_is_due(tmp_path: Path) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    stored = Stored("", b"", frozenset(NAMES), 1, begin, begin + 90 * DAY)
    one = ordered(tmp_path)
    assert due_at(stored, 0.0) == begin + 60 * DAY
    assert due_at(stored, 1.0) == begin + 57 * DAY
    assert not is_due(one, stored, begin + 59 * DAY, 0.0)
    assert is_due(one, stored, begin + 61 * DAY, 0.0)
    assert is_due(one, None, begin, 0.0)
    fewer = Stored("", b"", frozenset(NAMES[:1]), 1, begin, begin + 90 * DAY)
    assert is_due(one, fewer, begin, 0.0)


def test_pauses_grow_to_a_bound() -> None:
    for failures, seconds in [(1, 60), (2, 180), (3, 540), (4, 1620), (9, LONGEST_PAUSE_S), (10**9, LONGEST_PAUSE_S)]:  # fmt: skip
        assert 0.75 * seconds <= pause_s(failures) <= 1.25 * seconds


def test_the_store(tmp_path: Path) -> None:
    one = ordered(tmp_path)
    store = Store(one.root)
    store.prepare()
    with store.lock() as first, Store(one.root).lock() as second:
        assert (first, second) == (True, False)
    with store.open_challenges({"to-ken": "to-ken.print"}):
        (one.root / "challenges" / ".new-x").write_text("half")
        (one.root / "challenges" / "strange").write_text("a\nb")
        assert Store(one.root).challenges() == {"to-ken": "to-ken.print"}
    assert not os.listdir(one.root / "challenges")
    for token, answer in [("../x", "a"), ("a", "a\n"), ("", "a")]:
        with pytest.raises(ValueError), store.open_challenges({token: answer}):
            pass
    assert not os.listdir(one.root / "challenges")
    store.save_retry(one, Retry(sorted(NAMES), 3, 5.0))
    assert store.retry(one) == Retry(sorted(NAMES), 3, 5.0)
    store.save_retry(one, Retry(["other.test"], 3, 5.0))
    assert store.retry(one) is None, "other names are another order"
    one.root.chmod(0o755)
    with pytest.raises(PermissionError):
        store.prepare()
