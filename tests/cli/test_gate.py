"""The tests that a configuration names are a gate: what they refuse does not serve."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Running, Yett, config
from yett.demo.shop import PORTS, Shop, find_directory

TESTS = "version: 1\ntests:\n  hello: {request: GET http://any.test/hello, expect: OUTCOME}\n"


@pytest.fixture
def tests(file: Path) -> Path:
    """A file of tests that the configuration names."""
    path = file.with_name("hello.tests.yaml")
    file.write_text(config() + "tests: '*.tests.yaml'\n")
    return path


def test_a_failing_test_does_not_start(run: Callable[..., Running], file: Path, tests: Path) -> None:
    tests.write_text(TESTS.replace("OUTCOME", "allow"))
    gateway = run(file, wait=False)
    assert gateway.end() == 1
    assert f"{tests}:3:3: FAILED hello: expected `allow`, got `answer`" in "".join(gateway.lines)


def test_a_failing_test_refuses_a_reload(
    run: Callable[..., Running], yett: Yett, file: Path, tests: Path
) -> None:
    tests.write_text(TESTS.replace("OUTCOME", "answer"))
    gateway = run(file)
    assert gateway.get("/hello").body == b"one"
    file.write_text(config("two") + "tests: hello.tests.yaml\n")
    tests.write_text(TESTS.replace("OUTCOME", "route_not_found"))
    done = yett("reload", file)
    assert done.returncode == 1
    assert f"{tests}:3:3: FAILED hello: expected `route_not_found`, got `answer`" in done.stderr
    assert "keeps serving" in done.stderr
    assert gateway.get("/hello").body == b"one"
    tests.write_text(TESTS.replace("OUTCOME", "answr"))
    done = yett("reload", file)
    assert f"{tests}:3:55: there is no outcome or reason `answr`; did you mean `answer`?" in done.stderr
    tests.write_text(TESTS.replace("OUTCOME", "answer"))
    assert yett("reload", file).returncode == 0
    assert gateway.get("/hello").body == b"two"


def test_tests_that_are_not_there_do_not_load(yett: Yett, file: Path) -> None:
    file.write_text(config() + "tests: none.yaml\n")
    done = yett("check", file)
    assert done.returncode == 1
    assert "`none.yaml` matches no file; paths are relative to this file" in done.stderr


def test_the_shop_is_tested_without_being_run(yett: Yett, tmp_path: Path) -> None:
    """As somebody with a fresh checkout does it."""
    made = shutil.copytree(find_directory(None), tmp_path / "shop", ignore=shutil.ignore_patterns(".state"))
    assert yett("test", made).returncode == 1
    done = yett("demo", "prepare", "--directory", made)
    assert done.returncode == 0, done.stderr
    assert f"yett test {made} --coverage" in done.stdout
    done = yett("test", made, "--coverage", "--fail-under", "100")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shop_is_covered(yett: Yett, tmp_path: Path) -> None:
    """Every route, every rule, every reason."""
    shop = Shop(find_directory(None), tmp_path, dict(PORTS))
    shop.prepare()
    done = yett("test", shop.configuration(), "--coverage", "--fail-under", "100", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    covered = json.loads(done.stdout)["coverage"]
    assert covered["percent"] == 100
    assert covered["rules"]["total"] > 20
