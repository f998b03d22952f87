"""`yett lint`, and what lint errors do at a start and a reload."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Running, Yett, config
from tests.support.sarif import LOG

Run = Callable[..., Running]
ERROR = "environment: production\n"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """With one error, one warning and one note."""
    file = tmp_path / "bad gateway.yaml"
    file.write_text(
        "version: 1\n"
        'listeners: {local: {address: 127.0.0.1:0, plaintext: "x"}}\n'
        "access_log: stdout\n"
        "defaults: {limits: {body: 1MiB}}\n"
        "roles: {clerk: {permissions: a}}\n"
        'services: {legacy: {endpoints: http://127.0.0.1:1, plaintext: "x"}}\n'
        "routes:\n"
        "  one: {match: {hosts: any, path: /a, methods: GET}, access: public, respond: {body: x}}\n"
        "# ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    )
    return file


ASKED = ("--rule", "unused-role", "--rule", "unused-service", "--rule", "secret-in-file")


def test_text(yett: Yett, bad: Path) -> None:
    done = yett("lint", bad, *ASKED)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{bad}:5:9: info: no rule asks for `clerk`")
    assert lines[1].startswith(f"{bad}:6:12: warning: nothing leads to `legacy`")
    assert lines[2].startswith(f"{bad}:9:3: error: this looks like a key")
    assert lines[3] == "1 error, 1 warning, 1 note; `--fix` repairs 2"


def test_exit_codes(yett: Yett, bad: Path) -> None:
    assert yett("lint", bad, "--rule", "unused-service").returncode == 0
    assert yett("lint", bad, "--rule", "unused-service", "--strict").returncode == 1
    assert yett("lint", bad, "--rule", "unused-role", "--strict", "--severity", "warning").returncode == 0
    wrong = yett("lint", bad, "--rule", "unused-servce")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "there is no rule `unused-servce`; did you mean `unused-service`?\n",
    )
    assert yett("lint").returncode == 2


def test_json(yett: Yett, bad: Path) -> None:
    document = json.loads(yett("lint", bad, *ASKED, "--format", "json").stdout)
    assert document["counts"] == {"error": 1, "warning": 1, "info": 1}
    found = document["findings"][1]
    assert (found["rule"], found["line"], found["where"]) == ("unused-service", 6, "services.legacy")
    assert found["page"] == "docs/lint/unused-service.md" and found["fixable"]


def test_sarif_is_as_the_standard_says(yett: Yett, bad: Path) -> None:
    bad.write_text(
        bad.read_text() + 'lint: {ignore: {unused-role: {at: roles.clerk, reason: "for later"}}}\n'
    )
    log = json.loads(yett("lint", bad, *ASKED, "--format", "sarif").stdout)
    jsonschema.Draft202012Validator(LOG, format_checker=jsonschema.FormatChecker()).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("unused-service", "warning"), ("secret-in-file", "error"), ("unused-role", "note"),
    ]  # fmt: skip
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    assert [one.get("suppressions", [{}])[0].get("justification") for one in run["results"]] == [
        None,
        None,
        "for later",
    ]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 6, "startColumn": 12}
    assert place["artifactLocation"]["uri"].endswith("/bad%20gateway.yaml")
    assert "aaaaaaaa" not in json.dumps(log)


def test_sarif_of_a_configuration_that_does_not_load(yett: Yett, bad: Path) -> None:
    bad.write_text("version: 2\n")
    done = yett("lint", bad, "--format", "sarif")
    assert done.returncode == 1
    log = json.loads(done.stdout)
    jsonschema.Draft202012Validator(LOG).validate(log)
    assert {one["ruleId"] for one in log["runs"][0]["results"]} == {"configuration-error"}


def test_fix_says_what_it_did(yett: Yett, bad: Path) -> None:
    done = yett("lint", bad, *ASKED, "--fix")
    assert f"fixed: {bad}:6: removed the unused service `services.legacy` [unused-service]\n" in done.stdout
    assert "legacy" not in bad.read_text() and "clerk" not in bad.read_text()
    assert done.stdout.endswith("1 error\n")


def test_rules_are_listed(yett: Yett) -> None:
    assert "unused-service" in yett("lint", "--rules").stdout


# what it does to a gateway


def test_check_says_what_a_production_gateway_would_refuse(yett: Yett, file: Path) -> None:
    assert yett("check", file).returncode == 0
    file.write_text(config() + ERROR)
    done = yett("check", file)
    assert done.returncode == 1
    assert "[access-log-off]" in done.stderr


def test_elsewhere_errors_are_listed_and_served(run: Run, file: Path) -> None:
    file.write_text(config() + "# ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")
    gateway = run(file)
    assert any("[secret-in-file]" in event["what"] for event in gateway.events("lint"))
    assert gateway.get("/hello").body == b"one"


def test_in_production_errors_do_not_start(run: Run, file: Path) -> None:
    file.write_text(config() + ERROR)
    gateway = run(file, wait=False)
    assert gateway.end() == 1
    assert "[access-log-off]" in "".join(gateway.lines)


def test_in_production_a_reload_with_errors_changes_nothing(run: Run, yett: Yett, file: Path) -> None:
    accepted = 'lint: {ignore: {access-log-off: {at: access_log, reason: "for this test"}}}\n'
    file.write_text(config() + ERROR + accepted)
    gateway = run(file)
    file.write_text(config("two") + ERROR)
    done = yett("reload", file)
    assert done.returncode == 1
    assert "[access-log-off]" in done.stderr and "keeps serving" in done.stderr
    assert gateway.get("/hello").body == b"one"
    file.write_text(config("two") + ERROR + accepted)
    assert yett("reload", file).returncode == 0
    assert gateway.get("/hello").body == b"two"


def test_an_exception_that_ended_stops_a_reload_and_no_start(run: Run, yett: Yett, file: Path) -> None:
    over = 'lint: {ignore: {access-log-off: {at: access_log, reason: "for a while", until: 2020-01-01}}}\n'
    file.write_text(config() + ERROR + over)
    gateway = run(file)
    assert gateway.get("/hello").body == b"one"
    file.write_text(config("two") + ERROR + over)
    assert yett("reload", file).returncode == 1
    assert gateway.get("/hello").body == b"one"
