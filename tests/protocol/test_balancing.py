"""Balancing: weights, load, keys, priorities, zones; each with real services behind a real gateway."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.wire import head


def balanced(*endpoints, **changes):
    """A configuration with these endpoints: origins, or maps with an `origin` and more."""
    described = [
        {"url": item["origin"].url, **{key: value for key, value in item.items() if key != "origin"}}
        if isinstance(item, dict)
        else item.url
        for item in endpoints
    ]
    first = endpoints[0]["origin"] if isinstance(endpoints[0], dict) else endpoints[0]
    config = configs.public(first)
    zone = changes.pop("gateway_zone", None)
    config["services"]["origin"] = {"endpoints": described, "plaintext": "test", **changes}
    return {**config, "zone": zone} if zone else config


def seen(*services):
    return [len(service.requests) for service in services]


def ask(gate, count, **options):
    with gate.connect() as wire:
        for number in range(count):
            assert wire.ask(target=f"/{number}", **options).status == 200


def test_turns_follow_weights(gateway, origin):
    heavy, light = origin(name="heavy"), origin(name="light")
    gate = gateway(balanced({"origin": heavy, "weight": 3}, light))
    ask(gate, 40)
    assert seen(heavy, light) == [30, 10]
    targets = [int(request.target[1:]) for request in light.requests]
    assert all(later - earlier == 4 for earlier, later in itertools.pairwise(targets)), targets


def test_a_weight_changes_without_a_new_connection(gateway, origin):
    first, second = origin(), origin()
    gate = gateway(balanced({"origin": first, "weight": 3}, second))
    ask(gate, 8)
    gate.reload(balanced({"origin": first, "weight": 1}, second))
    ask(gate, 8)
    assert seen(first, second) == [10, 6]
    assert (first.connections, second.connections) == (1, 1)


def test_of_several_a_busy_one_gets_less(gateway, origin):
    """Power of two choices: an endpoint that answers nothing loses against any other that is drawn."""
    services = [origin(name=f"origin-{number}") for number in range(4)]
    release = threading.Event()
    services[0].behaviour = lambda stage: (stage.read_body(), release.wait(30), reply()(stage))
    gate = gateway(balanced(*services, balance="least_requests"))
    stuck = []
    for _ in range(60):
        wire = gate.connect(timeout=30)
        wire.send(head("GET", "/a"))
        stuck.append(wire)
        eventually(lambda: sum(seen(*services)) == len(stuck))
    for wire in stuck:
        wire.close()
    release.set()
    assert len(services[0].requests) <= 5, seen(*services)
    assert all(len(service.requests) > 5 for service in services[1:])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ({"header": "x-session"}, lambda number: {"X-Session": f"session-{number}"}),
        ({"cookie": "session"}, lambda number: {"Cookie": f"other=1; session=s{number}"}),
    ],
)
def test_a_key_leads_to_the_same_endpoint(gateway, origin, workers, key, fields):
    services = [origin(name=f"origin-{number}") for number in range(4)]
    gate = gateway(balanced(*services, balance={"consistent_hash": key}), workers=workers)
    places = {}
    for _ in range(3):
        for number in range(24):
            answer = gate.get("/a", fields(number))
            assert answer.status == 200
    for service in services:
        field = "x-session" if "header" in key else "cookie"
        for value, count in Counter(request[field] for request in service.requests).items():
            assert count == 3, "one session at several endpoints"
            places[value] = service
    assert len(places) == 24
    assert len({id(service) for service in places.values()}) >= 3
    # one endpoint goes: only its own keys move
    gate.reload(balanced(*services[1:], balance={"consistent_hash": key}))
    before = {value: len(service.requests) for value, service in places.items()}
    assert before
    for service in services:
        service.forget()
    for number in range(24):
        assert gate.get("/a", fields(number)).status == 200
    for service in services[1:]:
        for request in service.requests:
            was = places[request["x-session" if "header" in key else "cookie"]]
            assert was in (service, services[0]), "a key moved although its endpoint stayed"


def test_paths_and_addresses_as_keys(gateway, origin):
    services = [origin(), origin(), origin()]
    gate = gateway(balanced(*services, balance={"consistent_hash": "path"}))
    for number in range(30):
        assert gate.get(f"/{number % 10}?query={number}").status == 200
    for service in services:
        counts = Counter(request.target.partition("?")[0] for request in service.requests)
        assert set(counts.values()) <= {3}
    gate.reload(balanced(*services, balance={"consistent_hash": "address"}))
    for service in services:
        service.forget()
    ask(gate, 12)
    assert sorted(seen(*services)) == [0, 0, 12]


def test_callers_as_keys(gateway, origin, issuer):
    services, identity = [origin(), origin(), origin()], issuer()
    config = configs.protected(services[0], identity)
    config["services"]["origin"] = configs.service(*services, balance={"consistent_hash": "principal"})
    gate = gateway(config)
    for _ in range(3):
        for number in range(12):
            token = identity.token(sub=f"user-{number}")
            answer = gate.get(f"/user-{number}", {"Authorization": f"Bearer {token}"})
            assert answer.status == 200, answer.body
    for service in services:
        counts = Counter(request.target for request in service.requests)
        assert set(counts.values()) <= {3}
    assert sum(seen(*services)) == 36


def test_requests_without_the_key_take_turns(gateway, origin):
    services = [origin(), origin()]
    gate = gateway(balanced(*services, balance={"consistent_hash": {"header": "x-session"}}))
    ask(gate, 10)
    assert seen(*services) == [5, 5]


def test_a_key_moves_on_when_its_endpoint_cannot_be_reached(gateway, origin):
    services = [origin(), origin()]
    gate = gateway(balanced(*services, balance={"consistent_hash": {"header": "x-session"}}))
    ask(gate, 3, headers={"X-Session": "a"})
    home, other = services if services[0].requests else reversed(services)
    home.close()
    ask(gate, 3, headers={"X-Session": "a"})
    assert seen(home, other) == [3, 3]


def test_a_later_priority_serves_when_the_first_is_gone(gateway, origin):
    first, second = origin(name="first"), origin(name="second")
    gate = gateway(balanced({"origin": first, "priority": 0}, {"origin": second, "priority": 1}))
    ask(gate, 5)
    assert seen(first, second) == [5, 0]
    first.close()
    ask(gate, 5)
    assert seen(first, second) == [5, 5]


def test_the_own_zone_is_preferred(gateway, origin):
    north, south, more = origin(name="north"), origin(name="south"), origin(name="more")
    endpoints = (
        {"origin": north, "zone": "north"},
        {"origin": more, "zone": "north"},
        {"origin": south, "zone": "south"},
    )
    gate = gateway(balanced(*endpoints, gateway_zone="north"))
    ask(gate, 10)
    assert len(south.requests) == 0
    assert min(seen(north, more)) >= 4
    # half of it is still enough
    north.close()
    ask(gate, 10)
    assert sum(seen(north, more)) == 20
    more.close()
    ask(gate, 10)
    assert len(south.requests) == 10


def test_without_a_zone_of_its_own_a_gateway_takes_all(gateway, origin):
    north, south = origin(), origin()
    gate = gateway(balanced({"origin": north, "zone": "north"}, {"origin": south, "zone": "south"}))
    ask(gate, 10)
    assert seen(north, south) == [5, 5]


def test_the_zone_of_the_command_line(run, origin):
    north, south = origin(), origin()
    process = run(
        balanced(
            {"origin": north, "zone": "north"}, {"origin": south, "zone": "south"}, gateway_zone="south"
        ),
        "--zone",
        "north",
        "--workers",
        "1",
    )
    for _ in range(6):
        assert process.get("/a").status == 200
    assert seen(north, south) == [6, 0]
