"""Every row of the threat model names tests that there are, and every test of a threat stands in a row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "docs" / "threat-model.md").read_text().splitlines()


def rows() -> list[tuple[str, set[str]]]:
    """Threat and tests of each row of the tables with three columns."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in LINES if line.startswith("| ")
    ]
    tables = [row for row in cells if len(row) == 3 and row[0] not in {"threat", "party"}]
    return [(threat, set(re.findall(r"`([^`]+)`", tests))) for threat, answer, tests in tables if answer]


def file_of(name: str) -> Path:
    if name.endswith(".rs"):
        return ROOT / "crates" / "yett-core" / "src" / name
    return ROOT / "tests" / (name if "/" in name else f"security/test_{name}.py")


PARTIES = {"client", "proxy in `trusted_proxies`", "identity provider", "service"}
THREATS = [row for row in rows() if row[0] not in PARTIES and "configuration, secrets" not in row[0]]


@pytest.mark.parametrize(("threat", "tests"), THREATS, ids=[threat for threat, _ in THREATS])
def test_a_threat_names_its_tests(threat, tests):
    assert tests, f"no test is named for {threat}"
    assert all(file_of(name).is_file() for name in tests), tests


def test_every_test_of_a_threat_stands_in_a_row():
    named = {file_of(name) for _, tests in THREATS for name in tests}
    assert set(ROOT.glob("tests/security/test_*.py")) - named == set()


def test_every_table_of_threats_was_read():
    assert len(THREATS) >= 36
