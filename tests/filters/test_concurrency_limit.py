"""concurrency_limit: so many requests under way for each caller, given back however a request ends."""

from __future__ import annotations

import contextlib
import threading
from contextlib import ExitStack

import h2.config
import h2.connection
import h2.events
import pytest
from websockets.exceptions import InvalidStatus

from tests.support import configs
from tests.support.origin import reply
from tests.support.waiting import eventually
from tests.support.websocket import dial
from tests.support.wire import head


class Held:
    """A service that answers once it is let."""

    def __init__(self, service) -> None:
        self.service = service
        self.let = threading.Event()
        service.behaviour = self._wait

    def _wait(self, stage):
        stage.read_body()
        if "/slow" in stage.request.target:
            assert self.let.wait(120)
        reply()(stage)

    def wait(self, count: int) -> None:
        """Until so many requests have begun that wait."""

        def slow():
            return sum("/slow" in seen.target for seen in list(self.service.requests))

        eventually(lambda: slow() >= count, what=f"{count} requests under way")


@pytest.fixture
def held(origin):
    found = Held(origin())
    yield found
    found.let.set()


def limited(held, identity, directory, **limits):
    """On a busy machine what is held is held for long."""
    named = {name: {"requests": 2, **limit} for name, limit in limits.items()}
    return configs.protected(
        held.service, identity, directory, concurrency_limit=named, timeouts={"first_byte": "5m"}
    )


def begin(stack, gate, headers, target="/slow"):
    """A request that is under way."""
    wire = stack.enter_context(gate.connect())
    wire.send(head("GET", target, headers))
    return wire


def full(gate, headers):
    answer = gate.get("/quick", headers)
    return answer if answer.status == 429 else None


def free(gate, headers):
    return eventually(lambda: gate.get("/quick", headers).status == 200, what="a place")


def test_what_is_beyond_the_limit_is_refused_and_other_callers_are_not(
    gateway, held, issuer, tmp_path, workers
):
    identity = issuer()
    gate = gateway(limited(held, identity, tmp_path, caller={}), workers=workers)
    ann = identity.bearer(sub="ann")
    with ExitStack() as stack:
        wires = [begin(stack, gate, ann) for _ in range(2)]
        held.wait(2)
        answer = gate.get("/quick", ann)
        assert (answer.status, answer.reason, answer.json()["limit"]) == (
            429,
            "concurrency_limited",
            "caller",
        )
        assert int(answer["retry-after"]) >= 1
        assert gate.get("/quick", identity.bearer(sub="bob")).status == 200
        assert len(held.service.requests) == 3, "what was refused reached nobody"
        line = gate.log_line(status=429)
        assert line["reason"] == "concurrency_limited" and "caller" in str(line)
        held.let.set()
        assert [wire.reply().status for wire in wires] == [200, 200]
        free(gate, ann)


