"""yett explain: why, phase by phase, with nothing in it that has to stay secret."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.conftest import Yett
from tests.support import configs
from tests.support.issuer import Issuer
from tests.support.waiting import eventually
from yett.cli.app import app


@pytest.fixture
def shop(tmp_path: Path, origin, issuer):
    """The configuration's file, and the issuer that it believes."""
    identity: Issuer = issuer()
    config = configs.protected(origin(), identity, tmp_path, authorize={"scopes": "orders.read"})
    config.update(version=1, listeners={"main": {"address": "127.0.0.1:0", "plaintext": "test"}})
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config))

    def token(**claims: object) -> Path:
        path = tmp_path / "token"
        path.write_text(identity.token(**claims))
        return path

    return file, token


URL = "http://gateway.test/orders/17?card=4111"


def test_a_request_that_is_let_in(yett: Yett, shop) -> None:
    file, token = shop
    done = yett("explain", file, URL, "--token-file", token(scope="orders.read", tenant="acme"))
    assert done.returncode == 0, done.stderr
    assert "authorize     ok" in done.stdout
    assert "forward       allow    to `origin`, as /orders/17\n" in done.stdout


@pytest.mark.parametrize(
    ("claims", "reason", "said"),
    [
        ({"exp": int(time.time()) - 400}, "token_expired", " min ago)"),
        ({"aud": "other"}, "token_audience_mismatch", '"other"'),
        ({"iss": "https://other.example"}, "token_issuer_unknown", '"https://other.example"'),
        ({"scope": "other"}, "scope_missing", "needed: orders.read"),
    ],
)
def test_why_a_token_is_refused(yett: Yett, shop, claims, reason, said) -> None:
    file, token = shop
    path = token(sub="ann.secret@example.com", **claims)
    done = yett("explain", file, URL, "--token-file", path)
    assert done.returncode == 1
    assert f"REFUSED  {reason}: " in done.stdout and said in done.stdout
    for secret in (path.read_text(), path.read_text().split(".")[1], "ann.secret", "4111"):
        assert secret not in done.stdout + done.stderr
    told = json.loads(yett("explain", file, URL, "--token-file", path, "--format", "json").stdout)
    assert (told["outcome"], told["refusal"]["reason"]) == ("refuse", reason)


def test_an_earlier_moment(yett: Yett, shop) -> None:
    file, token = shop
    path = token(scope="orders.read", iat=1_000_000_000, exp=1_000_000_600)
    assert yett("explain", file, URL, "--token-file", path).returncode == 1
    then = yett("explain", file, URL, "--token-file", path, "--time", "2001-09-09T01:50:00Z")
    assert then.returncode == 0, then.stdout


def test_an_opaque_token_is_named_as_such(yett: Yett, shop, tmp_path: Path) -> None:
    (tmp_path / "opaque").write_text("s3cr3t-opaque")
    done = yett("explain", shop[0], URL, "--token-file", tmp_path / "opaque")
    assert done.returncode == 1
    assert "opaque and no JWT" in done.stdout and "s3cr3t" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "`nowhere` is neither a URL nor a route"),
        ([URL, "--listener", "publik"], "there is no listener `publik`; known here: main"),
        ([URL, "--time", "noon"], "`noon` is no moment"),
        ([URL, "--header", "nothing"], "a header has no `:` after its name"),
        ([URL, "--token-file", "missing"], "`missing` cannot be read"),
    ],
)
def test_a_question_that_is_none(yett: Yett, shop, words, said) -> None:
    done = yett("explain", shop[0], *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_bad_configuration_is_told_as_by_check(yett: Yett, shop) -> None:
    file, _ = shop
    file.write_text(file.read_text().replace('"access": "public"', '"acess": "public"'))
    done = yett("explain", file, URL)
    assert done.returncode == 1
    assert "`acess`" in done.stderr


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, words)])


def test_every_rule_and_what_would_be_enough(shop) -> None:
    file, _ = shop
    done = ask(file, URL, "--principal", "{provider: id, subject: ann.secret}")
    assert done.exit_code == 1
    assert "route closed: scopes fails\n" in done.stdout
    assert "it would be allowed with\n" in done.stdout
    assert "the scope `orders.read` (by route closed)\n" in done.stdout
    assert "ann.secret" not in done.stdout
    done = ask(file, URL, "--principal", "{provider: id, scopes: orders.read}", "--format", "json")
    decision = json.loads(done.stdout)
    assert (done.exit_code, decision["outcome"], decision["missing"]) == (0, "allow", [])
    assert decision["rules"][0]["parts"] == [{"part": "scopes", "outcome": "holds"}]


