"""Overlays: what one environment has of its own, laid over a base key by key; every error names the file in which it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.support.api_keys import KeyFile
from yett.cli.app import app
from yett.config import compile_file
from yett.config.overlay import laid_over
from yett.errors import ConfigurationError

BASE = """\
version: 1
include: teams/*.yaml
listeners: {main: {address: 127.0.0.1:8080, plaintext: "test"}}
identity_providers: {partners: {type: api_key, keys: keys.yaml}}
services:
  origin: {endpoints: https://origin.internal, tls: {ca: ca.pem}}
groups: {shop: {authenticate: partners, authorize: {scopes: {any_of: [read, write]}}, service: origin}}
routes:
  orders:
    group: shop
    match: {hosts: {any_of: [a.example, b.example]}, path: /orders, methods: GET}
    tenant: {none: "test"}
    rate_limit: {per-caller: {rate: 10/s, burst: 20}}
    timeouts: {first_byte: 5s}
"""
TEAM = """\
version: 1
routes:
  open: {match: {hosts: any, path: /open, methods: GET}, access: public, service: origin, timeouts: {first_byte: 5s}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import trustme

    (tmp_path / "teams").mkdir()
    (tmp_path / "environments").mkdir()
    (tmp_path / "gateway.yaml").write_text(BASE)
    (tmp_path / "teams" / "open.yaml").write_text(TEAM)
    KeyFile(tmp_path).add("acme", scopes=["read"])
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def overlay(folder: Path, text: str, name: str = "environments/production.yaml") -> Path:
    file = folder / name
    file.write_text(f"version: 1\nbase: ../gateway.yaml\n{text}")
    return file


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compile_file(file).ir)
    return found


def yett(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def test_it_is_the_base_but_for_what_it_says(folder: Path) -> None:
    file = overlay(
        folder,
        "environment: production\n"
        "listeners: {main: {address: 10.0.0.1:8443}}\n"
        "groups: {shop: {authorize: {scopes: {all_of: [read, write]}}}}\n"
        "routes: {orders: {match: {hosts: shop.example}, rate_limit: {per-caller: {burst: 5}}}, open: {timeouts: {first_byte: 1s}}}\n",
    )
    expected = document(folder / "gateway.yaml")
    expected["environment"] = "production"
    expected["listeners"][0]["address"] = "10.0.0.1:8443"
    opened, orders = sorted(expected["routes"], key=lambda route: str(route["name"]))
    orders["match"]["hosts"] = ["shop.example"]
    orders["rate_limits"][0]["burst"] = 5
    orders["access"]["authenticated"]["rules"][0]["scopes"] = {"all_of": ["read", "write"]}
    opened["timeouts"]["first_byte_ms"] = 1000
    assert document(file) == expected


def test_paths_are_relative_to_the_file_in_which_they_stand(folder: Path) -> None:
    KeyFile(folder / "environments").add("globex", scopes=["read"])
    file = overlay(folder, "environment: production\nidentity_providers: {partners: {keys: keys.yaml}}\n")
    (provider,) = document(file)["providers"]
    assert [key["name"] for key in provider["keys"]] == ["globex"]
    # and what is still the base's
    assert document(file)["services"][0]["tls"]["ca"] == (folder / "ca.pem").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "environments/production.yaml:2:1: an overlay is what one environment has of its own; say which one"),
        (
            "environment: production\ninclude: x.yaml\n",
            "environments/production.yaml:4:1: `include` is the same in every environment; write it into the base",
        ),
        (
            "environment: production\nroutes: {orders: {timeout: {first_byte: 1s}}}\n",
            "environments/production.yaml:4:19: unknown key `timeout`; did you mean `timeouts`",
        ),
        (
            "environment: production\nroutes: {orders: {group: shops}}\n",
            "environments/production.yaml:4:26: there is no group `shops`",
        ),
        (
            "environment: production\nservices: {origin: {tls: {ca: nothing.pem}}}\n",
            "environments/production.yaml:4:31: `nothing.pem` does not exist",
        ),
        (
            "environment: production\nroutes: {new: {group: shop}}\n",
            "environments/production.yaml:4:10: ",
        ),
    ],
)  # fmt: skip
def test_errors_name_the_file_in_which_they_stand(folder: Path, text: str, said: str) -> None:
    file = overlay(folder, text)
    with pytest.raises(ConfigurationError) as refused:
        compile_file(file)
    assert any(str(error).startswith(f"{folder}/{said}") for error in refused.value.errors), (
        refused.value.errors
    )


def test_a_fault_of_the_base_is_the_base_s(folder: Path) -> None:
    (folder / "gateway.yaml").write_text(BASE.replace("first_byte: 5s", "first_byte: soon"))
    with pytest.raises(ConfigurationError) as refused:
        compile_file(overlay(folder, "environment: production\nroutes: {orders: {timeouts: {total: 9s}}}\n"))
    assert [(error.file.rpartition("/")[2], error.line) for error in refused.value.errors] == [
        ("gateway.yaml", 14)
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("../nothing.yaml", None, "nothing.yaml: the file does not exist"),
        ("../gateway.yaml", "just a text", "the base, `"),
        ("../gateway.yaml", "version: 1\nbase: other.yaml\n", "is an overlay itself; name the file that it lies over"),
    ],
)  # fmt: skip
def test_a_base_is_a_whole_configuration(folder: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (folder / "gateway.yaml").write_text(text)
    file = folder / "environments" / "production.yaml"
    file.write_text(f"version: 1\nbase: {name}\nenvironment: production\n")
    with pytest.raises(ConfigurationError) as refused:
        compile_file(file)
    assert any(said in str(error) for error in refused.value.errors), refused.value.errors


def test_a_change_of_the_base_is_watched(folder: Path) -> None:
    watched = compile_file(overlay(folder, "environment: production\n")).watched
    assert {path.name for path in watched} >= {"production.yaml", "gateway.yaml", "open.yaml"}


def test_environments_are_compared_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay(folder, "environment: staging\nroutes: {orders: {rate_limit: {per-caller: {rate: 20/s}}}}\n", "environments/staging.yaml")  # fmt: skip
    overlay(folder, "environment: production\n")
    monkeypatch.chdir(folder)
    done = yett("diff", "staging", "production")
    assert done.exit_code == 0, done.output
    assert "NARROWS route `orders`: the limit `per-caller`: 20 in 1 s" in done.output
    assert yett("diff", "production", "staging").exit_code == 1


def test_lint_finds_what_no_overlay_declares(folder: Path) -> None:
    production = overlay(folder, "environment: production\nlisteners: {main: {address: 127.0.0.1:1}}\n")
    staging = overlay(folder, "environment: staging\n", "environments/staging.yaml")
    for file in (production, staging):
        assert "environment-difference" not in yett("lint", file, "--rule", "environment-difference").output
    # a copy of the base that has changed since
    changed = BASE.replace("10/s", "99/s").replace("include: teams/*.yaml\n", "environment: staging\n")
    staging.unlink()
    (folder / "staging.yaml").write_text(changed)
    (folder / "gateway.yaml").write_text(
        BASE.replace("version: 1\n", "version: 1\nenvironment: development\n")
    )
    done = yett("lint", folder / "gateway.yaml", "--rule", "environment-difference")
    lines = [line for line in done.stdout.splitlines() if "[environment-difference]" in line]
    assert len(lines) == 2, lines
    said = "\n".join(lines)
    assert (
        "gateway.yaml:10:3: warning: `routes.orders` is another one in `staging.yaml` (staging); make one"
        in said
    )
    assert "open.yaml:3:3: warning: `routes.open` is not in `staging.yaml` (staging)" in said


def test_lint_repairs_nothing_in_a_base(folder: Path) -> None:
    base = BASE.replace("services:\n", "services:\n  unused: {endpoints: https://unused.internal}\n")
    (folder / "gateway.yaml").write_text(base)
    done = yett("lint", overlay(folder, "environment: production\n"), "--fix")
    assert "it stands in the base, which other environments have as well" in done.output, done.output
    assert (folder / "gateway.yaml").read_text() == base


def test_lint_looks_at_folders_that_have_the_names_of_environments(folder: Path) -> None:
    for name in ("staging", "production", "other"):
        (folder / name).mkdir()
        environment = "staging" if name == "other" else name
        text = BASE.replace("include: teams/*.yaml\n", f"environment: {environment}\n")
        text = text.replace("10/s", "99/s") if environment == "staging" else text
        (folder / name / "gateway.yaml").write_text(text)
        KeyFile(folder / name).add("acme", scopes=["read"])
        (folder / name / "ca.pem").write_bytes((folder / "ca.pem").read_bytes())
    done = yett("lint", folder / "production" / "gateway.yaml", "--rule", "environment-difference")
    lines = [line for line in done.stdout.splitlines() if "[environment-difference]" in line]
    assert len(lines) == 1, done.output
    assert "`routes.orders` is another one in `../staging/gateway.yaml` (staging)" in lines[0]


TREES = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(below=TREES, above=TREES)
def test_what_the_overlay_says_counts_and_nothing_else_changes(below: Any, above: Any) -> None:
    def leaves(value: Any, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        if not isinstance(value, dict):
            return {at: value}
        return {k: v for key, inner in value.items() for k, v in leaves(inner, (*at, key)).items()}

    merged, own = leaves(laid_over(below, above)), leaves(above)
    assert own.items() <= merged.items() if isinstance(above, dict) else merged == own
    assert laid_over(below, below) == below
    assert {at for at in merged if at not in own} <= set(leaves(below))
