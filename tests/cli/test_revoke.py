"""`yett revoke`, asked of a running gateway: what it prints, what it ends with, and what is left after a restart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config

Run = Callable[..., Running]


@pytest.fixture
def kept(file: Path) -> Path:
    file.write_text(config(extra=f"state: {{directory: {file.parent / 'state'}}}\n"))
    return file


def test_revoke_list_and_undo(yett: Yett, run: Run, kept: Path) -> None:
    gateway = run(kept)
    done = yett("revoke", kept, "--subject", "ann", "--for", "12h")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("revoked ") and done.stdout.rstrip().endswith("; on disk")
    assert yett("revoke", kept, "--key", "k1", "--provider", "partners").returncode == 0
    assert (
        yett(
            "revoke", kept, "--issuer-before", "https://id.test", "--before", "2026-01-01T00:00:00Z"
        ).returncode
        == 0
    )
    listed = json.loads(yett("revoke", kept, "--list", "--format", "json").stdout)
    kinds = [one["what"]["kind"] for one in listed["revocations"]]
    assert kinds == ["subject", "key", "issuer"] and listed["held"] == 3
    first = listed["revocations"][0]["id"]
    assert "ann" in yett("revoke", kept, "--list").stdout
    gateway.signal(signal.SIGTERM)
    assert gateway.end() == 0
    run(kept)
    assert yett("revoke", kept, "--undo", first).returncode == 0
    again = yett("revoke", kept, "--undo", first)
    assert again.returncode == 1 and "nothing is revoked under this id" in again.stderr
    assert json.loads(yett("revoke", kept, "--list", "--format", "json").stdout)["held"] == 3


def test_a_token_comes_from_standard_input(yett: Yett, run: Run, file: Path) -> None:
    run(file)
    command = [sys.executable, "-m", "yett", "revoke", str(file), "--token", "-", "--format", "json"]
    done = subprocess.run(
        command,
        env=yett.environment,
        input="an-opaque-token\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kept"] == "none" and answer["revocation"]["what"]["kind"] == "token_digest"
    assert "opaque" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name one thing"),
        (["--subject", "a", "--client", "b"], "name one thing"),
        (["--subject", "a", "--for", "soon"], "no duration"),
        (["--subject", "a", "--before", "yesterday"], "no time"),
        (["--list", "--undo", "x"], "name one thing"),
    ],
)
def test_wrong_usage(yett: Yett, file: Path, words: list[str], message: str) -> None:
    done = yett("revoke", file, *words)
    assert done.returncode == 2 and message in done.stderr


def test_without_a_gateway_it_says_so(yett: Yett, file: Path) -> None:
    done = yett("revoke", file, "--subject", "ann")
    assert done.returncode == 1 and "no gateway answers" in done.stderr
