"""`yett quota`, asked of a running gateway: who has used what, a key begins anew, and what another process takes over."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config
from tests.support.quotas import zone
from tests.support.waiting import eventually

Run = Callable[..., Running]


def limited(directory: Path, amount: int, more: str = "") -> str:
    quota = f"    quota: {{all: {{amount: {amount}, period: month, zone: {zone()}, key: route, warn: [50%]}}{more}}}\n"
    text = config(extra=f"state: {{directory: {directory / 'state'}}}\n")
    return text.replace("    respond:", f"{quota}    respond:")


@pytest.fixture
def quoted(file: Path) -> Path:
    file.write_text(limited(file.parent, 4))
    return file


def shown(yett: Yett, file: Path, *words: str) -> list[dict[str, object]]:
    done = yett("quota", "show", file, "--format", "json", *words)
    assert done.stdout, done.stderr
    return list(json.loads(done.stdout)["rows"])


def test_show_and_reset(yett: Yett, run: Run, quoted: Path) -> None:
    gateway = run(quoted)
    assert shown(yett, quoted) == []
    assert yett("quota", "show", quoted, "--above", "1%").returncode == 0, "nobody is above it"
    assert [gateway.get("/hello").status for _ in range(5)] == [200] * 4 + [429]
    (row,) = shown(yett, quoted)
    assert (row["quota"], row["scope"], row["by"], row["key"]) == ("all", "route:hello", "route", "everyone")
    assert (row["used"], row["amount"], row["threshold_percent"]) == (4, 4, 50)
    table = yett("quota", "show", quoted, "--above", "80%")
    assert table.returncode == 1 and "100.0% (above 50%)" in table.stdout
    done = yett("quota", "reset", "all", "everyone", quoted)
    assert (done.returncode, done.stdout.strip()) == (
        0,
        "`everyone` had used 4 of `all` (route:hello), and begins anew",
    ), done.stderr
    assert gateway.get("/hello").status == 200
    told = gateway.wait_for("quota_reset")
    assert (told["by"], told["quota"], told["key"], told["used_before"]) == ("cli", "all", "everyone", "4")
    assert gateway.wait_for("quota_threshold")["threshold_percent"] == "50"


def test_what_cannot_be_reset(yett: Yett, run: Run, quoted: Path) -> None:
    gateway = run(quoted)
    assert gateway.get("/hello").status == 200
    for words, message in (
        (("all", "nobody"), "`nobody` has used nothing of a quota `all`"),
        (("every", "everyone"), "`everyone` has used nothing of a quota `every`"),
        (("all", "everyone", quoted, "--scope", "route:other"), "has used nothing"),
    ):
        done = yett("quota", "reset", *words, *([] if quoted in words else [quoted]))
        assert done.returncode == 1 and message in done.stderr, done.stderr
    assert yett("quota", "show", quoted, "--above", "lots").returncode == 2
    assert shown(yett, quoted)[0]["used"] == 1


def test_no_gateway(yett: Yett, quoted: Path) -> None:
    done = yett("quota", "show", quoted)
    assert done.returncode == 1 and "no gateway answers" in done.stderr


def test_a_reset_survives_a_restart(yett: Yett, run: Run, quoted: Path) -> None:
    first = run(quoted)
    assert [first.get("/hello").status for _ in range(3)] == [200] * 3
    assert yett("quota", "reset", "all", "everyone", quoted).returncode == 0
    assert first.get("/hello").status == 200
    first.signal(signal.SIGTERM)
    assert first.end() == 0
    run(quoted)
    assert shown(yett, quoted)[0]["used"] == 1


def test_a_successor_takes_the_numbers_over(yett: Yett, run: Run, quoted: Path) -> None:
    first = run(quoted)
    assert [first.get("/hello").status for _ in range(3)] == [200] * 3
    second = run(quoted, "--takeover")
    assert first.end() == 0
    # what the first had not written when the second read is read a second later
    eventually(lambda: [row["used"] for row in shown(yett, quoted)] == [3], what="three of the first")
    assert [second.get("/hello").status for _ in range(3)] == [200, 429, 429]


def test_a_reload_keeps_them_and_another_amount_counts_at_once(yett: Yett, run: Run, quoted: Path) -> None:
    gateway = run(quoted)
    assert gateway.get("/hello").status == 200
    quoted.write_text(limited(quoted.parent, 1))
    assert yett("reload", quoted).returncode == 0
    assert gateway.get("/hello").status == 429
    assert shown(yett, quoted)[0]["amount"] == 1
