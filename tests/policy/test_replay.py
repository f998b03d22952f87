"""`yett replay`: what a gateway decided, judged against another configuration by the same engine."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.api_keys import KeyFile
from tests.support.configs import service
from tests.support.gateway import Config, Gateway, complete
from tests.support.waiting import eventually
from yett.cli.app import app

SCHEMA = {
    "type": "object", "additionalProperties": False,
    "properties": {"amount": {"type": "integer"}, "note": {"type": "string"}},
}  # fmt: skip


class Shop:
    """A gateway that records its decisions, and replays of them."""

    def __init__(self, make: Any, origin: Any, issuer: Any, directory: Path) -> None:
        self.identity = issuer()
        self.directory = directory
        self.records = directory / "decisions.jsonl"
        (directory / "hash.key").write_text("0123456789abcdef0123456789abcdef\n")
        (directory / "payment.json").write_text(json.dumps(SCHEMA))
        keys = KeyFile(directory)
        self.feed = keys.add("feed", scopes=["orders.read"], tenant="globex")
        self.config: Config = {
            "decision_log": {"file": str(self.records), "hash_key": {"file": str(directory / "hash.key")}},
            "identity_providers": {
                "id": {
                    **self.identity.inline(directory),
                    "claims": {
                        "tenant": "tenant", "roles": "roles", "plan": "plan", "level": {"from": "level", "type": "int"},
                        "groups": {"from": "groups", "type": "string_list"},
                    },
                },
                "keys": {"type": "api_key", "keys": str(keys.path)},
            },
            "services": {"origin": service(origin())},
            "routes": {
                "open": {"match": {"hosts": "any", "path": "/open/{rest...}", "methods": "GET"}, "access": "public"},
                "orders": {
                    "match": {"hosts": "any", "path": "/{tenant}/orders", "methods": {"any_of": ["GET", "POST"]}},
                    "authenticate": {"any_of": ["id", "keys"]},
                    "tenant": "path.tenant",
                    "authorize": {"scopes": {"methods": {"GET": "orders.read", "POST": "orders.write"}}},
                },
                "reports": {
                    "match": {"hosts": "any", "path": "/reports/{name}", "methods": "GET"},
                    "authenticate": "id",
                    "tenant": {"none": "reports are for all"},
                    "authorize": {
                        "when": "principal.claims.level >= 2 || request.headers['x-region'] == 'eu' || query.as == principal.subject",
                        "headers": "x-region",
                    },
                    "deny": {"blocked": {"callers": {"users": "mallory"}}},
                },
                "payments": {
                    "match": {"hosts": "any", "path": "/payments", "methods": "POST"},
                    "authenticate": "id",
                    "tenant": {"none": "payments are for all"},
                    "authorize": {"when": "request.body.amount < 1000"},
                    "request_validation": {"json_schema": str(directory / "payment.json")},
                },
            },
        }  # fmt: skip
        for route in self.config["routes"].values():
            route["service"] = "origin"
        self.gate: Gateway = make(self.config)

    def traffic(self) -> list[int]:
        """Every kind of decision; the statuses."""
        bearer, get = self.identity.bearer, self.gate.get
        post = self.gate.post
        json_type = {"Content-Type": "application/json"}
        ann = {"sub": "ann", "tenant": "acme", "scope": "orders.read", "plan": "gold", "groups": ["staff"]}
        bob = {
            "sub": "bob",
            "tenant": "acme",
            "scope": "orders.read orders.write",
            "level": 3,
            "roles": ["boss"],
        }
        mallory = {"sub": "mallory", "level": 9}
        replies = [
            get("/open/a"),
            get("/nowhere"),
            get("/acme/orders"),
            get("/acme/orders", bearer(**ann)),
            get("/globex/orders", bearer(**ann)),
            post("/acme/orders", b"", bearer(**ann)),
            post("/acme/orders", b"", bearer(**bob)),
            get("/globex/orders", {"X-API-Key": self.feed}),
            get("/acme/orders", bearer(exp=1)),
            get("/reports/q1", bearer(**ann)),
            get("/reports/q1", {**bearer(**ann), "X-Region": "eu"}),
            get("/reports/q1?as=ann", bearer(**ann)),
            get("/reports/q1", bearer(**bob)),
            get("/reports/q1", bearer(**mallory)),
            post("/payments", b'{"amount": 10, "note": "for-lunch"}', {**bearer(**bob), **json_type}),
            post("/payments", b'{"amount": 5000}', {**bearer(**bob), **json_type}),
            self.gate.request("PATCH", "/acme/orders", bearer(**bob)),
        ]
        return [reply.status for reply in replies]

    def recorded(self, count: int = 17) -> list[dict[str, Any]]:
        def lines() -> list[dict[str, Any]]:
            text = self.records.read_bytes() if self.records.exists() else b""
            return [json.loads(line) for line in text.split(b"\n")[:-1]]

        eventually(lambda: len(lines()) >= count, what=f"{count} decision records")
        return lines()

    def other(self, change: Any = None) -> Path:
        """The configuration, changed."""
        config = copy.deepcopy(self.config)
        if change is not None:
            change(config)
        path = self.directory / "other.yaml"
        path.write_text(json.dumps(complete(config, self.directory)))
        return path

    def replay(self, change: Any = None, *words: str, records: Path | None = None) -> dict[str, Any]:
        result = self.run(change, *words, "--format", "json", records=records)
        found: dict[str, Any] = json.loads(result.stdout)
        counts = [*found["flips"].values(), found["undecidable"], found["damaged"]]
        assert result.exit_code == (1 if any(counts) else 0), result.output
        return found

    def run(self, change: Any = None, *words: str, records: Path | None = None) -> Result:
        config = self.other(change)
        asked = ["replay", str(records or self.records), "--config", str(config), *words]
        return CliRunner().invoke(app, asked)


STATUSES = [200, 404, 401, 200, 403, 403, 200, 200, 401, 403, 200, 200, 200, 403, 200, 403, 405]


@pytest.fixture
def shop(gateway: Any, origin: Any, issuer: Any, tmp_path: Path) -> Shop:
    shop = Shop(gateway, origin, issuer, tmp_path)
    assert shop.traffic() == STATUSES
    assert len(shop.recorded()) == 17
    return shop


def groups(found: dict[str, Any]) -> set[tuple[str, str, str, int]]:
    return {
        (one["flip"], one["route_now"] or one["route"], one["caller"].partition("#")[0], one["count"])
        for one in found["groups"]
    }


def test_the_same_configuration_decides_the_same(shop: Shop) -> None:
    found = shop.replay()
    assert [found["groups"], found["why"], found["damage"]] == [[], [], []]
    assert (found["same"], found["why"]) == ({"allow": 8, "deny": 9, "other_reason": 0}, [])
    assert (found["groups"], found["why"], found["damage"]) == ([], [], [])


def test_a_tightened_configuration_closes_what_it_says(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["routes"]["orders"]["authorize"] = {
            "scopes": {"methods": {"GET": "orders.all", "POST": "orders.write"}}
        }

    found = shop.replay(change)
    assert found["flips"] == {"allow_to_deny": 2, "deny_to_allow": 0}
    assert groups(found) == {
        ("allow_to_deny", "orders", "id: ", 1), ("allow_to_deny", "orders", "keys: feed", 1),
    }  # fmt: skip
    assert {one["reason"] for one in found["groups"]} == {"scope_missing"}
    ids = {line["request_id"]: line for line in shop.recorded()}
    for group in found["groups"]:
        (example,) = group["examples"]
        line = ids[example["request_id"]]
        assert (example["method"], example["path"]) == (line["method"], line["path"])


def test_a_widened_configuration_opens_what_it_says(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["routes"]["orders"]["tenant"] = {"none": "shared"}
        config["routes"]["orders"]["authorize"] = {"scopes": "orders.read"}
        del config["routes"]["reports"]["deny"]
        config["routes"]["more"] = {
            "match": {"hosts": "any", "path": "/nowhere", "methods": "GET"}, "access": "public", "service": "origin",
        }  # fmt: skip

    found = shop.replay(change)
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 4}
    assert groups(found) == {
        ("deny_to_allow", "orders", "id: ", 2), ("deny_to_allow", "reports", "id: ", 1), ("deny_to_allow", "more", "nobody", 1),
    } or groups(found) == {
        ("deny_to_allow", "orders", "id: ", 1), ("deny_to_allow", "reports", "id: ", 1), ("deny_to_allow", "more", "nobody", 1),
    }  # fmt: skip


def test_hashed_values_equal_what_they_were_made_of(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["routes"]["orders"]["deny"] = {"ann": {"callers": {"users": "ann"}}}
        config["routes"]["reports"]["authorize"] = {
            "when": "principal.subject in ['bob', 'eve'] || principal.claims.plan != 'gold' || 'staff' in principal.claims.groups",
        }  # fmt: skip

    found = shop.replay(change)
    assert {(one["flip"], one["route"], one["caller"], one["count"]) for one in found["groups"]} == {
        ("allow_to_deny", "orders", "id: ann", 1), ("deny_to_allow", "reports", "id: ann", 1),
    }  # fmt: skip
    assert found["undecidable"] == 0


@pytest.mark.parametrize(
    ("when", "lacks"),
    [
        ("principal.subject.startsWith('a')", "a hashed value: only whether it equals something can be told of it"),
        ("principal.subject < 'm'", "a hashed value: only whether it equals something can be told of it"),
        ("size(principal.subject) > 2", "a hashed value: only whether it equals something can be told of it"),
        ("request.headers['x-tier'] == 'a'", "header `x-tier`"),
        ("query.tier == 'a'", "query parameter `tier`"),
        ("geo.country == 'DE'", "where the address of the client was"),
    ],
)  # fmt: skip
def test_what_a_record_lacks_is_undecidable(shop: Shop, when: str, lacks: str) -> None:
    def change(config: Config) -> None:
        headers = {"headers": "x-tier"} if "headers" in when else {}
        config["routes"]["orders"]["authorize"] = {"when": when, **headers}
        config["geo"] = {"country": "none.mmdb"}

    found = shop.replay(change)
    # the tenant of one does not fit, whatever the rule says, and two have no caller
    assert {one["lacks"]: one["count"] for one in found["why"]} == {lacks: 4 if "subject" not in when else 3}
    assert found["undecidable"] == sum(one["count"] for one in found["why"])


@pytest.mark.parametrize("at", ["listener", "route"])
def test_addresses_that_may_not_come_in(shop: Shop, at: str) -> None:
    def change(config: Config, lists: Config) -> None:
        config["address_lists"] = {"here": lists}
        main: Config = {"address": "127.0.0.1:0", "plaintext": "test"}
        config["listeners"] = {"main": main}
        (main if at == "listener" else config["routes"]["orders"])["address_filter"] = {"allow": "here"}

    found = shop.replay(lambda config: change(config, {"networks": ["127.0.0.0/8"]}))
    assert (found["undecidable"], found["flips"]) == (0, {"allow_to_deny": 0, "deny_to_allow": 0})
    found = shop.replay(lambda config: change(config, {"networks": ["10.0.0.0/8"]}))
    closed = 8 if at == "listener" else 3
    assert found["flips"] == {"allow_to_deny": closed, "deny_to_allow": 0}
    assert {one["reason"] for one in found["groups"] if one["flip"] == "allow_to_deny"} == {
        "address_filtered"
    }
    assert found["undecidable"] == 0


def test_what_stands_before_what_is_lacking_decides(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["routes"]["orders"]["authorize"] = {"when": "request.method == 'GET' || query.tier == 'a'"}

    found = shop.replay(change)
    assert (found["undecidable"], found["flips"]) == (2, {"allow_to_deny": 0, "deny_to_allow": 0})


def test_a_provider_that_verifies_otherwise_decides_nothing(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["identity_providers"]["id"]["leeway"] = "5s"

    found = shop.replay(change)
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0}
    # all but what is public or nowhere, has no credential, or one of the other provider
    assert found["undecidable"] == 12, found
    assert found["same"] == {"allow": 2, "deny": 3, "other_reason": 0}


def test_whether_tokens_have_a_claim_that_was_not_declared_is_not_known(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["identity_providers"]["id"]["claims"]["tier"] = "tier"
        config["routes"]["payments"]["deny"] = {"cheap": {"claims": {"tier": {"any_of": ["cheap"]}}}}

    found = shop.replay(change)
    # A token with something else than text there is refused, on every route.
    assert {one["lacks"]: one["count"] for one in found["why"] if "tier" in one["lacks"]} == {
        "whether `id` would vouch: claim `tier` was not declared": 11
    }
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0}


def test_a_public_route_that_asks_for_a_credential_now(shop: Shop) -> None:
    def change(config: Config) -> None:
        config["routes"]["open"] = {
            **config["routes"]["open"],
            "authenticate": "id",
            "tenant": {"none": "all"},
        }
        config["routes"]["open"]["access"] = "authenticated"

    found = shop.replay(change)
    assert [(one["flip"], one["route"], one["reason"]) for one in found["groups"]] == [
        ("allow_to_deny", "open", "credential_missing")
    ]


def test_damaged_lines_are_counted_and_shown(shop: Shop) -> None:
    lines = shop.records.read_bytes().splitlines(keepends=True)
    middle = lines[3]
    broken = [
        lines[0], middle[: len(middle) // 2] + b"\n", b"\xff\xfe\n", b'{"status":200}\n', b"\n",
        middle.replace(b'"v":1', b'"v":2'), middle.replace(b'"path":"/acme', b'"path":"/../acme'),
        middle.replace(b'"time":"2', b'"time":"x'), lines[1].rstrip(b"\n"),
    ]  # fmt: skip
    path = shop.directory / "broken.jsonl"
    path.write_bytes(b"".join(broken))
    found = shop.replay(records=path)
    assert (found["lines"], found["damaged"], found["same"]["allow"] + found["same"]["deny"]) == (9, 7, 2)
    assert [one["line"] for one in found["damage"]] == [2, 3, 4, 5, 6, 7, 8]
    said = [one["what"] for one in found["damage"]]
    assert "it ends too early" in said[0]
    assert said[1] == "it is not UTF-8"
    assert "unknown field `status`" in said[2]
    assert "version 2" in said[4]
    assert said[5] == "its `path` is not canonical"
    text = shop.run(records=path)
    assert text.exit_code == 1
    assert "DAMAGED line 3: it is not UTF-8" in text.output


def test_another_key_decides_nothing_about_hashed_values(shop: Shop) -> None:
    other = shop.directory / "other.key"
    other.write_text("another key of at least 16 bytes")
    found = shop.replay(None, "--key", str(other))
    assert [one["lacks"] for one in found["why"]] == ["the key that it was hashed with"]
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0}


def test_a_configuration_without_a_decision_log_gets_the_key_by_hand(shop: Shop) -> None:
    def change(config: Config) -> None:
        del config["decision_log"]

    assert shop.replay(change)["why"][0]["lacks"] == "the key that it was hashed with; give it with `--key`"
    assert shop.replay(change, "--key", str(shop.directory / "hash.key"))["undecidable"] == 0


def test_text_and_markdown(shop: Shop) -> None:
    def change(config: Config) -> None:
        del config["routes"]["reports"]["deny"]

    text = shop.run(change)
    assert text.exit_code == 1
    assert "OPENS   1 x route `reports`, id: " in text.output
    assert "17 lines: 16 as before, 0 allow to deny, 1 deny to allow, 0 undecidable, 0 damaged" in text.output
    assert "limits, validation of bodies and answers of services are not replayed" in text.output
    markdown = shop.run(change, "--format", "markdown")
    assert "### Replay: **1 of 17 requests would be decided otherwise**" in markdown.output
    assert "| **opens** | 1 |" in markdown.output


def test_compressed_and_several_files(shop: Shop) -> None:
    packed = shop.directory / "old.jsonl.gz"
    packed.write_bytes(gzip.compress(shop.records.read_bytes()))
    config = str(shop.other())
    result = CliRunner().invoke(
        app, ["replay", str(packed), str(shop.records), "--config", config, "--format", "json"]
    )
    assert (result.exit_code, json.loads(result.stdout)["lines"]) == (0, 34)


def test_wrong_usage(shop: Shop) -> None:
    missing = CliRunner().invoke(app, ["replay", "missing.jsonl", "--config", str(shop.other())])
    assert (missing.exit_code, missing.output.strip()) == (
        2,
        "`missing.jsonl` cannot be read: no such file or directory",
    )


def harmed(shop: Shop, data: bytes) -> Path:
    """Records in a compressed file of these bytes."""
    packed = shop.directory / "harmed.jsonl.gz"
    packed.write_bytes(data)
    return packed


@pytest.mark.parametrize("harm", ["cut", "last", "behind"])
def test_of_an_archive_that_is_not_whole_what_was_read_counts(shop: Shop, harm: str) -> None:
    whole = gzip.compress(shop.records.read_bytes())
    data = {"cut": whole[: len(whole) // 2], "last": whole[:-8] + bytes(8), "behind": whole + b"x"}[harm]
    packed = harmed(shop, data)
    config = str(shop.other())
    result = CliRunner().invoke(
        app, ["replay", str(packed), str(shop.records), "--config", config, "--format", "json"]
    )
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"cut": 17 < found["lines"] < 34, "last": found["lines"] == 34, "behind": found["lines"] == 34}[
        harm
    ]
    assert found["damaged"] == len(found["damage"]) >= 1
    (said,) = [one for one in found["damage"] if "gzip" in one["what"]]
    assert said["what"] == f"`{packed}` is no whole gzip file; nothing is read after this"
    assert 1 < said["line"] <= 18
    text = CliRunner().invoke(app, ["replay", str(packed), "--config", config])
    assert text.exit_code == 1 and "is no whole gzip file" in text.output and " as before" in text.output


@pytest.mark.parametrize("data", [b"no gzip", b"", gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 10])
def test_an_archive_of_which_nothing_can_be_read(shop: Shop, data: bytes) -> None:
    packed = harmed(shop, data)
    result = CliRunner().invoke(app, ["replay", str(packed), "--config", str(shop.other())])
    if data:
        assert (result.exit_code, result.output.strip()) == (2, f"`{packed}` is no whole gzip file")
    else:
        assert result.exit_code == 0 and result.output.startswith("0 lines")


def test_records_hold_no_credential_and_no_personal_value(shop: Shop) -> None:
    text = shop.records.read_text()
    for secret in (
        "ann",
        "bob",
        "mallory",
        "gold",
        "staff",
        "for-lunch",
        "eyJ",
        "yett_",
        shop.feed,
        "Bearer",
    ):
        assert f'"{secret}"' not in text
        assert secret not in text, secret
    assert "orders.read" in text, "scopes are words of a policy"


def test_limits_and_faults_are_no_decisions(gateway: Any, origin: Any, tmp_path: Path) -> None:
    (tmp_path / "hash.key").write_text("0123456789abcdef")
    records = tmp_path / "decisions.jsonl"
    config: Config = {
        "decision_log": {"file": str(records), "hash_key": {"file": str(tmp_path / "hash.key")}},
        "services": {"origin": service(origin())},
        "routes": {
            "open": {
                "match": {"hosts": "any", "path": "/open", "methods": "GET"}, "access": "public", "service": "origin",
                "rate_limit": {"few": {"rate": "1/h", "burst": 1, "key": "route"}},
            },
        },
    }  # fmt: skip
    gate = gateway(config)
    statuses = [gate.get("/open").status, gate.get("/open").status, gate.get("/open/../x").status]
    assert statuses == [200, 429, 400]
    gate.stop()
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    assert [(line["decision"], line.get("ended")) for line in lines] == [
        ("allow", None),
        ("allow", "rate_limited"),
    ]
    assert records.stat().st_mode & 0o777 == 0o600


def test_whatever_was_asked_is_decided_the_same_by_the_same_configuration(
    gateway: Any, origin: Any, issuer: Any, tmp_path: Path
) -> None:
    shop = Shop(gateway, origin, issuer, tmp_path)
    random = Random(7)
    paths = [
        "/open/x",
        "/acme/orders",
        "/globex/orders",
        "/reports/q1",
        "/payments",
        "/x",
        "/acme/orders/",
        "/a;b",
        "/open/%2e",
    ]
    callers = [
        {},
        {"X-API-Key": shop.feed},
        {"Authorization": "Bearer junk"},
        *(
            shop.identity.bearer(**{name: value for name, value in claims.items() if random.random() < 0.9})
            for claims in (
                {"sub": "ann", "tenant": "acme", "scope": "orders.read", "plan": "gold", "level": 1, "groups": ["a", "b"]},
                {"sub": "mallory", "tenant": "globex", "scope": "orders.read orders.write", "level": 3},
                {"sub": "é,\"\\", "tenant": "acme", "scope": "orders.write", "roles": ["boss"], "level": 2},
                {"sub": "eve", "level": "high"},
            )
            for _ in range(3)
        ),
    ]  # fmt: skip
    queries = ["", "?as=ann", "?as=mallory&as=ann", "?as=%ff", "?as=%C3%A9%2C%22%5C", "?x"]
    bodies = [b"", b'{"amount": 1}', b'{"amount": 5000, "note": "x"}', b"{", b'{"note": "a"}']
    for _ in range(150):
        headers = dict(random.choice(callers))
        if random.random() < 0.3:
            headers["X-Region"] = random.choice(["eu", "us", "eu, us", ""])
        method = random.choice(["GET", "GET", "POST", "PUT", "HEAD"])
        body = random.choice(bodies) if method == "POST" else b""
        if body:
            headers["Content-Type"] = "application/json"
        shop.gate.request(method, random.choice(paths) + random.choice(queries), headers, body)
    shop.gate.stop()
    found = shop.replay()
    assert found["groups"] == []
    assert found["lines"] > 100
    assert found["same"]["allow"] + found["same"]["deny"] == found["lines"]
    assert min(found["same"]["allow"], found["same"]["deny"]) > 10, "both kinds were asked"
    assert found["same"]["other_reason"] == 0


@pytest.mark.parametrize("how", [{"from": "level", "type": "string"}, {"from": "rank", "type": "int"}])
def test_a_claim_that_is_declared_otherwise_may_be_refused(shop: Shop, how: dict[str, str]) -> None:
    """Also where no rule reads it: a token with a claim of the wrong type is refused."""

    def change(config: Config) -> None:
        config["identity_providers"]["id"]["claims"]["level"] = how
        config["routes"]["reports"]["authorize"] = {"when": "request.method == 'GET'"}

    found = shop.replay(change)
    assert found["flips"] == {"allow_to_deny": 0, "deny_to_allow": 0}
    lacks = {one["lacks"]: one["count"] for one in found["why"]}
    assert lacks["whether `id` would vouch: claim `level` is declared otherwise"] == 11, lacks
    # What is public, nowhere, without a credential, or of a key.
    assert found["same"]["allow"] == 2


def test_a_route_that_takes_websocket_connections_only(shop: Shop) -> None:
    """A plain request is refused there; of one that asks for an upgrade no record says how."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert shop.gate.get("/open/socket", upgrade).status == 200
    assert len(shop.recorded(18)) == 18

    def change(config: Config) -> None:
        config["routes"]["open"]["websocket"] = {}

    found = shop.replay(change)
    assert [(one["flip"], one["route"], one["reason"]) for one in found["groups"]] == [
        ("allow_to_deny", "open", "upgrade_required")
    ]
    assert [(one["lacks"], one["count"]) for one in found["why"]] == [
        ("whether it opens a WebSocket connection", 1)
    ]
    text = shop.records.read_text()
    shop.records.write_text(text.replace('"websocket":"none",', ""))
    older = shop.replay(change)
    assert (older["flips"]["allow_to_deny"], older["undecidable"]) == (0, 2), (
        "of an older record nobody knows"
    )
    shop.records.write_text(text.replace('"websocket":"asked"', '"websocket":"opened"'))
    opened = shop.replay(change)
    assert (opened["flips"]["allow_to_deny"], opened["undecidable"]) == (1, 0)
    shop.records.write_text(text.replace('"websocket":"asked"', '"websocket":"maybe"'))
    assert shop.replay(change)["damaged"] == 1
