"""What the documentation shows is true: whole configurations pass `yett check`, parts are YAML, links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.surroundings import fill

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
HEADINGS = ["What it does", "Configuration", "Bounds", "Answers", "Example", "Limits of it"]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """`page:line` and text of the fenced blocks whose info string is this."""
    for page in PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            if found[1].strip() == language:
                line = text.count("\n", 0, found.start()) + 2
                yield f"{page.relative_to(ROOT)}:{line}", found[2]


def cases(language: str) -> list[object]:
    """The blocks as parameters."""
    return [pytest.param(text, id=place) for place, text in blocks(language)]


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the examples name."""
    return fill(tmp_path_factory.mktemp("documentation"))


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("yett")), "check", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("text", cases("yaml complete"))
def test_a_whole_configuration_passes_the_check(text: str, surroundings: Path) -> None:
    path = surroundings / "gateway.yaml"
    path.write_text(text)
    done = check(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", cases("python"))
def test_a_configuration_in_python_passes_the_check(text: str, surroundings: Path) -> None:
    path = surroundings / "gateway.py"
    path.write_text(text)
    done = check(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", cases("yaml"))
def test_a_part_of_a_configuration_is_yaml(text: str) -> None:
    from yett import _core

    assert isinstance(json.loads(_core.parse_yaml(text.encode())), dict)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    found = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


def test_links_lead_to_headings() -> None:
    known = {page: anchors(page) for page in PAGES}
    lost = [
        f"{page.relative_to(ROOT)}: {target}#{heading}"
        for page in PAGES
        for target, heading in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text())
        if "://" not in target
        and heading not in known.get((page.parent / target).resolve() if target else page, {heading})
    ]
    assert lost == []


@pytest.mark.parametrize("kind", ["filters", "providers"])
def test_pages_of_features_have_the_same_headings(kind: str) -> None:
    pages = sorted((ROOT / "docs" / kind).glob("*.md"))
    assert pages
    for page in pages:
        lines = page.read_text().splitlines()
        assert lines[0] == f"# {page.stem}"
        assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS, page.name


def test_there_are_examples_to_check() -> None:
    assert len(list(blocks("yaml complete"))) >= 12


def rows_named_twice(text: str) -> list[str]:
    """First cells that two rows of one table have: merges of lists leave such."""
    twice: list[str] = []
    seen: set[str] = set()
    for line in text.splitlines():
        if not line.startswith("|"):
            seen.clear()
            continue
        first = re.split(r"(?<!\\)\|", line)[1].strip()
        if first and first in seen:
            twice.append(first)
        seen.add(first)
    return twice


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_no_row_of_a_table_stands_twice(name: str) -> None:
    assert rows_named_twice((ROOT / name).read_text()) == []


def test_a_row_that_stands_twice_is_seen() -> None:
    table = "| | |\n|---|---|\n| a | 1 |\n| b | 2 |\n| a | 3 |\n\n| b | 4 |\n"
    assert rows_named_twice(table) == ["a"]


def test_no_heading_of_the_changes_stands_twice() -> None:
    headings = re.findall(r"^#### .*$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings)) > 5
