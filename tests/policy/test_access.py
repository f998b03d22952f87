"""`yett access`: who can reach what, as the engine says; one caller; grants beside use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.api_keys import KeyFile
from yett.cli.app import app
from yett.policy.access import reach
from yett.policy.engine import from_file

CONFIG = """\
version: 1
listeners: {main: {address: "127.0.0.1:0", plaintext: test}}
access_log: off
identity_providers:
  id: {type: jwt, issuer: "ISSUER", audience: shop, jwks: JWKS, plaintext: test, claims: {tenant: tenant, roles: roles, plan: plan}}
  keys: {type: api_key, keys: KEYS}
services: {origin: {endpoints: "http://127.0.0.1:9", plaintext: test}}
routes:
  open:
    match: {hosts: any, path: "/open/{rest...}", methods: GET}
    access: public
    service: origin
  orders:
    match: {hosts: shop.test, path: "/{tenant}/orders", methods: {any_of: [DELETE, GET, POST]}}
    authenticate: {any_of: [id, keys]}
    tenant: path.tenant
    authorize: {scopes: {methods: {GET: orders.read, POST: {all_of: [orders.read, orders.write]}, DELETE: orders.write}}}
    service: origin
  admin:
    match: {hosts: any, path: "/{tenant}/admin", methods: GET}
    authenticate: id
    tenant: query.of
    authorize: {roles: {any_of: [admin, boss]}, claims: {plan: {any_of: [gold]}}}
    service: origin
  ann:
    match: {hosts: any, path: /ann, methods: GET}
    authenticate: id
    tenant: {none: "hers"}
    authorize: {callers: {users: ann}}
    service: origin