def test_the_nearest_route(shop, tmp_path: Path) -> None:
    file, _ = shop
    config = json.loads(file.read_text())
    del config["routes"]["closed"]
    config["routes"]["orders"] = configs.route("/orders/{order}", "GET", hosts="api.test")
    file.write_text(json.dumps(config))
    assert "near `orders`: its hosts are `api.test`\n" in ask(file, "http://gateway.test/orders/17").stdout
    assert "near `orders`: it takes `GET`\n" in ask(file, "http://api.test/orders/1", "-X", "PUT").stdout


def test_a_request_of_the_past(shop, gateway, tmp_path: Path) -> None:
    file, token = shop
    running = gateway(json.loads(file.read_text()) | {"access_log": {"file": str(tmp_path / "log.jsonl")}})
    authorization = {"authorization": f"Bearer {token(scope='other', sub='ann').read_text()}"}
    reply = running.get("/orders/17?card=4111", authorization)
    assert reply.reason == "scope_missing"
    log = tmp_path / "log.jsonl"
    eventually(lambda: log.exists() and reply.json()["request_id"] in log.read_text())
    with log.open("a") as damaged:
        damaged.write('{"request_id": "broken\n')
    done = ask(file, "--request-id", reply.json()["request_id"], "--log", log)
    assert done.exit_code == 1
    assert "the log says: 403 `scope_missing` by route closed, revision " in done.stdout
    assert "it does not have: the query, header fields, scopes, roles and other claims" in done.stdout
    assert "route closed: scopes unknown\n" in done.stdout
    done = ask(file, "--request-id", "broken", "--log", log)
    assert done.exit_code == 2
    assert "has no request `broken`; 1 lines that may have it are damaged" in done.stderr


def test_a_route_and_where_each_part_stands(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(GROUPED)
    done = ask(file, "read")
    assert done.exit_code == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[2:] if not line.startswith(" ")}
    assert rows["methods"].endswith(f"route read ({file}:13)")
    assert rows["hosts"].endswith(f"group all ({file}:8)")
    assert "group all: roles any of a, b" in rows["authorize"]
    assert f"route read ({file}:14)" in done.stdout
    assert rows["body"].endswith("default")
    done = ask(file, "raed")
    assert done.exit_code == 2
    assert "`raed` is neither a URL nor a route; did you mean `read`?" in done.stderr


GROUPED = """\
version: 1
listeners: {main: {address: "127.0.0.1:0", plaintext: test}}
identity_providers:
  id: {type: jwt, issuer: "https://id.test", audience: shop, claims: {roles: roles}}
services: {origin: {endpoints: "http://127.0.0.1:9", plaintext: test}}
groups:
  all:
    hosts: any
    authenticate: id
    authorize: {roles: {any_of: [a, b]}}
routes:
  read:
    match: {path: /a, methods: GET}
    authorize: {scopes: read}
    group: all
    service: origin
"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_external_check_is_shown_and_not_asked(tmp_path: Path, origin, issuer, protocol: str) -> None:
    check, identity = origin(), issuer()
    config = configs.protected(origin(), identity, tmp_path, authorize={"scopes": "orders.read"})
    path = "" if protocol == "grpc" else "/check"
    config["routes"]["closed"]["external_authorization"] = {
        "url": f"{check.url}{path}", "plaintext": "test", "protocol": protocol, "headers": ["x-channel", "x-other"],
        "to_service": "x-level",
    }  # fmt: skip
    config.update(version=1, listeners={"main": {"address": "127.0.0.1:0", "plaintext": "test"}})
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config))
    caller = ("--principal", "{provider: id, subject: ann, scopes: orders.read}", "-H", "X-Channel: s3cret")
    done = ask(file, URL, *caller)
    assert done.exit_code == 0, done.output
    called = "call" if protocol == "grpc" else "POST"
    assert f"external check of route closed: not asked; a request would {called} {check.url}/" in done.output
    assert "fields: x-channel" in done.output and "set for the service: x-level" in done.output
    assert "if the external check allows it" in done.output
    assert "external_unavailable" not in done.output and "s3cret" not in done.output
    told = json.loads(ask(file, URL, *caller, "--format", "json").output)
    assert (told["outcome"], told["external"]["asked"]) == ("allow", False)
    # what is refused anyway is not asked about
    refused = ask(file, URL)
    assert refused.exit_code == 1 and "external check" not in refused.output
    assert check.saw_nothing()
