"""mirror: copies of a share of the requests, whose answers are dropped."""

from __future__ import annotations

import threading

import pytest

from tests.support import configs
from tests.support.waiting import eventually

MIRRORED, DROPPED = "yett_mirrored_total", "yett_mirror_dropped_total"


def mirrored(one, two, share="100%", shadow=None, **route):
    config = configs.public(one, mirror={"service": "shadow", "share": share}, **route)
    config["services"]["shadow"] = configs.service(two, **(shadow or {}))
    return config


@pytest.fixture
def pair(origin):
    one, two = origin(), origin(name="shadow")
    one.answers(body=b"real")
    return one, two


def counted(gate, name, count):
    eventually(lambda: gate.metric(name) == count, what=f"{name} is {count}")


def test_the_shadow_sees_each_request_once(gateway, pair):
    one, two = pair
    gate = gateway(
        mirrored(one, two, request_headers={"set": {"x-team": "shop"}}, rewrite={"path": "/v2/{rest...}"})
    )
    with gate.connect() as wire:
        for number in range(20):
            reply = wire.ask(target=f"/a?n={number}", headers=[("x-own", "1")])
            assert (reply.status, reply.body) == (200, b"real")
    two.wait_for(20)
    counted(gate, MIRRORED, 20)
    assert one.saw_no_more_than(20) and two.saw_no_more_than(20)
    assert sorted(seen.target for seen in two.requests) == sorted(f"/v2/a?n={n}" for n in range(20))
    by_id = {seen["x-request-id"]: seen for seen in one.requests}
    for copy in two.requests:
        real = by_id[copy["x-request-id"]]
        assert (copy.method, copy.target) == (real.method, real.target)
        assert [h for h in copy.headers if h[0] != "host"] == [h for h in real.headers if h[0] != "host"]
        assert copy["x-team"] == "shop" and copy["x-own"] == "1"
        assert copy["host"] == two.endpoint
    assert two.connections < 20, "connections are used again"
    assert gate.metric(DROPPED) == 0
    lines = gate.wait_log(20)
    assert len(lines) == 20 and {line["service"] for line in lines} == {"origin"}


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
def test_other_methods_without_a_body(gateway, pair, method):
    one, two = pair
    gate = gateway(mirrored(one, two))
    assert gate.request(method, "/a").status == 200
    two.wait_for()
    counted(gate, MIRRORED, 1)
    assert two.only.method == method


def test_what_the_shadow_answers_changes_nothing(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two))
    two.answers(500, b"no", [("set-cookie", "shadow=1")])
    reply = gate.get("/a")
    assert (reply.status, reply.body) == (200, b"real") and "set-cookie" not in reply
    two.wait_for(1)
    counted(gate, MIRRORED, 1)
    two.sends(b"nonsense\r\n\r\n", close=True)
    assert gate.get("/a").body == b"real"
    counted(gate, DROPPED, 1)
    two.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", close=True)
    assert gate.get("/a").body == b"real"
    counted(gate, MIRRORED, 2)
    two.stop_listening()
    two.drop_connections()
    assert gate.get("/a").body == b"real"
    counted(gate, DROPPED, 2)
    one.saw_no_more_than(4)


def test_an_endless_answer_is_cut(gateway, pair):
    one, two = pair
    ended = threading.Event()

    def endless(stage):
        try:
            stage.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                stage.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        finally:
            ended.set()

    two.behaviour = endless
    gate = gateway(mirrored(one, two))
    assert gate.get("/a").body == b"real"
    assert ended.wait(10), "the answer was read for ever"
    counted(gate, MIRRORED, 1)


def test_a_silent_shadow_takes_bounded_room_and_the_routes_time(gateway, pair):
    one, two = pair
    release = threading.Event()

    def wait(stage):
        release.wait(20)
        stage.close()

    two.behaviour = wait
    gate = gateway(mirrored(one, two))
    with gate.connect() as wire:
        for _ in range(80):
            assert wire.ask(target="/a").body == b"real"
    two.wait_for(64)
    counted(gate, DROPPED, 16)
    assert gate.metric(MIRRORED) == 0
    assert two.saw_no_more_than(64)
    release.set()
    counted(gate, DROPPED, 80)
    two.answers()
    assert gate.get("/a").body == b"real"
    counted(gate, MIRRORED, 1)


