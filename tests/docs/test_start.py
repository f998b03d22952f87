"""The first policy of docs/start.md, done as it is written there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yett import _core

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
BLOCKS = re.findall(r"^```(yaml|console)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ .venv/bin/yett ").partition("  #")[0]
    for language, text in BLOCKS
    if language == "console"
    for line in text.splitlines()
    if line.startswith("$ .venv/bin/yett ")
]


def read(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_core.parse_yaml(text.encode()))["value"]
    return value


@pytest.fixture
def yett(tmp_path: Path):
    """`yett("lint")`: the page's commands that begin so, in their order."""

    def run(name: str) -> list[subprocess.CompletedProcess[str]]:
        found = [command for command in COMMANDS if command.split()[0] == name]
        assert found, f"the page has no `yett {name}`"
        return [
            subprocess.run(
                ["bash", "-c", f'exec "$0" {command}', str(Path(sys.executable).with_name("yett"))],
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )
            for command in found
        ]  # fmt: skip

    return run


def test_the_first_policy(yett, tmp_path: Path) -> None:
    key, tests, limit = (read(text) for language, text in BLOCKS if language == "yaml")
    assert yett("init")[0].returncode == 0
    file = tmp_path / "try" / "gateway.yaml"
    assert yett("check")[0].returncode == 0
    assert yett("keys")[0].returncode == 0

    document = {**read(file.read_text()), **key}
    file.write_text(json.dumps(document))
    (tmp_path / "try" / "hello.tests.yaml").write_text(json.dumps(tests))
    (done,) = yett("test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^3 tests, 3 passed", done.stdout, re.MULTILINE)

    refused, allowed = yett("explain")
    assert (refused.returncode, allowed.returncode) == (1, 0), refused.stderr + allowed.stderr
    assert "credential_missing" in refused.stdout

    def warnings() -> list[str]:
        (done,) = yett("lint")
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r": warning: .*\[(.*)\]$", done.stdout, re.MULTILINE)

    assert warnings() == ["rate-limit-missing"]
    document["routes"]["hello"].update(limit["routes"]["hello"])
    file.write_text(json.dumps(document))
    assert warnings() == []

    route = {"match": document["routes"]["hello"]["match"], "access": "public", "service": "hello"}
    file.write_text(json.dumps({**document, "routes": {"hello": route}}))
    (done,) = yett("test")
    assert done.returncode == 1
    assert "expected `credential_missing`, got `allow`" in done.stdout
