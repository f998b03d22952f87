"""`yett test`: what passes, what fails and how that is told, what is wrong with a file of tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.gateway import compiled, complete
from yett.cli.app import app
from yett.policy.engine import Engine, Question

CLAIMS = {"tenant": "tenant_id", "roles": "realm.roles", "level": {"from": "level", "type": "int"}}
ROUTES = {
    "open": configs.route("/open", "GET"),
    "orders": configs.route(
        "/tenants/{tenant}/orders", {"any_of": ["GET", "POST"]}, authenticate={"any_of": ["id", "keys"]},
        tenant="path.tenant", authorize={"scopes": "orders.read"}, request_headers={"set": {"x-shop": "one"}},
        rate_limit={"per-caller": {"rate": "1/s", "burst": 3, "key": "principal"}},
    ),
    "admin": configs.route(
        "/admin", "GET", authenticate="id", authorize={"roles": "admin", "when": "principal.claims.level >= 3"},
        tenant={"none": "of all"},
        deny={"mallory": "principal.subject == 'mallory'"},
    ),
}  # fmt: skip
PRINCIPALS = """
version: 1
base: http://shop.test
principals:
  ann: {provider: id, subject: ann, scopes: orders.read, tenant: acme}
  boss: {same_as: ann, roles: admin, claims: {level: 3}}
  partner: {provider: keys, name: acme}
"""


@pytest.fixture
def shop(tmp_path: Path, origin, issuer):
    """The configuration's file, and what writes tests and runs them."""
    keys = KeyFile(tmp_path)
    keys.add("acme", scopes=["orders.read"], tenant="acme")
    identity = issuer()
    config = configs.protected(origin(), identity, tmp_path)
    config["identity_providers"]["id"]["claims"] = CLAIMS
    config["identity_providers"]["keys"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"] = ROUTES
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(complete(config, tmp_path)))
    return Shop(file, identity)


class Shop:
    def __init__(self, file: Path, identity: Any) -> None:
        self.file, self.identity = file, identity
        self.tests = file.with_name("shop.tests.yaml")

    def run(self, text: str, *options: str | Path) -> Result:
        self.tests.write_text(f"{PRINCIPALS}tests:\n{text}")
        return CliRunner().invoke(app, ["test", str(self.file), str(self.tests), *map(str, options)])


ALL = """
  anyone reads what is open: {request: GET /open, expect: allow}
  orders:
    request: GET /tenants/acme/orders
    principals:
      ann: {outcome: allow, route: orders, service: origin, headers: {x-shop: one}, without: [authorization, x-api-key]}
      partner: allow
      nobody: credential_missing
  ann elsewhere:
    principal: ann
    requests:
      GET /tenants/globex/orders: {outcome: tenant_mismatch, rule: route orders}
      DELETE /tenants/acme/orders: {outcome: method_not_allowed, status: 405}
      GET /nowhere: route_not_found
      GET /admin: role_missing
  described here: {request: GET /tenants/acme/orders, principal: {provider: id, subject: bob, tenant: acme}, expect: scope_missing}
  like another one: {request: GET /admin, principal: {same_as: boss, claims: {level: 2}}, expect: policy_denied}
  the boss: {request: GET /admin, principal: boss, expect: allow}
  mallory: {request: GET /admin, principal: {same_as: boss, subject: mallory}, expect: {outcome: policy_denied, rule: "route admin: deny.mallory"}}
  a key where none is taken: {request: GET /admin, principal: partner, expect: provider_not_accepted}
  the fourth in a row: {request: GET /tenants/acme/orders, principal: ann, times: 4, expect: {outcome: rate_limited, rule: per-caller}}
  the first again: {request: GET /tenants/acme/orders, principal: ann, times: 3, expect: allow}
  expired: {request: GET /tenants/acme/orders, principal: {same_as: ann, claims: {exp: 1}}, expect: token_expired}
  for others: {request: GET /tenants/acme/orders, principal: {same_as: ann, claims: {aud: other}}, expect: token_audience_mismatch}
  of another type: {request: GET /admin, principal: {same_as: ann, claims: {level: high}}, expect: token_claim_invalid}
  two at once: {request: GET /tenants/acme/orders, principal: [ann, partner], expect: credential_ambiguous}
  junk: {request: GET /admin, headers: {authorization: Bearer junk}, expect: credential_malformed}
"""


def test_what_holds_passes(shop: Shop) -> None:
    done = shop.run(ALL, "--coverage", "--fail-under", "100")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "20 tests, 20 passed, 0 failed" in done.stdout
    assert "routes   3 of 3\n" in done.stdout and "coverage 100.0 %" in done.stdout


