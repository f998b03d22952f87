"""address_filter: lists that allow and deny, on listeners, groups and routes; files that change while requests come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.gateway import Gateway, compiled
from tests.support.origin import Origin
from tests.support.waiting import eventually
from yett.policy.engine import Engine, Question

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]


def write(path: Path, text: str) -> Path:
    """In one step, as tools that make lists do."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)
    return path


def shop(service: Origin, lists: dict[str, Any], **filters: Any) -> dict[str, Any]:
    """A gateway behind a proxy, so that a test can come from any address."""
    return {
        "listeners": configs.listener(
            trusted_proxies={"addresses": ["127.0.0.1/32"], "header": "x-forwarded-for"}
        ),
        "services": {"origin": configs.service(service)},
        "address_lists": lists,
        "routes": {
            "shop": configs.route("/shop/{rest...}", address_filter=filters),
            "open": configs.route("/open"),
        },
    }


def ask(gate: Gateway, address: str, target: str = "/shop/a") -> tuple[int, str | None]:
    answer = gate.get(target, {"X-Forwarded-For": address})
    return answer.status, answer.reason


OFFICE = {"networks": ["192.0.2.0/24", "2001:db8::/32"]}
REFUSED = (403, "address_filtered")


def test_only_those_on_a_list(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, {"office": OFFICE}, allow="office"))
    for address in ("192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8::1"):
        assert ask(gate, address)[0] == 200, address
    service.saw_no_more_than(4)
    for address in ("192.0.1.255", "192.0.3.0", "127.0.0.1", "2001:db9::", "::1"):
        assert ask(gate, address) == REFUSED, address
    service.saw_no_more_than(4)
    assert ask(gate, "198.51.100.1", "/open")[0] == 200
    line = gate.log_line(lambda one: one.get("client") == "192.0.3.0")
    assert (line["reason"], line["rule"]) == ("address_filtered", "route shop: allow office")


