"""Golden cases: good configurations with their compiled form, bad ones with every message.

`YETT_UPDATE=1 pytest tests/config/test_cases.py` writes the expected files anew; read the difference before committing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from yett.config import compile_file
from yett.errors import ConfigurationError

CASES = Path(__file__).parent / "cases"
UPDATE = os.environ.get("YETT_UPDATE") == "1"
GOOD = sorted((CASES / "good").glob("*.yaml"))
BAD = sorted((CASES / "bad").glob("*.yaml"))


def expect(path: Path, text: str) -> None:
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; YETT_UPDATE=1 writes it anew"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YETT_TEST_SECRET", "a secret of some length 0123456789")
    monkeypatch.setenv("YETT_TEST_SHORT", "short")
    monkeypatch.setenv("YETT_TEST_SESSION_KEY", "00" * 32)
    monkeypatch.delenv("YETT_TEST_ABSENT", raising=False)


def test_there_are_enough() -> None:
    assert len(GOOD) >= 12
    assert len(BAD) >= 60


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good(path: Path) -> None:
    compiled = compile_file(path)
    document = json.loads(compiled.ir)
    shown = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    expect(path.with_suffix(".ir.json"), shown.replace(str(path.parent), "/etc/yett") + "\n")
    assert compile_file(path).revision == compiled.revision


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad(path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_file(path)
    lines = [f"{error} [{error.code}]" for error in caught.value.errors]
    expect(path.with_suffix(".errors"), "\n".join(lines).replace(f"{path.parent}/", "") + "\n")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_messages_follow_the_rules(path: Path) -> None:
    """Lower case, no full stop, no words of Python or Rust, one line."""
    with pytest.raises(ConfigurationError) as caught:
        compile_file(path)
    for error in caught.value.errors:
        assert error.message[0] in "`%" or error.message[0].islower(), error.message
        assert not error.message.endswith("."), error.message
        assert error.message.isprintable(), error.message
        for word in (
            "NoneType",
            " dict",
            "tuple",
            "pydantic",
            "Input should",
            "Traceback",
            "a secret of some",
        ):
            assert word not in error.message