"""


@pytest.fixture
def file(tmp_path: Path, issuer: Any) -> Path:
    identity = issuer()
    keys = KeyFile(tmp_path)
    (tmp_path / "key").write_text(keys.add("feed", scopes=["orders.read"], tenant="globex"))
    (tmp_path / "token").write_text(identity.token(scope="orders.write", tenant="acme", sub="bob.secret"))
    text = CONFIG.replace("ISSUER", identity.issuer).replace("JWKS", identity.jwks_file(tmp_path))
    path = tmp_path / "gateway.yaml"
    path.write_text(text.replace("KEYS", str(keys.path)))
    return path


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, ["access", *map(str, words)])


WHO = {
    ("open", "GET"): ["anyone"],
    ("orders", "GET"): [
        "callers of id with scope orders.read, of the tenant",
        "key feed of keys, of the tenant",
    ],
    ("orders", "POST"): ["callers of id with scopes orders.read orders.write, of the tenant"],
    ("orders", "DELETE"): ["callers of id with scope orders.write, of the tenant"],
    ("admin", "GET"): [
        "callers of id with role admin, of the tenant, given the claim `plan` that is one of `gold`",
        "callers of id with role boss, of the tenant, given the claim `plan` that is one of `gold`",
    ],
    ("ann", "GET"): ["user ann of id"],
}


def test_who_reaches_what(file: Path) -> None:
    document = json.loads(ask(file, "--format", "json").stdout)
    found = {
        (row["route"], method): sorted(row["who"]) for row in document["routes"] for method in row["methods"]
    }
    assert found == {key: sorted(value) for key, value in WHO.items()}


def test_a_refusal_has_its_reason(file: Path) -> None:
    document = json.loads(ask(file, "--format", "json").stdout)
    ann = next(row for row in document["routes"] if row["route"] == "ann")["classes"]
    assert ann["anyone"] == {"reaches": False, "conditions": [], "reason": "credential_missing"}
    assert ann["callers of id with role admin"]["reason"] == "caller_not_allowed"


def test_as_a_table(file: Path) -> None:
    lines = ask(file).stdout.splitlines()
    assert lines[0].split() == ["route", "methods", "path", "who"]
    assert any(line.split()[:4] == ["ann", "GET", "/ann", "user"] for line in lines)
    markdown = ask(file, "--format", "markdown").stdout.splitlines()
    assert "| ann | GET | `/ann` | user ann of id |" in markdown


def test_as_a_page_without_script(file: Path) -> None:
    page = ask(file, "--format", "html").stdout
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    Reader().feed(page)
    assert tags.count("tr") == 1 + 6
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert "default-src 'none'" in page


def test_one_caller(file: Path, tmp_path: Path) -> None:
    by_key = ask(file, "--key", tmp_path / "key").stdout
    assert by_key == ask(file, "--as", "feed").stdout
    assert by_key.splitlines()[0] == "a service, by keys; scopes: orders.read; roles: none, tenant globex"
    assert [line.split()[:2] for line in by_key.splitlines()[2:-1]] == [["open", "GET"], ["orders", "GET"]]
    by_token = ask(file, "--token-file", tmp_path / "token").stdout
    assert [line.split()[:2] for line in by_token.splitlines()[2:-1]] == [
        ["open", "GET"],
        ["orders", "DELETE"],
    ]
    for secret in ((tmp_path / "key").read_text(), (tmp_path / "token").read_text(), "bob.secret"):
        assert secret not in by_key + by_token
    by_name = json.loads(ask(file, "--as", "ann", "--format", "json").stdout)
    assert [row["route"] for row in by_name["reaches"]] == ["ann", "open"]
    described = ask(file, "--as", "{provider: id, tenant: acme, roles: boss, claims: {plan: gold}}").stdout
    assert [line.split()[0] for line in described.splitlines()[2:-1]] == ["admin", "open"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--as", "{provider: idd}"], "--as: there is no identity provider `idd`; did you mean `id`?"),
        (["--as", "feed", "--key", "x"], "are different questions; ask one"),
        (["--key", "nowhere"], "`nowhere` cannot be read"),
        (["--used", "nowhere"], "`nowhere` cannot be read"),
    ],
)
def test_wrong_usage(file: Path, words: list[str], said: str) -> None:
    done = ask(file, *words)
    assert done.exit_code == 2
    assert said in done.stderr


def log(path: Path, lines: list[tuple[int, str, str, str | None, int]]) -> Path:
    """Days ago, route, method, provider, status."""
    now = datetime.now(UTC)
    text = ""
    for days, route, method, provider, status in lines:
        line = {
            "time": (now - timedelta(days=days)).isoformat(),
            "route": route,
            "method": method,
            "status": status,
        }
        line |= {"provider": provider} if provider else {}
        line |= {"reason": "scope_missing", "fault": "policy"} if status == 403 else {}
        text += json.dumps(line) + "\n"
    path.write_text(text + '{"time": broken\n')
    return path


def test_grants_beside_use(file: Path, tmp_path: Path) -> None:
    used = log(
        tmp_path / "log",
        [
            (120, "ann", "GET", "id", 200),
            (100, "admin", "GET", "id", 200),
            (5, "orders", "GET", "id", 200),
            (5, "orders", "HEAD", "keys", 404),
            (5, "orders", "POST", "id", 403),
            (3, "orders", "DELETE", "id", 204),
            (3, "gone", "GET", "id", 200),
            (1, "open", "GET", None, 200),
        ],
    )
    done = ask(file, "--used", used, "--days", 90)
    assert done.exit_code == 1
    said = done.stdout
    assert "1 lines are damaged and count for nothing" in said
    assert "1 requests by what this configuration has not: gone GET by id" in said
    assert "unused for 90 days: 5 of 9" in said
    for unused in (
        "admin GET by id",
        "ann GET by id",
        "orders POST by id",
        "orders POST by keys",
        "orders DELETE by keys",
    ):
        assert f"  {unused}\n" in said
    assert (
        '-    match: {hosts: shop.test, path: "/{tenant}/orders", methods: {any_of: [DELETE, GET, POST]}}'
        in said
    )
    assert (
        '+    match: {hosts: shop.test, path: "/{tenant}/orders", methods: {any_of: [DELETE, GET]}}' in said
    )
    assert "-  admin:\n" in said and "-  ann:\n" in said and "-  open:" not in said


def test_a_diff_that_would_not_load_is_not_shown(file: Path, tmp_path: Path) -> None:
    """The scopes of a method that is gone."""
    text = (
        file.read_text()
        .replace("DELETE: orders.write", "DELETE: orders.write, PATCH: x")
        .replace("[DELETE, GET, POST]", "[DELETE, GET, PATCH, POST]")
    )
    file.write_text(text)
    used = log(tmp_path / "log", [(100, "ann", "GET", "id", 200), (1, "orders", "GET", "id", 200)])
    done = ask(file, "--used", used)
    assert done.exit_code == 1
    document = json.loads(ask(file, "--used", used, "--format", "json").stdout)
    loads = "the file does not load" not in " ".join(document["left"])
    assert loads == bool(document["diff"])


def test_a_young_log_removes_nothing(file: Path, tmp_path: Path) -> None:
    done = ask(file, "--used", log(tmp_path / "log", [(3, "ann", "GET", "id", 200)]))
    assert "nothing is removed" in done.stdout
    assert "---" not in done.stdout


def test_the_map_is_what_the_engine_decides(file: Path) -> None:
    """Each cell anew, with a question of its own."""
    engine = from_file(file, offline=True)
    access = reach.build(engine)
    assert len(access.rows) == 6
    for row in access.rows:
        for one, cell in row.cells.items():
            if one.provider == "id" and not one.name and not cell.conditions:
                claims = {
                    "sub": "x",
                    "scope": " ".join(one.scopes),
                    "roles": sorted(one.roles),
                    "tenant": "acme",
                }
                principal = ({"provider": "id", "claims": claims},)
                path = row.path.replace("{tenant}", "acme").replace("{rest...}", "x")
                url = f"http://shop.test{path}{'?of=acme' if row.route == 'admin' else ''}"
                from yett.policy.engine import Question

                decided = engine.decide(Question(row.methods[0], url, principals=principal))
                assert (decided["outcome"] == "allow") == cell.reaches, (row.route, one.label)


def test_providers_that_nobody_used_are_taken_out(file: Path, tmp_path: Path) -> None:
    lines = [(100, "ann", "GET", "id", 200), (1, "open", "GET", None, 200), (1, "ann", "GET", "id", 200)]
    lines += [
        (1, "admin", "GET", "id", 200),
        *((1, "orders", method, "id", 200) for method in ("GET", "POST", "DELETE")),
    ]
    said = ask(file, "--used", log(tmp_path / "log", lines)).stdout
    assert "-    authenticate: {any_of: [id, keys]}\n+    authenticate: id\n" in said


def test_what_a_body_decides_is_a_condition(file: Path) -> None:
    text = (
        file.read_text()
        + """\
  write:
    match: {hosts: any, path: /write, methods: POST}
    authenticate: id
    tenant: {none: "test"}
    authorize: {scopes: orders.write, when: "request.body.amount < 1000"}
    request_validation: {json_schema: body.json}
    service: origin