def test_a_list_that_denies_wins(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    lists = {"office": OFFICE, "printers": {"networks": "192.0.2.128/25"}}
    gate = gateway(shop(service, lists, allow="office", deny="printers"))
    assert ask(gate, "192.0.2.127")[0] == 200
    assert ask(gate, "192.0.2.128") == REFUSED
    service.saw_no_more_than(1)
    assert gate.log_line(status=403)["rule"] == "route shop: deny printers"


def test_listener_group_and_route_all_apply(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    lists = {name: {"networks": f"192.0.2.{number}/32"} for number, name in enumerate(["a", "b", "c"])}
    config = shop(service, lists, deny="c")
    config["listeners"]["main"]["address_filter"] = {"deny": "a"}
    config["groups"] = {"g": {"hosts": "any", "address_filter": {"deny": "b"}}}
    key_file = str(Path(__file__).parents[1] / "config/cases/files/partners.keys.yaml")
    config["identity_providers"] = {"keys": {"type": "api_key", "keys": key_file}}
    config["routes"]["shop"] |= {"group": "g", "access": "authenticated", "authenticate": "keys"}
    config["routes"]["shop"]["tenant"] = {"none": "a test"}
    gate = gateway(config)
    # On the listener also where no route is.
    assert ask(gate, "192.0.2.0", "/nothing") == REFUSED
    assert ask(gate, "192.0.2.1", "/nothing") == (404, "route_not_found")
    for address in ("192.0.2.1", "192.0.2.2"):
        assert ask(gate, address) == REFUSED
    assert ask(gate, "192.0.2.3") == (401, "credential_missing")
    rules = [line["rule"] for line in gate.wait_log(5) if line.get("reason") == "address_filtered"]
    assert rules == ["listener main: deny a", "group g: deny b", "route shop: deny c"]
    assert service.saw_nothing()


def test_who_is_kept_out_costs_nothing_of_a_limit(gateway: Gateways, origin: Origins) -> None:
    config = shop(origin(), {"bad": {"networks": "192.0.2.1/32"}}, deny="bad")
    config["routes"]["shop"]["address_limit"] = {"few": {"rate": "1/h", "burst": 1}}
    gate = gateway(config)
    answers = [gate.get("/shop/a", {"X-Forwarded-For": "192.0.2.1"}) for _ in range(3)]
    assert [answer.reason for answer in answers] == ["address_filtered"] * 3
    assert "ratelimit" not in answers[0]


def test_a_file_that_changes(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    """Without a reload: added, removed, and damaged, in which case the one before stays."""
    service = origin()
    file = write(
        tmp_path / "blocked.txt",
        "# blocked\n192.0.2.1\n198.51.100.0/24 ; a network\n2001:db8::1-2001:db8::5\n",
    )
    gate = gateway(shop(service, {"blocked": {"file": str(file)}}, deny="blocked"))
    for address in ("192.0.2.1", "198.51.100.9", "2001:db8::3"):
        assert ask(gate, address) == REFUSED
    assert ask(gate, "192.0.2.2")[0] == 200
    write(file, "192.0.2.2\n")
    eventually(lambda: ask(gate, "192.0.2.2") == REFUSED, 60, "the new list")
    assert ask(gate, "192.0.2.1")[0] == 200

    def metric(name: str) -> float:
        return gate.metric(f"yett_address_list_{name}", file=str(file))

    assert (metric("entries"), metric("current"), metric("failures_total")) == (1, 1, 0)
    damaged = ["192.0.2.1\n<html>\n", "192.0.2.1", "", "10.0.0.0/1", "192.0.2.1/8\n"]
    for number, text in enumerate(damaged, 1):
        write(file, text)
        eventually(lambda number=number: metric("failures_total") == number, 60, "the damage")  # type: ignore[misc]
        assert ask(gate, "192.0.2.2") == REFUSED and ask(gate, "192.0.2.1")[0] == 200, text
        assert metric("current") == 0
    file.unlink()
    eventually(lambda: metric("failures_total") == len(damaged) + 1, 60, "that it is gone")
    assert ask(gate, "192.0.2.2") == REFUSED
    assert metric("age_seconds") >= 0
    told = "\n".join(gate.events())
    assert "address_list_failed" in told and "line 2: it is no address" in told and "goes on to count" in told
    write(file, "192.0.2.3\n")
    eventually(lambda: ask(gate, "192.0.2.3") == REFUSED, 60, "the mended list")
    assert metric("current") == 1


def test_a_list_outlives_a_reload(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    file = write(tmp_path / "blocked.txt", "192.0.2.1\n")
    config = shop(origin(), {"blocked": {"file": str(file)}}, deny="blocked")
    gate = gateway(config)
    write(file, "damaged\n")
    eventually(lambda: gate.metric("yett_address_list_failures_total") == 1, 60, "the damage")
    config["routes"]["open"]["match"]["path"] = "/other"
    gate.reload(config)
    assert ask(gate, "192.0.2.1") == REFUSED
    assert ask(gate, "192.0.2.2")[0] == 200


def test_a_file_that_was_never_there(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    """What is not known refuses, unless the list says that it is empty then."""
    service = origin()
    file = tmp_path / "blocked.txt"
    lists: dict[str, Any] = {"blocked": {"file": str(file)}}
    gate = gateway(shop(service, lists, deny="blocked"))
    assert ask(gate, "192.0.2.1") == (503, "address_list_unavailable")
    assert gate.log_line(status=503)["rule"] == "route shop: deny blocked"
    assert service.saw_nothing()
    lists["blocked"]["unavailable"] = "empty"
    gate.reload(shop(service, lists, deny="blocked"))
    assert ask(gate, "192.0.2.1")[0] == 200
    gate.reload(shop(service, lists, allow="blocked"))
    assert ask(gate, "192.0.2.1") == REFUSED
    write(file, "192.0.2.1\n")
    eventually(lambda: ask(gate, "192.0.2.1")[0] == 200, 60, "the file")


def test_networks_beside_a_file(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    file = write(tmp_path / "more.txt", "192.0.2.1\n")
    lists = {"office": {"networks": "198.51.100.0/24", "file": str(file)}}
    gate = gateway(shop(origin(), lists, allow="office"))
    assert ask(gate, "198.51.100.1")[0] == ask(gate, "192.0.2.1")[0] == 200
    assert ask(gate, "192.0.2.2") == REFUSED


def test_who_is_not_believed_names_no_address(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    config = shop(service, {"office": OFFICE}, allow="office")
    config["listeners"] = configs.listener()
    gate = gateway(config)
    assert ask(gate, "192.0.2.1") == REFUSED and service.saw_nothing()


def test_a_policy_tool_says_which_list(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    file = write(tmp_path / "blocked.txt", "192.0.2.1\n")
    gate = gateway(configs.public(origin()))
    config = shop(origin(), {"blocked": {"file": str(file)}}, deny="blocked")
    engine = Engine(*compiled(gate.write(config)))
    decided = engine.decide(Question("GET", "http://gateway.test/shop/a", address="192.0.2.1"))
    assert (decided["refusal"]["reason"], decided["refusal"]["rule"]) == (
        "address_filtered",
        "route shop: deny blocked",
    )
    allowed = engine.decide(Question("GET", "http://gateway.test/shop/a", address="192.0.2.2"))
    assert allowed["outcome"] == "allow"
