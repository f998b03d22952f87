"""Costs of `rate_limit` that are charged once an answer has ended; whoever owes waits longer."""

from __future__ import annotations

import re
import time

import pytest

from tests.support import configs
from tests.support.origin import Hangup, reply
from tests.support.waiting import eventually
from tests.support.wire import head

HOUR = {"rate": "1/h", "burst": 100}


def costing(service, identity, directory, after, **changes):
    limit = {**HOUR, "cost": {"after": after}}
    return configs.protected(service, identity, directory, rate_limit={"work": limit}, **changes)


def test_the_rest_is_charged_by_a_header_which_the_client_does_not_see(
    gateway, origin, issuer, tmp_path, workers
):
    identity, service = issuer(), origin()
    config = costing(service, identity, tmp_path, {"header": "X-Cost", "missing": 3})
    gate = gateway(config, workers=workers)
    headers = identity.bearer()
    service.paths["/closed/dear"] = reply(headers=[("X-Cost", "20"), ("X-Other", "1")])
    with gate.connect() as wire:
        answer = wire.ask(target="/closed/dear", headers=headers)
        assert answer.status == 200 and answer["x-other"] == "1"
        assert "x-cost" not in answer
        assert answer["ratelimit"].startswith('"work";r=99;'), "what it costs is not known yet"
        assert wire.ask(target="/closed/plain", headers=headers)["ratelimit"].startswith('"work";r=79;')
        assert wire.ask(target="/closed/plain", headers=headers)["ratelimit"].startswith('"work";r=76;'), (
            "an answer without the header costs what the route says"
        )


def test_the_header_stays_where_the_route_says_so(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"header": "x-cost", "missing": 1, "keep": True}))
    service.answers(headers=[("X-Cost", "20")])
    assert gate.get("/closed", identity.bearer())["x-cost"] == "20"


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Cost", "-5")],
        [("X-Cost", "1.5")],
        [("X-Cost", "many")],
        [("X-Cost", "")],
        [("X-Cost", "99999999999999999999999")],
        [("X-Cost", "1"), ("X-Cost", "1")],
        [("X-Cost", "1000000")],
    ],
    ids=["negative", "fraction", "word", "empty", "beyond", "twice", "large"],
)
def test_what_is_no_number_or_too_large_costs_the_most(gateway, origin, issuer, tmp_path, fields):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"header": "x-cost", "missing": 1, "most": 30}))
    headers = identity.bearer()
    service.paths["/closed/dear"] = reply(headers=fields)
    with gate.connect() as wire:
        assert wire.ask(target="/closed/dear", headers=headers).status == 200
        assert wire.ask(target="/closed/plain", headers=headers)["ratelimit"].startswith('"work";r=69;')


def test_whoever_owes_waits_longer_up_to_a_bound(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    after = {"header": "x-cost", "missing": 1, "most": 1_000_000}
    limit = {"rate": "1/h", "burst": 2, "cost": {"after": after}}
    gate = gateway(configs.protected(service, identity, tmp_path, rate_limit={"work": limit}))
    headers = identity.bearer()
    service.answers(headers=[("X-Cost", "9")])
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=headers).status == 200
        refused = wire.ask(target="/closed", headers=headers)
        assert refused.status == 429 and refused["ratelimit"].startswith('"work";r=0;')
        assert 7 * 3600 < int(refused["retry-after"]) <= 8 * 3600, "of 9 only 2 fit, and one has to come free"
        assert wire.ask(target="/closed", headers=identity.bearer(sub="bob")).status == 200, (
            "only the caller owes"
        )
    service.answers(headers=[("X-Cost", "999999")])
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=identity.bearer(sub="eve")).status == 200
        refused = wire.ask(target="/closed", headers=identity.bearer(sub="eve"))
        assert 20 * 3600 < int(refused["retry-after"]) <= 21 * 3600, "ten bursts at most, beyond the burst"