"""
    )
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
    (file.parent / "body.json").write_text(json.dumps(schema))
    file.write_text(text)
    done = ask(file, "--format", "json")
    assert done.exit_code == 0, done.output
    (row,) = [row for row in json.loads(done.stdout)["routes"] if row["route"] == "write"]
    assert row["who"] == [
        "callers of id with scope orders.write, given a request that its validation takes and that `request.body.amount < 1000` holds"
    ]
    assert row["classes"]["callers of id with scope orders.read"]["reason"] == "scope_missing"


def test_filters_of_addresses_are_conditions(tmp_path: Path) -> None:
    """Where a caller has to be is no question of who it is: nobody is taken for shut out by that."""
    path = tmp_path / "gateway.yaml"
    path.write_text(
        """\
version: 1
listeners: {main: {address: "127.0.0.1:0", plaintext: test, address_filter: {deny: bad}}}
geo: {country: none.mmdb}
address_lists: {bad: {networks: 192.0.2.0/24}, office: {networks: 203.0.113.0/24}}
services: {origin: {endpoints: "http://127.0.0.1:9", plaintext: test}}
routes:
  open:
    match: {hosts: any, path: /open, methods: GET}
    access: public
    address_filter: {allow: office}
    geo_filter: {countries: {allow: DE}}
    service: origin
"""
    )
    result = CliRunner().invoke(app, ["access", str(path), "--format", "json"])
    assert result.exit_code == 0, result.output
    text = result.output
    assert "an address that listener main lets in" in text and "an address that route open lets in" in text
    assert "address_filtered" not in text and "geo_" not in text
