"""Ways to pass a widening by `yett diff`: each has to fail."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.api_keys import KeyFile
from yett.cli.app import app
from yett.policy.diff import logic

Config = dict[str, Any]


@pytest.fixture
def base(tmp_path: Path, issuer: Any) -> Config:
    """One route for callers of a level, behind a limit."""
    identity = issuer()
    claims = {"level": {"from": "level", "type": "int"}}
    return {
        "version": 1,
        "access_log": "stdout",
        "classifications": ["public", "secret"],
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        "identity_providers": {
            "id": {"type": "jwt", "issuer": identity.issuer, "audience": "shop", "jwks": identity.jwks_file(tmp_path), "plaintext": "test", "claims": claims},
        },
        "services": {"origin": {"endpoints": "https://origin.test"}},
        "groups": {"staff": {"hosts": "shop.test", "authenticate": "id"}},
        "routes": {
            "orders": {
                "group": "staff", "service": "origin", "match": {"path": "/orders", "methods": "GET"},
                "authorize": {"scopes": "read", "when": "principal.subject != 'mallory' && principal.claims.level >= 2"},
            },
        },
    }  # fmt: skip


@pytest.fixture
def diff(tmp_path: Path) -> Any:
    """`diff(old, new)` runs the command on two documents."""

    def run(old: Config, new: Config, *options: str) -> Result:
        for name, config in (("old", old), ("new", new)):
            (tmp_path / f"{name}.yaml").write_text(json.dumps(config))
        files = [str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]
        return CliRunner().invoke(app, ["diff", *files, *options])

    return run


def changed(config: Config, *path: Any) -> Config:
    """A copy in which the last one is the value of the key that the others lead to; None removes it."""
    new = copy.deepcopy(config)
    *parents, key, value = path
    here: Any = new
    for parent in parents:
        here = here.setdefault(parent, {})
    if value is None:
        here.pop(key)
    else:
        here[key] = value
    return new


WHEN = ("routes", "orders", "authorize", "when")
LEVEL = "principal.claims.level >= 2"


@pytest.mark.parametrize(
    "condition",
    [
        f"principal.subject != 'mallory' && true // && {LEVEL}\n",
        f"principal.subject != 'mallory' // && {LEVEL}\n && true",
        f"true // && principal.subject != 'mallory' && {LEVEL}",
        f"(true // ) && {LEVEL}\n) && principal.subject != 'mallory'",
    ],
)
def test_a_comment_takes_nothing_away(base: Config, diff: Any, condition: str) -> None:
    told = diff(base, changed(base, *WHEN, condition))
    assert told.exit_code == 1, told.output
    assert "WIDENS" in told.output


def test_two_slashes_in_a_text_are_no_comment() -> None:
    assert logic.conjuncts("a == 'https://x' && b") == ["a == 'https://x'", "b"]
    assert logic.conjuncts("a && b // && c") == ["a && b // && c"]


def ids(told: Result) -> list[str]:
    """Of what widens."""
    return re.findall(r"WIDENS.*?\n +id: (.+)", told.output)


def allowed(diff: Any, old: Config, approved: Config, other: Config) -> Result:
    """What becomes of `other` where everything that `approved` widens is allowed, by its ids."""
    first = diff(old, approved)
    found = ids(first)
    assert found, first.output
    options = [word for one in found for word in ("--allow-widening", one)]
    again = diff(old, approved, *options)
    assert again.exit_code == 0, again.output
    return diff(old, other, *options)


@pytest.mark.parametrize("place", [("routes", "orders"), ("groups", "staff"), ("listeners", "main")])
def test_an_id_is_one_word_that_can_be_allowed_as_printed(
    base: Config, diff: Any, place: tuple[str, str]
) -> None:
    base["geo"] = {"country": "countries.mmdb"}
    base["address_lists"] = {name: {"networks": f"192.0.2.{at}/32"} for at, name in enumerate("ab")}
    old = changed(base, *place, "geo_filter", {"countries": {"allow": ["DE"]}})
    old = changed(old, *place, "address_filter", {"allow": "a"})
    new = changed(old, *place, "geo_filter", "countries", {"allow": ["DE", "AT"]})
    new = changed(new, *place, "address_filter", {"allow": {"any_of": ["a", "b"]}})
    told = diff(old, new)
    found = ids(told)
    assert len(found) == 2 and not any(" " in one for one in found)
    assert "route orders:" not in told.output
    options = [word for one in found for word in ("--allow-widening", one)]
    assert (told.exit_code, diff(old, new, *options).exit_code) == (1, 0)


def test_an_id_of_a_new_service_stands_for_what_it_is(base: Config, diff: Any) -> None:
    approved = changed(base, "services", "other", {"endpoints": "https://other.test"})
    approved["routes"]["orders"]["service"] = "other"
    other = changed(
        approved, "services", "other", {"endpoints": "https://evil.test", "forward_credential": True}
    )
    assert allowed(diff, base, approved, other).exit_code != 0


def test_an_id_of_a_new_provider_stands_for_what_it_is(base: Config, diff: Any) -> None:
    partner = {**base["identity_providers"]["id"], "issuer": "https://partner.test"}
    del partner["plaintext"]
    approved = changed(base, "identity_providers", "partner", partner)
    approved["groups"]["staff"]["authenticate"] = {"any_of": ["id", "partner"]}
    other = changed(approved, "identity_providers", "partner", "issuer", "https://evil.test")
    assert allowed(diff, base, approved, other).exit_code != 0


def test_an_id_of_a_new_list_stands_for_what_it_holds(base: Config, diff: Any) -> None:
    old = changed(base, "address_lists", "office", {"networks": ["10.0.0.0/8"]})
    old["routes"]["orders"]["address_filter"] = {"allow": "office"}
    approved = changed(old, "address_lists", "branch", {"networks": ["192.0.2.0/24"]})
    approved["routes"]["orders"]["address_filter"] = {"allow": {"any_of": ["office", "branch"]}}
    other = changed(approved, "address_lists", "branch", {"networks": ["0.0.0.0/1"]})
    assert allowed(diff, old, approved, other).exit_code != 0


def widening(told: Result) -> str:
    """What widens, as the command says it."""
    assert told.exit_code == 1, told.output
    return "\n".join(line for line in told.output.splitlines() if line.startswith("WIDENS"))


@pytest.mark.parametrize("other", ["staging", None])
def test_production_is_left(base: Config, diff: Any, other: str | None) -> None:
    limited = changed(
        base, "groups", "staff", "rate_limit", {"c": {"rate": "1/s", "burst": 2, "key": "principal"}}
    )
    old = changed(limited, "environment", "production")
    assert "no more `production`" in widening(diff(old, changed(old, "environment", other)))
    assert diff(changed(limited, "environment", "staging"), old).exit_code == 0


@pytest.mark.parametrize(
    "limit",
    [
        {"rate": "100/s", "burst": 100, "key": "principal", "classes": {"trial": {"scopes": "trial", "rate": "1/m", "burst": 1}}},
        {"rate": "100/s", "burst": 100, "key": "principal", "cost": {"cel": "'trial' in principal.scopes ? 50 : 1"}},
    ],
)  # fmt: skip
def test_a_key_with_fewer_scopes_may_get_a_higher_limit(
    base: Config, diff: Any, tmp_path: Path, limit: Any
) -> None:
    def of(*scopes: str) -> Config:
        directory = tmp_path / "-".join(scopes)
        directory.mkdir()
        keys = KeyFile(directory)
        keys.add("acme", scopes=list(scopes))
        config = changed(base, "identity_providers", "keys", {"type": "api_key", "keys": str(keys.path)})
        config["groups"]["staff"]["authenticate"] = "keys"
        config["groups"]["staff"]["rate_limit"] = {"c": limit}
        config["routes"]["orders"]["authorize"] = {"scopes": "read"}
        return config

    assert widening(diff(of("read", "trial"), of("read")))


@pytest.mark.parametrize(
    "limit",
    [
        {"rate": "10/s", "burst": 100, "key": "principal", "cost": {"cel": "route.classification == 'secret' ? 50 : 1"}},
        {"rate": "10/s", "burst": 10, "key": "principal", "classes": {"all": {"when": "route.classification == 'public'", "rate": "1000/s", "burst": 1000}}},
    ],
)  # fmt: skip
def test_a_classification_that_a_limit_reads(base: Config, diff: Any, limit: Any) -> None:
    old = changed(base, "routes", "orders", "classification", "secret")
    old["groups"]["staff"]["rate_limit"] = {"c": limit}
    assert "classification" in widening(
        diff(old, changed(old, "routes", "orders", "classification", "public"))
    )


def test_safeguards_that_are_not_in_the_document(base: Config, diff: Any, tmp_path: Path) -> None:
    old = changed(base, "groups", "staff", "multi_tenant", True)
    old["identity_providers"]["id"]["claims"]["tenant"] = "tenant"
    old["groups"]["staff"]["tenant"] = "path.tenant"
    old["routes"]["orders"]["match"]["path"] = "/{tenant}/orders"
    told = widening(diff(old, changed(old, "groups", "staff", "multi_tenant", None)))
    assert "name the tenant" in told
    elsewhere = changed(old, "groups", "others", {**old["groups"]["staff"], "multi_tenant": False})
    elsewhere["routes"]["orders"]["group"] = "others"
    assert "route `orders` does not have to name the tenant" in widening(diff(old, elsewhere))
    excused = changed(base, "routes", "orders", "rate_limit", {"none": "inside only"})
    assert "is said to need no limit" in widening(diff(base, excused))


def test_tests_that_are_gone(base: Config, diff: Any, tmp_path: Path) -> None:
    case = {"request": "GET http://shop.test/orders", "expect": "credential_missing"}
    for name, cases in (("a", {"one": case, "two": case}), ("b", {"one": case})):
        (tmp_path / f"{name}.tests.yaml").write_text(json.dumps({"version": 1, "tests": cases}))
    old = changed(base, "tests", ["a.tests.yaml"])
    assert "policy tests are not run any more" in widening(
        diff(old, changed(base, "tests", ["b.tests.yaml"]))
    )


def test_tests_that_are_gone_from_their_file(base: Config, tmp_path: Path) -> None:
    case = {"request": "GET http://shop.test/orders", "expect": "credential_missing"}
    files = []
    for name, cases in (
        ("old", {"one": case, "two": case}),
        ("new", {"one": {**case, "expect": "scope_missing"}}),
    ):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "a.tests.yaml").write_text(json.dumps({"version": 1, "tests": cases}))
        (directory / "gateway.yaml").write_text(json.dumps(changed(base, "tests", ["a.tests.yaml"])))
        files.append(str(directory))
    told = CliRunner().invoke(app, ["diff", *files])
    assert told.exit_code == 1
    assert "does not test any more: `two`" in told.output
    assert "tests otherwise: `one`" in told.output


def test_a_sensitive_route_goes_to_another_group(base: Config, diff: Any) -> None:
    limit = {"c": {"rate": "1/s", "burst": 2, "key": "principal"}}
    staff = {**base["groups"]["staff"], "listeners": "main", "rate_limit": limit}
    old = changed(base, "groups", "staff", {**staff, "sensitive": "payments"})
    old["identity_providers"]["id"]["claims"]["roles"] = "roles"
    old["routes"]["orders"]["authorize"]["roles"] = "admin"
    new = changed(old, "groups", "plain", staff)
    new["routes"]["orders"]["group"] = "plain"
    assert "group that is not sensitive" in widening(diff(old, new))


def test_a_list_beside_the_file_is_the_same_in_a_revision(
    base: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(base, "address_lists", "office", {"file": "office.txt"})
    config["routes"]["orders"]["address_filter"] = {"allow": "office"}
    (tmp_path / "office.txt").write_text("10.0.0.0/8\n")
    (tmp_path / "gateway.yaml").write_text(json.dumps(config))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["diff", "HEAD:gateway.yaml", "gateway.yaml"])
    assert told.exit_code == 0, told.output
    assert "WIDENS" not in told.output
