"""The examples are what `yett lint` asks for: no errors, and in the shop no warnings that nobody accepted."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from yett.config import compile_file
from yett.demo.shop import Shop, find_directory, free_ports
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Severity
from yett.policy.linter.run import run

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("CLIENT_SECRET", "a secret of some length 0123456789")
    monkeypatch.setenv("REDIS_PASSWORD", "a password of some length 0123456789")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_have_no_errors(path: Path) -> None:
    assert [str(one) for one in run(Context(compile_file(path))).of(Severity.ERROR)] == []


def test_the_shop_has_no_findings_that_nobody_accepted(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    shutil.copytree(find_directory(None), directory, ignore=shutil.ignore_patterns(".state", "__pycache__"))
    shop = Shop(directory, directory / ".state", free_ports())
    shop.prepare()
    found = run(Context(compile_file(shop.configuration()))).findings
    assert [str(one) for one in found if one.severity is not Severity.INFO] == []
