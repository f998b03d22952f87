"""Commands that need no running gateway: what they print, and what they end with."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Yett, config

KEY = "yett_"


def test_help_names_every_command(yett: Yett) -> None:
    done = yett("--help")
    assert done.returncode == 0
    for name in ("init", "check", "run", "reload", "revoke", "status", "schema", "keys", "demo"):
        assert name in done.stdout


@pytest.mark.parametrize(
    "words", [["nonsense"], ["check"], ["run", "x.yaml", "--workers", "many"], ["check", "--colour", "x"]]
)
def test_wrong_usage_is_2(yett: Yett, words: list[str]) -> None:
    assert yett(*words).returncode == 2


def test_a_first_configuration_passes_its_check(yett: Yett, tmp_path: Path) -> None:
    assert yett("init", tmp_path / "new").returncode == 0
    done = yett("check", tmp_path / "new" / "gateway.yaml")
    assert done.returncode == 0, done.stderr
    assert "weakened" in done.stdout
    assert json.loads((tmp_path / "new" / "yett.schema.json").read_text())["title"]


def test_init_overwrites_nothing(yett: Yett, file: Path) -> None:
    before = file.read_text()
    done = yett("init", file.parent)
    assert (done.returncode, file.read_text()) == (1, before)
    assert "--force" in done.stderr


def test_check_names_every_error_with_its_place(yett: Yett, file: Path) -> None:
    file.write_text(
        config().replace("access: public", "acess: public").replace("methods: GET", "methods: get")
    )
    done = yett("check", file)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"{file}:8:") and "`acess`" in line for line in lines), lines
    assert any(line.startswith(f"{file}:7:") and "`GET`" in line for line in lines), lines


def test_check_as_json(yett: Yett, file: Path) -> None:
    good = json.loads(yett("check", file, "--format", "json").stdout)
    assert good["ok"]
    assert len(good["revision"]) == 64
    file.write_text("version: 1\nlisteners: 5\n")
    done = yett("check", file, "--format", "json")
    bad = json.loads(done.stdout)
    assert (done.returncode, bad["ok"]) == (1, False)
    assert all({"file", "line", "column", "message"} <= set(problem) for problem in bad["problems"])


def test_the_demo_shop_before_it_is_prepared(yett: Yett, tmp_path: Path) -> None:
    """What makes its files is said once, below what is missing."""
    hint = "in the demo shop, `yett demo prepare` makes what stands in `.state`"
    shop = Path(__file__).parents[2] / "examples" / "shop"
    made = tmp_path / "shop"
    shutil.copytree(shop, made, ignore=shutil.ignore_patterns(".state", "__pycache__"))
    for command in (["check", made / "gateway.yaml"], ["access", made / "gateway.yaml"]):
        done = yett(*command)
        assert done.returncode == 1 and "does not exist" in done.stderr
        assert done.stderr.count(hint) == 1
    other = tmp_path / "gateway.yaml"
    other.write_text(
        "version: 1\nlisteners: {main: {address: '127.0.0.1:0', tls: {certificates: {chain: a.pem, key: {file: a.key}}}}}\n"
    )
    done = yett("check", other)
    assert "does not exist" in done.stderr and hint not in done.stderr


def test_check_of_a_missing_file(yett: Yett, tmp_path: Path) -> None:
    done = yett("check", tmp_path / "missing.yaml")
    assert done.returncode == 1
    assert "missing.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_shown_once_and_kept_as_a_hash(yett: Yett, tmp_path: Path) -> None:
    keys = tmp_path / "partners.keys.yaml"
    done = yett(
        "keys", "create", "--name", "acme", "--scope", "orders.read", "--tenant", "acme", "--file", keys
    )
    key = done.stdout.strip()
    assert done.returncode == 0, done.stderr
    assert key.startswith(KEY)
    assert key not in done.stderr
    text = keys.read_text()
    assert key not in text
    assert key.rpartition("_")[2][:20] not in text
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    rows = json.loads(yett("keys", "list", "--file", keys, "--format", "json").stdout)
    assert [(row["name"], row["scopes"], row["state"]) for row in rows] == [
        ("acme", ["orders.read"], "valid")
    ]


def test_keys_are_appended_and_comments_stay(yett: Yett, tmp_path: Path) -> None:
    keys = tmp_path / "partners.keys.yaml"
    yett("keys", "create", "--name", "one", "--file", keys)
    keys.write_text(keys.read_text() + "  # asked for by the warehouse\n")
    assert yett("keys", "create", "--name", "two", "--expires", "never", "--file", keys).returncode == 0
    assert "# asked for by the warehouse" in keys.read_text()
    again = yett("keys", "create", "--name", "one", "--file", keys)
    assert again.returncode == 1
    assert "`one`" in again.stderr
    rows = json.loads(yett("keys", "list", "--file", keys, "--format", "json").stdout)
    assert [row["name"] for row in rows] == ["one", "two"]
    assert rows[1]["expires"] is None


@pytest.mark.parametrize("expires", ["soon", "2001-01-01", "-1d", "0d"])
def test_an_expiry_that_cannot_be_is_wrong_usage(yett: Yett, tmp_path: Path, expires: str) -> None:
    done = yett("keys", "create", "--name", "x", f"--expires={expires}", "--file", tmp_path / "k.yaml")
    assert done.returncode == 2
    assert not (tmp_path / "k.yaml").exists()


def test_status_and_reload_without_a_gateway(yett: Yett, file: Path) -> None:
    for command in ("status", "reload"):
        done = yett(command, file)
        assert done.returncode == 1
        assert "no gateway answers" in done.stderr
