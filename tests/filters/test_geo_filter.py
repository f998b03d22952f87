"""geo_filter: countries, autonomous systems, hosting providers, by databases that change while requests come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile
from tests.support.gateway import Gateway, compiled
from tests.support.geo import database
from tests.support.origin import Origin
from tests.support.waiting import eventually
from yett.policy.engine import Engine, Question
from yett.policy.explain import explain, lines

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]

COUNTRIES = {
    "192.0.2.0/25": ("DE", "EU"),
    "192.0.2.128/25": ("AT", "EU"),
    "198.51.100.0/24": ("KP", "AS"),
    "2001:db8::/48": ("DE", "EU"),
    "2001:db8:1::/48": ("KP", "AS"),
}
SYSTEMS = {"192.0.2.0/26": 64496, "192.0.2.64/26": 64500, "198.51.100.0/24": 64500, "2001:db8::/48": 64496}
FILTERED, UNKNOWN, UNAVAILABLE = (403, "geo_filtered"), (403, "geo_unknown"), (503, "geo_unavailable")


class Shop:
    """One gateway for many filters: a route of its own for each, behind a proxy, so that a test comes from any address."""

    def __init__(self, gate: Gateway, service: Origin, directory: Path) -> None:
        self.gate, self.service, self.directory = gate, service, directory

    def config(self, filters: dict[str, Any], **changes: Any) -> dict[str, Any]:
        files = {kind: str(self.directory / f"{kind}.mmdb") for kind in ("country", "asn", "anonymous")}
        trusted = {"addresses": ["127.0.0.1/32"], "header": "x-forwarded-for"}
        return {
            "geo": {**files, "hosting_asns": [64500]},
            "listeners": configs.listener(trusted_proxies=trusted),
            "services": {"origin": configs.service(self.service)},
            "address_lists": {"office": {"networks": ["198.51.100.7/32", "10.1.0.0/16"]}},
            "routes": {
                name: configs.route(f"/{name}", geo_filter=found) if found else configs.route(f"/{name}")
                for name, found in filters.items()
            },
            **changes,
        }

    def use(self, **filters: Any) -> None:
        self.gate.reload(self.config(filters))

    def ask(self, route: str, address: str, headers: dict[str, str] | None = None) -> tuple[int, str | None]:
        answer = self.gate.get(f"/{route}", {"X-Forwarded-For": address, **(headers or {})})
        return answer.status, answer.reason

    def refuses(self, route: str, address: str, reason: tuple[int, str]) -> None:
        before = len(self.service.requests)
        assert self.ask(route, address) == reason, address
        assert len(self.service.requests) == before

    def lets_in(self, route: str, *addresses: str) -> None:
        for address in addresses:
            assert self.ask(route, address)[0] == 200, address


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("geo")
    database(directory / "country.mmdb", "country", COUNTRIES)
    database(directory / "asn.mmdb", "asn", SYSTEMS)
    database(directory / "anonymous.mmdb", "anonymous", {"192.0.2.130/32": True, "192.0.2.131/32": False})
    service = Origin()
    gate = Gateway({"services": {"origin": configs.service(service)}, "routes": {"a": configs.route("/a")}})
    yield Shop(gate, service, directory)
    gate.stop()
    service.close()


def test_countries(shop: Shop) -> None:
    shop.use(allow={"countries": {"allow": ["DE", "AT"]}}, deny={"countries": {"deny": ["KP"]}})
    for route in ("allow", "deny"):
        shop.lets_in(route, "192.0.2.1", "192.0.2.200", "::ffff:192.0.2.1", "2001:db8::1")
        for address in ("198.51.100.1", "2001:db8:1::1", "::ffff:198.51.100.1"):
            shop.refuses(route, address, FILTERED)
    shop.refuses("allow", "198.51.100.77", FILTERED)
    line = shop.gate.log_line(client="198.51.100.77")
    assert (line["reason"], line["rule"], line["country"], line["asn"]) == (
        "geo_filtered",
        "route allow: countries",
        "KP",
        64500,
    )
    shop.use(only={"countries": {"allow": "AT"}})
    shop.refuses("only", "192.0.2.1", FILTERED)
    shop.lets_in("only", "192.0.2.128")


def test_who_is_nowhere(shop: Shop) -> None:
    """Of whom nothing is known, and who has a private address: refused, or as the filter says."""
    deny = {"countries": {"deny": "KP"}}
    shop.use(strict=deny, loose={**deny, "unknown": "allow"}, inside={**deny, "private": "allow"})
    for address in ("203.0.113.1", "2001:db9::1", "2002:c000:201::1"):
        shop.refuses("strict", address, UNKNOWN)
        shop.lets_in("loose", address)
        shop.refuses("inside", address, UNKNOWN)
    for address in ("10.1.2.3", "127.0.0.1", "::1", "100.64.0.1", "fd00::1", "169.254.0.1"):
        shop.refuses("strict", address, UNKNOWN)
        shop.refuses("loose", address, UNKNOWN)
        shop.lets_in("inside", address)
    shop.refuses("loose", "198.51.100.1", FILTERED)
    line = shop.gate.log_line(client="fd00::1", route="strict")
    assert line["rule"] == "route strict: private" and "country" not in line


def test_autonomous_systems_and_hosting(shop: Shop) -> None:
    shop.use(
        deny={"asns": {"deny": [64500]}},
        allow={"asns": {"allow": 64496}},
        hosting={"hosting": "deny"},
        loose={"hosting": "deny", "unknown": "allow"},
    )
    for route in ("deny", "allow"):
        shop.lets_in(route, "192.0.2.1", "2001:db8::1")
        shop.refuses(route, "192.0.2.64", FILTERED)
        shop.refuses(route, "192.0.2.200", UNKNOWN)
    for route in ("hosting", "loose"):
        shop.refuses(route, "192.0.2.64", FILTERED)
        shop.refuses(route, "192.0.2.130", FILTERED)
        # In no list of those who rent out machines.
        shop.lets_in(route, "192.0.2.1", "192.0.2.131")


def test_exceptions_by_address(shop: Shop) -> None:
    shop.use(a={"countries": {"deny": "KP"}, "except": {"addresses": "office"}})
    shop.lets_in("a", "198.51.100.7", "10.1.2.3")
    shop.refuses("a", "198.51.100.8", FILTERED)
    shop.refuses("a", "10.2.0.1", UNKNOWN)


def test_exceptions_by_caller(shop: Shop) -> None:
    """Decided once the caller is known; nobody else's credential, and no credential, gets in."""
    keys = KeyFile(shop.directory)
    traveller, other = keys.add("traveller"), keys.add("other")
    config = shop.config({"open": None})
    config["identity_providers"] = {"keys": {"type": "api_key", "keys": str(keys.path)}}
    config["groups"] = {"g": {"hosts": "any", "geo_filter": {"countries": {"deny": "KP"}}}}
    excepting = {"countries": {"deny": "KP"}, "except": {"callers": {"keys": "traveller"}}}
    records = shop.directory / "decisions.jsonl"
    (shop.directory / "hash.key").write_text("0123456789abcdef")
    config["decision_log"] = {"file": str(records), "hash_key": {"file": str(shop.directory / "hash.key")}}
    own = {"access": "authenticated", "authenticate": "keys", "tenant": {"none": "a test"}}
    config["routes"]["desk"] = configs.route("/desk", geo_filter=excepting, **own)
    config["routes"]["strict"] = configs.route("/strict", group="g", geo_filter=excepting, **own)
    shop.gate.reload(config)

    def ask(route: str, address: str, key: str | None) -> tuple[int, str | None]:
        return shop.ask(route, address, {"X-API-Key": key} if key else None)

    before = len(shop.service.requests)
    assert ask("desk", "198.51.100.1", traveller)[0] == ask("desk", "203.0.113.1", traveller)[0] == 200
    assert ask("desk", "192.0.2.1", other)[0] == 200
    assert len(shop.service.requests) == before + 3
    assert ask("desk", "198.51.100.1", other) == FILTERED
    assert ask("desk", "203.0.113.1", other) == UNKNOWN
    assert ask("desk", "10.0.0.1", other) == UNKNOWN
    assert ask("desk", "198.51.100.1", None) == (401, "credential_missing")
    # What the group says has no such exception.
    assert ask("strict", "198.51.100.1", traveller) == FILTERED
    assert len(shop.service.requests) == before + 3
    # A record could not be judged again, since it does not say where an address was.
    assert ask("desk", "192.0.2.2", other)[0] == 200
    eventually(lambda: '"192.0.2.2"' in records.read_text(), 60, "the record of the last one")
    assert "geo_" not in records.read_text() and "192.0.2.1" in records.read_text()
    line = shop.gate.log_line(lambda one: one.get("subject") == "other" and one["client"] == "198.51.100.1")
    assert line["rule"] == "route desk: countries"


