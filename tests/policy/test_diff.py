"""`yett diff`: each kind of widening in words, with an example that is true of both; what narrows, what merely moves."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.api_keys import KeyFile
from yett.cli.app import app
from yett.policy.diff import logic

Config = dict[str, Any]
CLAIMS = {"tenant": "tenant", "roles": "roles", "plan": "plan", "level": {"from": "level", "type": "int"}}


@pytest.fixture
def base(tmp_path: Path, issuer: Any) -> Config:
    """A shop of three routes in one group, and one that is open."""
    keys = KeyFile(tmp_path)
    keys.add("acme", scopes=["read"], tenant="acme")
    identity = issuer()
    return {
        "version": 1,
        "access_log": "stdout",
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        "identity_providers": {
            "id": {"type": "jwt", "issuer": identity.issuer, "audience": "shop", "jwks": identity.jwks_file(tmp_path), "plaintext": "test", "claims": CLAIMS},
            "keys": {"type": "api_key", "keys": str(keys.path)},
        },
        "services": {
            "origin": {"endpoints": "https://origin.test", "host": "endpoint"},
            "other": {"endpoints": "https://other.test"},
        },
        "groups": {
            "all": {
                "hosts": "shop.test", "authenticate": "id", "tenant": "path.tenant", "service": "origin",
                "deny": {"mallory": "principal.subject == 'mallory'"},
                "rate_limit": {"per-caller": {"rate": "1/s", "burst": 2, "key": "principal"}},
            }
        },
        "routes": {
            "orders": {"group": "all", "match": {"path": "/{tenant}/orders", "methods": {"any_of": ["GET", "POST"]}}, "authorize": {"scopes": "read"}},
            "admin": {"group": "all", "match": {"path": "/{tenant}/admin", "methods": "GET"}, "authorize": {"roles": "admin", "claims": {"level": {"at_least": 2}}, "when": "principal.claims.plan == 'gold'"}},
            "office": {"group": "all", "match": {"path": "/{tenant}/office", "methods": "GET"}, "authorize": {"roles": {"any_of": ["admin", "clerk"]}, "addresses": "10.0.0.0/8"}},
            "open": {"match": {"path": "/open/{rest...}", "methods": "GET", "hosts": "shop.test"}, "access": "public", "service": "origin"},
        },
    }  # fmt: skip


@pytest.fixture
def compare(base: Config, tmp_path: Path) -> Any:
    """`compare(change)` runs the command on the shop and on the shop as `change` leaves it."""

    def run(change: Any, *options: str) -> Result:
        new = copy.deepcopy(base)
        change(new)
        (tmp_path / "old.yaml").write_text(json.dumps(base))
        (tmp_path / "new.yaml").write_text(json.dumps(new))
        return CliRunner().invoke(
            app, ["diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), *options]
        )

    return run


def put(*path: Any) -> Any:
    """A change: the last one is the value of the key that the others lead to; None removes it."""

    def change(config: Config) -> None:
        *parents, key, value = path
        here: Any = config
        for parent in parents:
            here = here.setdefault(parent, {})
        if value is None:
            del here[key]
        else:
            here[key] = value

    return change


def accept_keys(config: Config) -> None:
    config["groups"]["all"]["authenticate"] = {"any_of": ["id", "keys"]}
    config["routes"]["admin"]["authenticate"] = "id"


WIDENINGS = [
    (put("routes", "orders", "authorize", "scopes", {"any_of": ["read", "write"]}), "GET: the scope `read` or `write` is enough, before `read`", "with scope write: before 403 `scope_missing`, now allowed by `orders`"),
    (put("routes", "orders", "authorize", "scopes", "write"), "GET: the scope `read` is not needed any more; `write` instead", "with scope write: before 403 `scope_missing`"),
    (put("routes", "admin", "authorize", "roles", {"any_of": ["admin", "clerk"]}), "the role `admin` or `clerk` is enough, before `admin`", None),
    (put("routes", "admin", "authorize", "claims", {"level": {"at_least": 1}}), "the claim `level` of at least 2 before, of at least 1 now", None),
    (put("routes", "admin", "authorize", "when", None), "that `principal.claims.plan == 'gold'` holds is not needed any more", None),
    (put("routes", "office", "authorize", "addresses", ["10.0.0.0/8", "192.0.2.0/24"]), "the addresses: not shown to be as strict as before", "before 403 `address_not_allowed`, now allowed by `office`"),
    (put("routes", "orders", "match", "methods", {"any_of": ["GET", "POST", "DELETE"]}), "methods: `DELETE` added", "DELETE http://shop.test/acme/orders by callers of id with scope read: before 405 `method_not_allowed`"),
    (put("routes", "orders", "match", "path", "/{tenant}/order"), "it takes /{tenant}/order, before /{tenant}/orders", "before 404 `route_not_found`"),
    (put("routes", "extra", {"match": {"path": "/x", "methods": "GET", "hosts": "any"}, "access": "public", "service": "origin"}), "route `extra` is new: GET /x", "GET http://any.test/x by anyone: before 404 `route_not_found`"),
    (accept_keys, "callers of `keys` are accepted, too", "by key acme of keys: before 401 `provider_not_accepted`, now allowed by `orders`"),
    (put("groups", "all", "deny", {}), "denies less, or nothing", None),
    (put("groups", "all", "rate_limit", "per-caller", "burst", 5), "the limit `per-caller`: 1 in 1 s, burst 2 before, 1 in 1 s, burst 5 now", "3 times in a row, "),
    (put("groups", "all", "rate_limit", None), "the limit `per-caller` (group:all, by principal) is gone", None),
    (put("groups", "all", "tenant", {"none": "shared"}), "the tenant of path.tenant need not be the caller's any more", "before 403 `tenant_mismatch`"),
    (put("routes", "orders", "limits", {"body": "2MiB"}), "the largest body of a request: 1048576 bytes before, 2097152 bytes now", None),
    (put("identity_providers", "id", "leeway", "2m"), "`id`: the leeway of times: 30 s before, 120 s now", None),
    (put("identity_providers", "id", "audience", {"any_of": ["shop", "app"]}), "`id`: audiences: `app` added", None),

    (put("identity_providers", "id", "issuer", "http://127.0.0.2:1"), "`id`: tokens of http://127.0.0.2:1 count", None),
    (put("services", "origin", {"endpoints": "http://origin.test", "plaintext": "test", "host": "endpoint"}), "service `origin` is reached over plain HTTP", None),
    (put("services", "origin", "forward_credential", True), "service `origin` sees the caller's credential", None),
    (put("access_log", "off"), "the access log is off", None),
    (put("listeners", "main", "limits", {"headers": 200}), "listener `main`: `headers`: 100 before, 200 now", None),
    (put("admin", {"address": "127.0.0.1:0"}), "there is an admin listener on 127.0.0.1:0", None),
    (put("routes", "orders", "service", "other"), None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text", "example"), WIDENINGS, ids=[str(text)[:40] for _, text, _ in WIDENINGS]
)
def test_a_widening_is_refused_in_words(
    compare: Any, change: Any, text: str | None, example: str | None
) -> None:
    done = compare(change)
    if text is None:
        # a route of a group has the group's service
        assert done.exit_code == 1 and "`service`" in done.stderr
        return
    assert done.exit_code == 1, done.output
    line = next((one for one in done.stdout.splitlines() if one.startswith("WIDENS") and text in one), None)
    assert line is not None, done.stdout
    if example is not None:
        assert any(example in one for one in done.stdout.splitlines() if "example: " in one), done.stdout


def test_a_removed_route_may_open_another_one(compare: Any, base: Config) -> None:
    base["routes"]["rest"] = {"match": {"path": "/{rest...}", "methods": "GET", "hosts": "any"}, "access": "public", "service": "origin"}  # fmt: skip
    done = compare(put("routes", "admin", None))
    assert done.exit_code == 1
    assert "NARROWS route `admin` is gone" in done.stdout
    assert (
        "WIDENS  requests that `admin` took or refused may go to `rest`: it is open to anyone now"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (put("routes", "orders", "authorize", "scopes", {"all_of": ["read", "write"]}), "GET: the scope `write` is needed now"),
        (put("routes", "admin", "authorize", "when", "principal.claims.plan == 'gold' && request.method == 'GET'"), "that `request.method == 'GET'` holds is needed now"),
        (put("routes", "admin", "authorize", "claims", {"level": {"at_least": 3}}), "the claim `level` of at least 3 is needed"),
        (put("routes", "office", "authorize", "addresses", "10.1.0.0/16"), "the addresses are restricted further"),
        (put("routes", "office", "authorize", "roles", "admin"), "the role `admin` is needed now"),
        (put("routes", "orders", "match", "methods", "GET"), "methods: `POST` removed"),
        (put("routes", "admin", None), "route `admin` is gone"),
        (put("groups", "all", "deny", "eve", "principal.subject == 'eve'"), "denies"),
        (put("groups", "all", "rate_limit", "per-caller", "burst", 1), "the limit `per-caller`: 1 in 1 s, burst 2 before, 1 in 1 s, burst 1 now"),
        (put("identity_providers", "id", "leeway", "10s"), "the leeway of times: 30 s before, 10 s now"),
        (put("identity_providers", "id", "token_type", "at+jwt"), "tokens of type at+jwt count"),
    ],
)  # fmt: skip
def test_what_narrows_passes(compare: Any, change: Any, text: str) -> None:
    done = compare(change)
    assert done.exit_code == 0, done.output
    assert any(one.startswith("NARROWS") and text in one for one in done.stdout.splitlines()), done.stdout


def test_what_merely_moves_passes(compare: Any) -> None:
    def rename(config: Config) -> None:
        config["routes"]["all-orders"] = config["routes"].pop("orders")
        config["services"]["origin"]["endpoints"] = "https://origin-2.test"

    done = compare(rename)
    assert done.exit_code == 0, done.output
    assert "MOVES   route `orders` is called `all-orders` now" in done.stdout
    assert "MOVES   service `origin` has other endpoints" in done.stdout
    assert "0 widen, 0 narrow, 2 move" in done.stdout


def test_a_widening_is_allowed_by_its_id_and_only_as_it_is(compare: Any) -> None:
    change = put("routes", "orders", "authorize", "scopes", {"any_of": ["read", "write"]})
    found = json.loads(compare(change, "--format", "json").stdout)
    ids = [one["id"] for one in found["changes"] if one["kind"] == "widens"]
    assert not found["ok"] and len(ids) == 2
    options = [word for one in ids for word in ("--allow-widening", one)]
    assert compare(change, *options).exit_code == 0
    assert compare(change, *options[:2]).exit_code == 1
    wider = put("routes", "orders", "authorize", "scopes", {"any_of": ["read", "write", "list"]})
    done = compare(wider, *options)
    assert done.exit_code == 2
    assert f"there is no widening `{ids[0]}` here" in done.stderr


def test_for_a_pull_request(compare: Any) -> None:
    done = compare(
        put("routes", "orders", "authorize", "scopes", {"any_of": ["read", "write"]}), "--format", "markdown"
    )
    assert done.stdout.startswith("### Access: **2 widenings refused**\n")
    assert (
        "| **widens** | route `orders`: GET: the scope `read` or `write` is enough, before `read`<br>`routes.orders.scopes.GET@"
        in done.stdout
    )
    assert compare(lambda config: None, "--format", "markdown").stdout.endswith("No difference.\n")


def test_the_same_change_of_several_routes_is_told_once(compare: Any) -> None:
    done = compare(put("groups", "all", "rate_limit", "per-caller", "burst", 5))
    assert done.stdout.count("WIDENS") == 1
    assert "3 routes (`admin`, `office` and `orders`): the limit `per-caller`" in done.stdout


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("a && b", ["a", "b"]),
        ("a && (b || c)", ["a", "(b || c)"]),
        ("a && b || c", ["a && b || c"]),
        ("a ? b : c && d", ["a ? b : c && d"]),
        ("x == '&&' && y", ["x == '&&'", "y"]),
        ("x == 'it\\'s && so' && y", ["x == 'it\\'s && so'", "y"]),
        ("x == r'\\' && y", ["x == r'\\' && y"]),
        ("x == '''a' && b''' && y", ["x == '''a' && b''' && y"]),
        ("[a && b].all(x, x && y) && z", ["[a && b].all(x, x && y)", "z"]),
    ],
)
def test_conjuncts(condition: str, parts: list[str]) -> None:
    assert logic.conjuncts(condition) == parts


def test_a_file_of_a_revision(base: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Git has of it; what Git does not know, such as keys, is that of today."""
    place = tmp_path / "team"
    place.mkdir()
    (tmp_path / ".gitignore").write_text("keys.yaml\n*.json\n")
    base["identity_providers"]["keys"]["keys"] = "../" + Path(base["identity_providers"]["keys"]["keys"]).name
    base["identity_providers"]["id"]["jwks"] = "../" + Path(base["identity_providers"]["id"]["jwks"]).name
    base["access_log"] = {"file": "access.jsonl"}
    (place / "gateway.yaml").write_text(json.dumps(base))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", ".gitignore", "team"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    base["routes"]["orders"]["match"]["methods"] = "GET"
    (place / "gateway.yaml").write_text(json.dumps(base))
    before = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True).stdout
    monkeypatch.chdir(place)
    for old in ("HEAD:team/gateway.yaml", "HEAD:./gateway.yaml", "HEAD:team"):
        done = CliRunner().invoke(app, ["diff", old, "gateway.yaml"])
        assert done.exit_code == 0, done.output
        assert "methods: `POST` removed" in done.stdout
        assert "access log" not in done.stdout
        assert done.stdout.rstrip().endswith("0 widen, 1 narrows, 0 move")
    back = CliRunner().invoke(app, ["diff", "gateway.yaml", "HEAD:team/gateway.yaml"])
    assert back.exit_code == 1
    assert "methods: `POST` added" in back.stdout
    assert subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True).stdout == before
    for wrong, said in (
        ("HEAD:elsewhere.yaml", "`HEAD` has no `elsewhere.yaml`"),
        ("v9:team", "`v9` is no revision here"),
        ("HEAD:../team/gateway.yaml/../../..", "`HEAD` has no"),
        ("--output=x:y", "is no revision here"),
    ):
        done = CliRunner().invoke(app, ["diff", "gateway.yaml", "--", wrong])
        assert done.exit_code == 2, done.output
        assert said in done.stderr