def test_what_does_not_hold_is_told_with_its_place_and_why(shop: Shop, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = shop.run(
        "  bob: {request: GET /tenants/acme/orders, principal: {provider: id, tenant: acme}, expect: allow}\n"
        "  ann: {request: GET /tenants/acme/orders, principal: ann, expect: {outcome: allow, headers: {x-shop: two}, without: x-shop, route: admin}}\n",
        "--junit",
        report,
    )
    assert done.exit_code == 1
    assert f"{shop.tests}:9:3: FAILED bob\n  expected `allow`, got `scope_missing`\n" in done.stdout
    assert "  | authorize     REFUSED  scope_missing" in done.stdout
    assert "expected route `admin`, got `orders`" in done.stdout
    assert "the service would see `one` in `x-shop`, expected `two`" in done.stdout
    assert "the service would see `x-shop`" in done.stdout
    suite = Xml.parse(report).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert "authorize     REFUSED" in (suite[0][0].text or "")


def test_as_a_document(shop: Shop) -> None:
    done = shop.run(
        "  ann: {request: GET /admin, principal: ann, expect: allow}\n", "--coverage", "--format", "json"
    )
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert (document["ok"], document["total"], document["failed"]) == (False, 1, 1)
    assert document["tests"][0]["outcome"] == "role_missing"
    assert document["coverage"]["routes"] == {"total": 3, "missing": ["admin", "open", "orders"]}


def test_too_little_is_covered(shop: Shop) -> None:
    done = shop.run("  open: {request: GET /open, expect: allow}\n", "--fail-under", "50")
    assert done.exit_code == 1
    assert "not exercised: route orders: scope_missing" in done.stdout
    assert "less than 50 % are covered" in done.stderr


def test_a_failing_test_counts_as_no_exercise(shop: Shop) -> None:
    done = shop.run(
        "  open: {request: GET /open, expect: {outcome: allow, service: origin, route: orders}}\n",
        "--coverage",
    )
    assert "not exercised: open\n" in done.stdout


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("  a: {request: GET /open, expect: scope_mising}", "9:35", "there is no outcome or reason `scope_mising`; did you mean `scope_missing`?"),
        ("  a: {request: GET /open, expect: {outcome: allow, route: ordes}}", "9:59", "there is no route `ordes`; did you mean `orders`?"),
        ("  a: {request: GET /open, expect: {outcome: allow, service: orign}}", "9:61", "there is no service `orign`; did you mean `origin`?"),
        ("  a: {request: GET /open, principal: {provider: ids}, expect: allow}", "9:49", "there is no identity provider `ids`; did you mean `id`?"),
        ("  a: {request: GET /open, principal: an, expect: allow}", "9:38", "there is no principal `an`; did you mean `ann`?"),
        ("  a: {request: GET /open, principals: {anne: allow}}", "9:40", "there is no principal `anne`; did you mean `ann`?"),
        ("  a: {request: GET /open, principal: {provider: keys, name: acmee}, expect: allow}", "9:61", "`keys` has no key `acmee`; did you mean `acme`?"),
        ("  a: {request: GET /open, principal: {provider: keys, name: acme, scopes: b}, expect: allow}", "9:75", "what a caller of `keys` has stands with its provider; write its `name`"),
        ("  a: {request: /open, expect: allow}", "9:16", "`/open` is no request; write `GET https://api.example.com/orders/17`"),
        ("  a: {request: GET ftp://x/, expect: allow}", "9:16", "`ftp://x/` is no URL; write one such as `https://api.example.com/orders/17`"),
        ("  a: {request: GET /open, listener: mian, expect: allow}", "9:37", "there is no listener `mian`; did you mean `main`?"),
        ("  a: {request: GET /open, address: here, expect: allow}", "9:36", "`here` is no address; write for example `192.0.2.1`"),
        ("  a: {request: GET /open, time: noon, expect: allow}", "9:33", "`noon` is no moment; write one such as 2026-11-28T12:00:00Z"),
        ("  a: {request: GET /open}", "9:6", "write `expect`, or `principals` with what has to come of each"),
        ("  a: {expect: allow}", "9:6", "write `request`, or `requests` with what has to come of each"),
        ("  a: {request: GET /open, expct: allow}", "9:27", "unknown key `expct`; did you mean `expect`?"),
        ("  a: {request: GET /x, expect: {outcome: route_not_found, headers: {a: b}}}", "9:68", "no service sees this request; remove `headers`, or expect `allow`"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_told_with_its_place(shop: Shop, text: str, place: str, message: str) -> None:
    done = shop.run(text)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [f"{shop.tests}:{place}: {message}"]


def test_wrong_usage(shop: Shop, tmp_path: Path) -> None:
    for words in ([shop.file], [tmp_path / "nowhere.d"], [shop.file, "--watch", "--format", "json"]):
        (tmp_path / "nowhere.d").mkdir(exist_ok=True)
        done = CliRunner().invoke(app, ["test", *map(str, words)])
        assert done.exit_code == 2, done.stdout + done.stderr


def test_no_token_is_shown(shop: Shop) -> None:
    token = shop.identity.token(sub="ann.secret@example.com", exp=int(time.time()) - 1000)
    shop.file.with_name("token").write_text(token)
    done = shop.run("  a: {request: GET /admin, token_file: token, expect: allow}\n", "--format", "json")
    assert "token_expired" in done.stdout
    for secret in (token, token.split(".")[1], "ann.secret"):
        assert secret not in done.stdout + done.stderr


VALUES = st.one_of(
    st.sampled_from(["orders.read", "a b", "", "acme", "globex", "mallory", "admin", "ann", "id", "shop", "other"]),
    st.lists(st.sampled_from(["orders.read", "admin", "x"]), max_size=2),
    st.integers(-1, 5),
    st.booleans(),
    st.fixed_dictionaries({}, optional={"roles": st.sampled_from(["admin", ["admin"], 3])}),
)  # fmt: skip
TOKENS = st.dictionaries(
    st.sampled_from(["sub", "scope", "tenant_id", "realm", "level", "client_id", "azp", "aud", "nonce", "jti", "acr", "cnf", "act", "typ"]),
    VALUES,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(claims=TOKENS, target=st.sampled_from(["/tenants/acme/orders", "/admin", "/open"]))
def test_claims_that_are_taken_as_verified_decide_as_a_token_with_them(shop: Shop, claims, target) -> None:
    """The same mapping, the same checks of claims, the same rules; only the signature is taken as given."""
    engine = shop.__dict__.setdefault("engine", Engine(*compiled(shop.file)))
    token = shop.identity.token(**{"scope": None, "sub": None, "aud": "shop", **claims})
    said = {"sub": None, "aud": "shop", **claims}
    said = {name: value for name, value in said.items() if value is not None}
    real = Question("GET", f"http://shop.test{target}", (("Authorization", f"Bearer {token}"),))
    assumed = Question("GET", f"http://shop.test{target}", principals=({"provider": "id", "claims": said},))
    brief = engine.asked(assumed) | {"brief": True}
    ours, theirs, short = engine.decide_many([engine.asked(assumed), engine.asked(real), brief])
    assert (ours["outcome"], ours["refusal"]) == (theirs["outcome"], theirs["refusal"])
    assert short.pop("refusal") == (
        ours["refusal"] and {name: ours["refusal"][name] for name in ("reason", "rule")}
    )
    assert short == {name: ours[name] for name in ("listener", "outcome", "status", "route", "service")}


PYTEST = """
def test_orders(yett_policy):
    shop = yett_policy("gateway.yaml", base="http://shop.test")
    ann = {"provider": "id", "subject": "ann", "scopes": ["orders.read"], "tenant": "acme"}
    answer = shop.get("/tenants/acme/orders", principal=ann).allowed()
    assert (answer.route, answer.service, answer.headers["x-shop"]) == ("orders", "origin", ["one"])
    shop.get("/tenants/acme/orders").refused("credential_missing")
    shop.post("/tenants/globex/orders", principal=ann).refused("tenant_mismatch")


def test_that_fails(yett_policy):
    yett_policy("gateway.yaml").get("http://shop.test/admin").allowed()


def test_that_is_wrong(yett_policy):
    yett_policy("gateway.yaml").get("http://shop.test/admin").refused("scope_mising")
"""


def test_the_plugin_of_pytest(shop: Shop) -> None:
    directory = shop.file.parent
    (directory / "test_shop.py").write_text(PYTEST)
    (directory / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_shop.py"],
        cwd=directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout and "2 failed" in done.stdout, done.stdout + done.stderr
    assert "expected `allow`, got `credential_missing`" in done.stdout
    assert "authenticate  REFUSED  credential_missing" in done.stdout
    assert "there is no reason `scope_mising`; did you mean `scope_missing`?" in done.stdout