def test_listener_group_and_route_all_apply(shop: Shop) -> None:
    config = shop.config({"a": {"asns": {"deny": 64496}}})
    config["listeners"]["main"]["geo_filter"] = {"countries": {"deny": "KP"}, "unknown": "allow"}
    shop.gate.reload(config)
    # On the listener also where no route is.
    shop.refuses("nothing", "198.51.100.1", FILTERED)
    assert shop.ask("nothing", "192.0.2.1") == (404, "route_not_found")
    shop.refuses("a", "192.0.2.1", FILTERED)
    shop.lets_in("a", "192.0.2.64")


def test_conditions_read_places(shop: Shop) -> None:
    keys = KeyFile(shop.directory)
    key = keys.add("partner")
    config = shop.config({"open": None})
    config["identity_providers"] = {"keys": {"type": "api_key", "keys": str(keys.path)}}
    rules = {
        "country": "geo.country == 'DE'",
        "continent": "geo.continent == 'EU'",
        "asn": "geo.asn in [64496]",
        "abroad": "has(geo.country) && geo.country != 'DE'",
    }
    for name, when in rules.items():
        own = {"authenticate": "keys", "tenant": {"none": "a test"}, "authorize": {"when": when}}
        config["routes"][name] = configs.route(f"/{name}", **own)
    shop.gate.reload(config)
    outcomes = {
        "192.0.2.1": {"country", "continent", "asn"},
        "192.0.2.200": {"continent", "abroad"},
        "198.51.100.1": {"abroad"},
        "203.0.113.1": set(),
        "10.0.0.1": set(),
    }
    for address, allowed in outcomes.items():
        found = {name for name in rules if shop.ask(name, address, {"X-API-Key": key})[0] == 200}
        assert found == allowed, address