def test_one_bucket_for_a_route_and_places_of_all_limits_or_of_none(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(
        held, identity, tmp_path, everyone={"requests": 3, "key": "route"}, caller={"requests": 1}
    )
    gate = gateway(config)
    with ExitStack() as stack:
        begin(stack, gate, identity.bearer(sub="ann"))
        held.wait(1)
        for _ in range(20):
            assert full(gate, identity.bearer(sub="ann")).json()["limit"] == "caller"
        for number, name in enumerate(("bob", "carol"), 2):
            begin(stack, gate, identity.bearer(sub=name))
            held.wait(number)
        assert full(gate, identity.bearer(sub="dave")).json()["limit"] == "everyone"


def test_a_refused_request_costs_no_rate(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    config["routes"]["closed"]["rate_limit"] = {"hour": {"rate": "1/h", "burst": 3}}
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    with ExitStack() as stack:
        begin(stack, gate, ann)
        held.wait(1)
        for _ in range(20):
            assert full(gate, ann)
        held.let.set()
        eventually(lambda: gate.get("/quick", ann).status == 200)
        answer = eventually(lambda: (one := gate.get("/quick", ann)).status != 429 and one)
        assert '"hour";r=0;' in answer["ratelimit"]


def test_a_client_that_closes_gives_its_place_back_when_the_service_has_answered(
    gateway, held, issuer, tmp_path
):
    """Closing its side is no end of a request: a client may still read, and the service is still at work."""
    identity = issuer()
    gate = gateway(limited(held, identity, tmp_path, caller={"requests": 1}))
    ann = identity.bearer(sub="ann")
    with gate.connect() as wire:
        wire.send(head("GET", "/slow", ann))
        held.wait(1)
    assert full(gate, ann)
    held.let.set()
    free(gate, ann)


def test_a_client_that_resets_gives_its_place_back(gateway, held, issuer, tmp_path):
    identity = issuer()
    gate = gateway(limited(held, identity, tmp_path, caller={"requests": 1}))
    ann = identity.bearer(sub="ann")
    with gate.connect() as wire:
        wire.send(head("GET", "/slow", ann))
        held.wait(1)
        assert full(gate, ann)
        wire.reset()
    free(gate, ann)


def test_a_stream_that_is_reset_gives_its_place_back(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    with gate.connect() as wire:
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        peer.initiate_connection()
        fields = [
            (":method", "GET"), (":scheme", "http"), (":authority", "gateway.test"), (":path", "/slow"),
            ("authorization", ann["Authorization"]),
        ]  # fmt: skip
        peer.send_headers(1, fields, end_stream=True)
        wire.send(peer.data_to_send())
        held.wait(1)
        assert full(gate, ann)
        peer.reset_stream(1)
        wire.send(peer.data_to_send())
        free(gate, ann)


def test_a_service_that_fails_gives_the_place_back(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    held.service.behaviour = lambda stage: stage.reset()
    for _ in range(3):
        answer = gate.get("/quick", ann)
        assert answer.status in {502, 504}, answer
        eventually(lambda: gate.get("/quick", ann).status != 429)


def test_what_a_later_phase_refuses_gives_the_place_back(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    config["routes"]["closed"]["request_validation"] = {"content_types": "application/json"}
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    for _ in range(3):
        answer = eventually(
            lambda: (
                (one := gate.post("/quick", b"{", {**ann, "Content-Type": "application/json"})).status != 429
                and one
            )
        )
        assert answer.status == 400
    assert held.service.saw_nothing()


def test_a_timed_out_request_gives_its_place_back(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    config["routes"]["closed"]["timeouts"] = {"first_byte": "300ms"}
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    assert gate.get("/slow", ann).status == 504
    free(gate, ann)


def test_an_upgraded_connection_holds_its_place_until_it_closes(gateway, websocket, issuer, tmp_path):
    identity, service = issuer(), websocket()
    route = configs.route(
        methods="GET",
        websocket={},
        authenticate="id",
        access="authenticated",
        concurrency_limit={"caller": {"requests": 1}},
    )
    gate = gateway(
        {
            "identity_providers": {"id": identity.inline(tmp_path)},
            "services": {"origin": service.config()},
            "routes": {"socket": route},
        }
    )
    ann = identity.bearer(sub="ann")
    with dial(gate, headers=ann) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "hello"
        with pytest.raises(InvalidStatus) as refused, dial(gate, headers=ann):
            pass
        assert refused.value.response.status_code == 429
        assert b"concurrency_limited" in refused.value.response.body
        assert len(service.requests) == 1

    def again():
        with contextlib.suppress(InvalidStatus), dial(gate, headers=ann) as client:
            client.send("again")
            return client.recv(timeout=30) == "again"
        return False

    eventually(again, what="a place after the connection closed")


def test_tenants_share_fairly(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, all={"requests": 4, "key": "route", "fair": "tenant"})
    config["identity_providers"]["id"]["claims"] = {"tenant": "org"}
    config["routes"]["closed"]["tenant"] = {"none": "test"}
    gate = gateway(config)
    north, south = (identity.bearer(sub=name, org=name) for name in ("north", "south"))
    with ExitStack() as stack:
        wires = [begin(stack, gate, north) for _ in range(3)]
        held.wait(3)
        begin(stack, gate, south)
        held.wait(4)
        wires.pop().reset()
        assert eventually(lambda: gate.get("/quick", south).status == 200)
        assert full(gate, north), "two of four is its share while another tenant is here"


def test_the_limit_is_kept_over_a_reload(gateway, held, issuer, tmp_path):
    identity = issuer()
    config = limited(held, identity, tmp_path, caller={"requests": 1})
    gate = gateway(config)
    ann = identity.bearer(sub="ann")
    with ExitStack() as stack:
        begin(stack, gate, ann)
        held.wait(1)
        config["routes"]["more"] = configs.route("/more")
        gate.reload(config)
        assert full(gate, ann)
        held.let.set()
    free(gate, ann)