def test_a_file_of_a_revision_that_does_not_load(
    base: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway.yaml").write_text(json.dumps({**base, "routs": {}}))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "gateway.yaml"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "gateway.yaml").write_text(json.dumps(base))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["diff", "HEAD:gateway.yaml", "gateway.yaml"])
    assert done.exit_code == 1
    assert done.stderr.startswith("HEAD:gateway.yaml:1:")


def test_environments(base: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, level in (("staging", 1), ("production", 2)):
        (tmp_path / name).mkdir()
        base["environment"] = name
        base["routes"]["admin"]["authorize"]["claims"] = {"level": {"at_least": level}}
        (tmp_path / name / "gateway.yaml").write_text(json.dumps(base))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["diff", "staging", "production"])
    assert done.exit_code == 0, done.output
    assert "the claim `level` of at least 2 is needed" in done.stdout
    (tmp_path / "production" / "gateway.yaml").rename(tmp_path / "live.yaml")
    (tmp_path / "production").rmdir()
    done = CliRunner().invoke(app, ["diff", "production", "staging"])
    assert done.exit_code == 1
    assert "the claim `level` of at least 2 before, of at least 1 now" in done.stdout
    done = CliRunner().invoke(app, ["diff", "testing", "production"])
    assert done.exit_code == 2
    assert "`testing` is no file, and no file here says `environment: testing`" in done.stderr
    (tmp_path / "copy.yaml").write_text((tmp_path / "live.yaml").read_text())
    done = CliRunner().invoke(app, ["diff", "staging", "production"])
    assert done.exit_code == 2
    assert "`production` is the environment of `copy.yaml`, `live.yaml`; name the file" in done.stderr


def test_what_guards_a_deployment(compare: Any, tmp_path: Path) -> None:
    (tmp_path / "one.tests.yaml").write_text(
        "version: 1\nbase: http://shop.test\ntests: {open: {request: GET /open/a, expect: allow}}\n"
    )

    def ignored(config: Config) -> None:
        config["lint"] = {"ignore": {"access-log-off": {"at": "access_log", "reason": "test"}}}

    done = compare(ignored)
    assert done.exit_code == 1
    assert "findings of `access-log-off` at `access_log` are ignored, for good" in done.stdout
    done = compare(put("tests", "one.tests.yaml"))
    assert done.exit_code == 0, done.output
    assert "NARROWS policy tests are run: `one.tests.yaml`" in done.stdout
    turned = CliRunner().invoke(app, ["diff", str(tmp_path / "new.yaml"), str(tmp_path / "old.yaml")])
    assert turned.exit_code == 1
    assert "WIDENS  policy tests are not run any more before it serves: `one.tests.yaml`" in turned.stdout


def test_no_secret_is_told(compare: Any, base: Config, tmp_path: Path) -> None:
    def others(config: Config) -> None:
        keys = KeyFile(tmp_path, "others.keys.yaml")
        keys.add("other", scopes=["read"], tenant="acme")
        config["identity_providers"]["keys"]["keys"] = str(keys.path)

    done = compare(others, "--format", "json")
    assert done.exit_code == 1
    stored = (tmp_path / "others.keys.yaml").read_text()
    secrets = [word for word in stored.replace('"', " ").split() if len(word) > 30]
    assert secrets
    assert not [word for word in secrets if word in done.output]