def test_who_is_kept_out_costs_nothing_of_a_limit(shop: Shop) -> None:
    config = shop.config({"a": {"countries": {"deny": "KP"}}})
    config["routes"]["a"]["address_limit"] = {"few": {"rate": "1/h", "burst": 1}}
    shop.gate.reload(config)
    for _ in range(3):
        shop.refuses("a", "198.51.100.1", FILTERED)


def test_explain_says_what_was_looked_up(shop: Shop) -> None:
    config = shop.config({"a": {"countries": {"deny": "KP"}}})
    engine = Engine(*compiled(shop.gate.write(config)))
    told = explain(engine, Question("GET", "http://gateway.test/a", address="198.51.100.1"))
    assert told["geo"] == {"country": "KP", "continent": "AS", "asn": 64500, "hosting": True}
    text = "\n".join(lines(told))
    assert "geo_filtered" in text and "country KP, continent AS, asn 64500, hosting true" in text
    assert "by the rule of route a: countries" in text
    told = explain(engine, Question("GET", "http://gateway.test/a", address="192.0.2.1"))
    assert told["outcome"] == "allow"
    assert any("screen" in line and "country DE" in line for line in lines(told))


def test_a_database_that_changes(shop: Shop, tmp_path: Path) -> None:
    """Without a reload: another one, a damaged one, none; the one before stays. Its age shows."""
    file = database(tmp_path / "country.mmdb", "country", COUNTRIES, days_old=3)
    config = shop.config({"a": {"countries": {"deny": "KP"}}})
    config["geo"] = {"country": str(file), "max_age": "2d"}
    shop.gate.reload(config)
    shop.lets_in("a", "192.0.2.1")

    def metric(name: str) -> float:
        return shop.gate.metric(f"yett_geo_database_{name}", database="country", file=str(file))

    def status() -> dict[str, Any]:
        found: dict[str, Any] = shop.gate.status()["geo"][0]
        return found

    assert 3 * 86_400 <= metric("age_seconds") < 3.1 * 86_400
    assert status()["old"] and status()["current"] and status()["database"] == "country"
    eventually(lambda: "geo_database_old" in "\n".join(shop.gate.events()), 60, "that it is old")
    whole = file.read_bytes()
    for number, damaged in enumerate([whole[: len(whole) // 2], b"", b"<html>", whole[:-20]], 1):
        fresh = tmp_path / "fresh"
        fresh.write_bytes(damaged)
        fresh.replace(file)
        eventually(lambda number=number: metric("failures_total") == number, 60, "the damage")  # type: ignore[misc]
        shop.lets_in("a", "192.0.2.1")
        shop.refuses("a", "198.51.100.1", FILTERED)
        assert metric("current") == 0 and not status()["current"]
    file.unlink()
    eventually(lambda: metric("failures_total") == 5, 60, "that it is gone")
    shop.lets_in("a", "192.0.2.1")
    database(file, "country", {"192.0.2.0/24": ("KP", "AS"), "198.51.100.0/24": ("DE", "EU")})
    eventually(lambda: shop.ask("a", "198.51.100.1")[0] == 200, 60, "the new database")
    shop.refuses("a", "192.0.2.1", FILTERED)
    assert metric("current") == 1 and not status()["old"]


def test_a_database_that_was_never_there(shop: Shop, tmp_path: Path) -> None:
    """What is not known refuses, unless it is said that it is empty then; and a filter may still say what becomes of that."""
    config = shop.config(
        {"strict": {"countries": {"deny": "KP"}}, "loose": {"countries": {"deny": "KP"}, "unknown": "allow"}}
    )
    config["geo"] = {"country": str(tmp_path / "none.mmdb")}
    shop.gate.reload(config)
    for route in ("strict", "loose"):
        shop.refuses(route, "192.0.2.1", UNAVAILABLE)
    config["geo"]["unavailable"] = "unknown"
    shop.gate.reload(config)
    shop.refuses("strict", "192.0.2.1", UNKNOWN)
    shop.lets_in("loose", "192.0.2.1")