def test_a_copy_ends_with_the_routes_time(gateway, pair):
    one, two = pair
    two.behaviour = lambda stage: threading.Event().wait(0) or stage.more()
    gate = gateway(mirrored(one, two, timeouts={"first_byte": "100ms"}))
    assert gate.get("/a").body == b"real"
    counted(gate, DROPPED, 1)
    eventually(lambda: two.open_connections == 0, what="its connection is closed")


def test_a_share(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two, "30%"))
    with gate.connect() as wire:
        for _ in range(300):
            assert wire.ask(target="/a").status == 200
    eventually(lambda: gate.metric(MIRRORED) + gate.metric(DROPPED) == len(two.requests) > 0)
    assert 45 <= len(two.requests) <= 140
    one.saw_no_more_than(300)


def test_a_tiny_share(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two, "0.01%"))
    with gate.connect() as wire:
        for _ in range(200):
            assert wire.ask(target="/a").status == 200
    assert len(two.requests) <= 4


def test_a_request_with_a_body_is_counted_and_not_mirrored(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two))
    assert gate.post("/a", b"data").body == b"real"
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\ndata\r\n0\r\n\r\n"
    replies, _ = gate.send(head)
    assert [reply.status for reply in replies] == [200]
    counted(gate, DROPPED, 2)
    assert [seen.body for seen in one.requests] == [b"data", b"data"]
    assert two.saw_nothing()


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("shadow", [False, True])
def test_each_service_says_itself_whether_it_sees_the_credential(gateway, pair, issuer, real, shadow):
    one, two = pair
    keys = issuer()
    config = configs.protected(one, keys, mirror={"service": "shadow"})
    config["services"]["origin"]["forward_credential"] = real
    config["services"]["shadow"] = configs.service(two, forward_credential=shadow)
    gate = gateway(config)
    bearer = f"Bearer {keys.token()}"
    assert gate.get("/a", [("authorization", bearer)]).status == 200
    two.wait_for()
    counted(gate, MIRRORED, 1)
    assert one.only.all("authorization") == ([bearer] if real else [])
    assert two.only.all("authorization") == ([bearer] if shadow else [])


def test_refusals_and_answers_of_the_gateway_are_not_mirrored(gateway, pair, issuer):
    one, two = pair
    keys = issuer()
    config = configs.protected(one, keys, mirror={"service": "shadow"})
    config["services"]["shadow"] = configs.service(two)
    gate = gateway(config)
    assert gate.get("/a").status == 401
    assert gate.get("/a", [("authorization", "Bearer nonsense")]).status == 401
    assert gate.metric(MIRRORED) == gate.metric(DROPPED) == 0
    assert one.saw_nothing() and two.saw_nothing()


def test_the_host_is_that_of_the_shadow(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two, shadow={"host": "shadow.example"}))
    assert gate.get("/a").status == 200
    assert two.wait_for()[0]["host"] == "shadow.example"
    assert one.only["host"] == one.endpoint


def test_the_own_listener_is_no_mirror(gateway, pair):
    one, two = pair
    gate = gateway(mirrored(one, two))
    config = mirrored(one, two)
    config["services"]["shadow"] = {"endpoints": f"http://localhost:{gate.port}", "plaintext": "test"}
    gate.reload(config)
    assert gate.get("/a").body == b"real"
    counted(gate, DROPPED, 1)
    one.saw_no_more_than(1)


def test_clients_of_a_reload_keep_their_answers(gateway, pair, origin):
    one, two = pair
    three = origin(name="next")
    gate = gateway(mirrored(one, two))
    with gate.connect() as wire:
        assert wire.ask(target="/a").body == b"real"
        two.wait_for()
        gate.reload(mirrored(one, three))
        assert wire.ask(target="/b").body == b"real"
        three.wait_for()
    two.saw_no_more_than(1)