def test_a_group_has_one_bucket_for_what_routes_owe(gateway, origin, issuer, tmp_path):
    """A route that costs a number waits for the debt of one that is charged afterwards; also after a reload."""
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["groups"] = {"g": {"rate_limit": {"work": {"rate": "1/h", "burst": 5}}}}
    config["routes"]["closed"]["group"] = "g"
    config["routes"]["dear"] = configs.route(
        "/dear", group="g", authenticate="id", access="authenticated",
        rate_limit={"work": {"cost": {"after": {"header": "x-cost", "missing": 1, "most": 50}}}},
    )  # fmt: skip
    gate = gateway(config)
    headers = identity.bearer()
    service.paths["/dear"] = reply(headers=[("X-Cost", "10")])
    with gate.connect() as wire:
        assert wire.ask(target="/dear", headers=headers).status == 200
        for _ in range(3):
            refused = wire.ask(target="/closed", headers=headers)
            assert refused.status == 429 and 5 * 3600 < int(refused["retry-after"]) <= 6 * 3600
    config["routes"]["more"] = configs.route("/more")
    gate.reload(config)
    refused = gate.get("/closed", headers)
    assert refused.status == 429 and 5 * 3600 < int(refused["retry-after"]) <= 6 * 3600
    assert service.saw_no_more_than(1)


def test_a_reserve_is_charged_before_and_counts_towards_it(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"header": "x-cost", "missing": 1, "reserve": 40}))
    headers = identity.bearer()
    service.answers(headers=[("X-Cost", "50")])
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=headers)["ratelimit"].startswith('"work";r=60;')
        assert wire.ask(target="/closed", headers=headers)["ratelimit"].startswith('"work";r=10;')
        refused = wire.ask(target="/closed", headers=headers)
        assert refused.status == 429
    assert service.saw_no_more_than(2)


def test_what_no_service_was_asked_costs_the_reserve_alone(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    validation = {"content_types": "application/json"}
    config = costing(
        service, identity, tmp_path, {"header": "x-cost", "missing": 30}, request_validation=validation
    )
    gate = gateway(config)
    headers = identity.bearer()
    with gate.connect() as wire:
        refused = wire.ask("POST", "/closed", {**headers, "Content-Type": "text/plain"}, b"x")
        assert refused.status == 415, refused
        assert service.saw_nothing()
    assert gate.get("/closed", headers)["ratelimit"].startswith('"work";r=98;')


def test_bytes_are_those_of_the_body_that_were_sent(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"bytes": "1KiB"}))
    headers = identity.bearer()
    service.paths["/closed/large"] = reply(body=b"x" * 20_481)
    chunks = b"".join(b"400\r\n" + b"y" * 1024 + b"\r\n" for _ in range(10))
    service.paths["/closed/chunks"] = lambda stage: (
        stage.read_body(),
        stage.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"),
    )
    with gate.connect() as wire:
        assert len(wire.ask(target="/closed/large", headers=headers).body) == 20_481
        assert wire.ask(target="/closed/small", headers=headers)["ratelimit"].startswith('"work";r=78;')
        assert wire.ask("HEAD", "/closed/large", headers)["ratelimit"].startswith('"work";r=77;')
        assert len(wire.ask(target="/closed/chunks", headers=headers).body) == 10_240
        assert wire.ask(target="/closed/small", headers=headers)["ratelimit"].startswith('"work";r=66;'), (
            "frames of the transfer are no bytes of the body"
        )


def test_bytes_count_where_the_service_breaks_off(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"bytes": "1KiB"}))
    headers = identity.bearer()

    def breaks_off(stage):
        stage.read_body()
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10_240)
        raise Hangup

    service.paths["/closed/broken"] = breaks_off
    with gate.connect() as wire:
        wire.send(head("GET", "/closed/broken", headers))
        assert wire.rest().count(b"x") >= 10_240
    gate.wait_log(1)
    assert gate.get("/closed", headers)["ratelimit"].startswith('"work";r=89;')


def test_the_time_is_that_of_the_service(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(costing(service, identity, tmp_path, {"time": "10s", "most": 50}))
    headers = identity.bearer()
    with gate.connect() as wire:
        assert wire.ask(target="/closed", headers=headers).status == 200
        assert wire.ask(target="/closed", headers=headers)["ratelimit"].startswith('"work";r=98;'), (
            "one begun unit is what was reserved"
        )
    gate.reload(costing(service, identity, tmp_path, {"time": "1ms", "most": 50}))

    def slow(stage):
        stage.read_body()
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > 0.2)
        reply()(stage)

    def pauses(stage):
        stage.read_body()
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > 0.2)
        stage.send(b"k")

    service.paths["/closed/slow"], service.paths["/closed/pauses"] = slow, pauses
    for path in ("slow", "pauses"):
        caller = identity.bearer(sub=path)
        with gate.connect() as wire:
            assert wire.ask(target=f"/closed/{path}", headers=caller).status == 200
            left = re.match(r'"work";r=(\d+);', wire.ask(target="/closed", headers=caller)["ratelimit"])
            assert left is not None and int(left[1]) == 49, "50 at most, and one for the question"
