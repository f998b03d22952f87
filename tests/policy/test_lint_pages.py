"""Every rule of `yett lint` has its page, and what the page shows is true: the bad example has the finding, the good one has none."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.surroundings import fill
from yett import _core
from yett.config import compile_file
from yett.policy.lint import RULES
from yett.policy.linter.context import Context
from yett.policy.linter.rule import Finding, Rule
from yett.policy.linter.run import run

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "lint"
MODULES = ROOT / "src" / "yett" / "policy" / "lint"
BLOCK = re.compile(r"^## (Bad|Good)\n+```(yaml(?: complete| whole)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPLETE = re.compile(r"^```yaml complete\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOW = datetime(2026, 11, 29, tzinfo=UTC)
BY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def page(rule: Rule) -> str:
    return (PAGES / f"{rule.id}.md").read_text()


def read(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_core.parse_yaml(text.encode()))["value"]
    return value


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


STAGING = {
    "version": 1,
    "environment": "staging",
    "routes": {
        "exchange-rates": {
            "group": "shop",
            "match": {"path": "/exchange-rates/{currency}", "methods": "GET"},
            "authorize": {"scopes": "x"},
        }
    },
}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = fill(tmp_path_factory.mktemp("lint"))
    (directory / "shop.base.yaml").write_text(example().replace("environment: production\n", ""))
    (directory / "environments").mkdir()
    (directory / "environments" / "staging.yaml").write_text(json.dumps(STAGING))
    return directory


def example() -> str:
    found = COMPLETE.search((PAGES / "README.md").read_text())
    assert found
    return found[1]


@pytest.fixture
def base() -> str:
    return example()


@pytest.fixture
def found(surroundings: Path, base: str):
    """What the linter finds in an example."""
    file = surroundings / "gateway.yaml"

    def ask(kind: str, text: str) -> tuple[Finding, ...]:
        whole = kind != "yaml"
        file.write_text(text if whole else json.dumps(laid_over(read(base), read(text)), indent=1))
        return run(Context(compile_file(file), NOW)).findings

    return ask


def test_the_base_has_no_findings(found, base: str) -> None:
    assert [str(one) for one in found("yaml whole", base)] == []


@BY_RULE
def test_the_bad_example_has_this_finding_and_no_other(found, rule: Rule) -> None:
    blocks = {which: (kind, text) for which, kind, text in BLOCK.findall(page(rule))}
    findings = found(*blocks["Bad"])
    assert {one.rule.id for one in findings} == {rule.id}, [str(one) for one in findings]


@BY_RULE
def test_the_good_example_has_none(found, rule: Rule) -> None:
    blocks = {which: (kind, text) for which, kind, text in BLOCK.findall(page(rule))}
    assert [str(one) for one in found(*blocks["Good"])] == []


@BY_RULE
def test_the_page_says_what_the_rule_is(rule: Rule) -> None:
    lines = page(rule).splitlines()
    parts = [f"**{rule.severity}**", *([", ".join(rule.references)] if rule.references else [])]
    parts += ["`--fix`"] if rule.fixable else []
    assert lines[0] == f"# {rule.id}"
    assert lines[2] == " · ".join(parts)
    assert lines[4] == f"{rule.title[0].upper()}{rule.title[1:]}."
    assert [line for line in lines if line.startswith("## ")] == ["## Bad", "## Good"]
    assert len(" ".join(lines[6 : lines.index("## Bad")])) > 80


def test_rules_pages_and_modules_are_the_same_list() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(ids)
    modules = {path.stem.replace("_", "-") for path in MODULES.glob("*.py")} - {"--init--"}
    assert modules == set(ids)


def test_the_list_of_rules_is_that_of_the_documentation() -> None:
    rows = [
        f"| [{rule.id}]({rule.id}.md){' *' if rule.fixable else ''} | {rule.severity} | {rule.title} | {', '.join(rule.references)} |"
        for rule in RULES
    ]
    text = (PAGES / "README.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("| [")] == rows


@BY_RULE
def test_references_are_of_known_forms(rule: Rule) -> None:
    for reference in rule.references:
        assert re.fullmatch(r"API([1-9]|10):2023|SP 800-204 4\.[1-7]|CWE-\d+", reference)


@BY_RULE
def test_messages_follow_the_rules(found, rule: Rule) -> None:
    """Lower case, no full stop, one line; and what to do next."""
    blocks = {which: (kind, text) for which, kind, text in BLOCK.findall(page(rule))}
    for one in found(*blocks["Bad"]):
        assert one.message[0] in "`%" or one.message[0].islower()
        assert not one.message.endswith(".")
        assert one.message.isprintable()
        assert "; " in one.message or ": " in one.message
