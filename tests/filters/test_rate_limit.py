"""rate_limit: GCRA by verified caller or route; 429 says when to come back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.support import configs
from tests.support.gateway import compiled
from tests.support.waiting import eventually
from yett.policy.engine import Engine, Question


def limited(service, identity, directory, **limits):
    named = {name.replace("_", "-"): {"key": "principal", **limit} for name, limit in limits.items()}
    return configs.protected(service, identity, directory, rate_limit=named)


def test_answers_carry_the_policy_and_the_state(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(limited(service, identity, tmp_path, caller={"rate": "50/s", "burst": 100}))
    answer = gate.get("/closed", identity.bearer())
    assert answer.status == 200
    assert answer["ratelimit-policy"].startswith('"caller";q=50;w=1')
    assert re.fullmatch(r'"caller";r=\d+;t=\d+', answer["ratelimit"])
    assert "ratelimit" not in gate.get("/open/a")


def test_429_says_when_to_come_back_and_then_it_works(gateway, origin, issuer, tmp_path, workers):
    identity, service = issuer(), origin()
    gate = gateway(limited(service, identity, tmp_path, caller={"rate": "2/s", "burst": 2}), workers=workers)
    headers = identity.bearer()
    assert [gate.get("/closed", headers).status for _ in range(2)] == [200, 200]
    answer = eventually(lambda: (a := gate.get("/closed", headers)).status == 429 and a)
    assert answer.reason == "rate_limited"
    assert answer["retry-after"] == "1"
    assert re.fullmatch(r'"caller";r=0;t=\d+', answer["ratelimit"])
    line = gate.log_line(status=429)
    assert line["fault"] == "policy"
    assert "caller" in str(line)
    eventually(lambda: gate.get("/closed", headers).status == 200, within=5, what="the next place")


def test_callers_do_not_share(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 1}))
    for name in ("alice", "bob", "carol"):
        assert gate.get("/closed", identity.bearer(sub=name)).status == 200
        assert gate.get("/closed", identity.bearer(sub=name)).status == 429
    assert gate.get("/closed", identity.bearer(sub="alice", client_id="mobile")).status == 200, (
        "another client is another caller"
    )
    assert service.saw_no_more_than(4)


def test_the_same_subject_of_two_providers_is_two_callers(gateway, origin, issuer, tmp_path):
    one, two, service = issuer(), issuer("RSA"), origin()
    config = limited(service, one, tmp_path, caller={"rate": "1/h", "burst": 1})
    config["identity_providers"]["other"] = two.inline(tmp_path)
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "other"]}
    gate = gateway(config)
    assert gate.get("/closed", one.bearer()).status == gate.get("/closed", two.bearer()).status == 200
    assert gate.get("/closed", one.bearer()).status == gate.get("/closed", two.bearer()).status == 429


def test_a_route_limit_is_one_bucket(gateway, origin, workers):
    service = origin()
    gate = gateway(
        configs.public(service, rate_limit={"all": {"rate": "1/h", "burst": 5, "key": "route"}}),
        workers=workers,
    )
    assert [gate.get("/a").status for _ in range(7)] == [200] * 5 + [429] * 2
    assert service.saw_no_more_than(5)


def test_every_limit_has_to_allow(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(
        limited(
            service, identity, tmp_path, hour={"rate": "1/h", "burst": 3}, minute={"rate": "1/m", "burst": 2}
        )
    )
    headers = identity.bearer()
    answers = [gate.get("/closed", headers) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    policies = ", ".join(answers[0].all("ratelimit-policy"))
    assert '"hour"' in policies and '"minute"' in policies


def test_refusals_before_the_limit_cost_the_caller_nothing(gateway, origin, issuer, tmp_path):
    """A stranger cannot spend a caller's requests, nor a caller without the scope."""
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 1})
    del config["routes"]["closed"]["access"]
    config["routes"]["closed"]["authorize"] = {"scopes": "read"}
    gate = gateway(config)
    for _ in range(3):
        assert gate.get("/closed").status == 401
        assert gate.get("/closed", identity.bearer(scope="x")).status == 403
        assert gate.get("/closed", identity.bearer(scope="read", exp=1)).status == 401
    assert service.saw_nothing()
    assert gate.get("/closed", identity.bearer(scope="read")).status == 200


@pytest.mark.parametrize("key", ["principal", "route"])
def test_the_limit_is_the_same_after_many_reloads(gateway, origin, issuer, tmp_path, key):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 3, "key": key})
    gate = gateway(config)
    statuses = []
    for number in range(5):
        statuses.append(gate.get("/closed", identity.bearer()).status)
        config["routes"][f"r{number}"] = configs.route(f"/r{number}")
        gate.reload(config)
    assert statuses == [200] * 3 + [429] * 2


def test_a_raised_rate_lets_callers_in_after_its_own_burst(gateway, origin, issuer, tmp_path):
    """Whoever was out of requests for hours waits no longer than the new rate lets anybody wait."""
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, caller={"rate": "1/d", "burst": 3})
    gate = gateway(config)
    headers = identity.bearer()
    assert [gate.get("/closed", headers).status for _ in range(4)] == [200] * 3 + [429]
    config["routes"]["closed"]["rate_limit"]["caller"] |= {"rate": "10/s", "burst": 3}
    gate.reload(config)
    refused = gate.get("/closed", headers)
    assert refused.status == 429 and refused["ratelimit"].endswith("t=1")
    eventually(lambda: gate.get("/closed", headers).status == 200, what="a place at the new rate")


def test_a_full_table_shares_one_bucket_and_says_so(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 1})
    config["process"] = {"limit_keys": 1024}
    gate = gateway(config)
    with gate.connect() as wire:
        statuses = [
            wire.ask(target="/closed", headers=identity.bearer(sub=f"user-{n}")).status for n in range(2500)
        ]
        assert statuses.count(200) <= 1.5 * 1024 + 64, "new keys past the bound pass for free"
        assert statuses.count(200) >= 512
        assert wire.ask(target="/closed", headers=identity.bearer(sub="user-0")).status == 429, (
            "a live entry was thrown away"
        )
    assert any("overflow" in name and value > 0 for name, value in gate.metrics().items())


def left(answer):
    """Requests that are left, by limit."""
    return {name: int(count) for name, count in re.findall(r'"([^"]+)";r=(\d+)', answer["ratelimit"])}


WINDOWS = {"windows": {"short": {"rate": "1/m", "burst": 2}, "long": {"rate": "100/d", "burst": 50}}}


def test_every_window_has_to_have_room_and_a_refusal_is_charged_to_none(
    gateway, origin, issuer, tmp_path, workers
):
    identity, service = issuer(), origin()
    gate = gateway(limited(service, identity, tmp_path, caller=WINDOWS), workers=workers)
    headers = identity.bearer()
    answers = [gate.get("/closed", headers) for _ in range(12)]
    assert [answer.status for answer in answers] == [200] * 2 + [429] * 10
    policies = answers[0]["ratelimit-policy"]
    assert '"caller.short";q=1;w=60' in policies and '"caller.long";q=100;w=86400' in policies
    assert left(answers[1]) == {"caller.short": 0, "caller.long": 48}
    assert left(answers[-1]) == {"caller.short": 0, "caller.long": 48}
    assert answers[-1].json()["limit"] == "caller.short"
    assert service.saw_no_more_than(2)


def test_limits_of_a_group_are_not_charged_by_what_the_route_refuses(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, own={"rate": "1/h", "burst": 1})
    config["groups"] = {"g": {"rate_limit": {"shared": {"rate": "1/h", "burst": 10}}}}
    config["routes"]["closed"]["group"] = "g"
    config["routes"]["other"] = configs.route("/other", group="g", authenticate="id", access="authenticated")
    gate = gateway(config)
    headers = identity.bearer()
    assert [gate.get("/closed", headers).status for _ in range(6)] == [200] + [429] * 5
    assert left(gate.get("/other", headers)) == {"shared": 8}


def test_costs_by_method_and_by_route(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path)
    del config["routes"]["closed"]["rate_limit"]
    shared = {"rate": "1/h", "burst": 20, "cost": {"GET": 1, "POST": 5}}
    config["groups"] = {"g": {"rate_limit": {"shared": shared}}}
    config["routes"]["closed"]["group"] = "g"
    config["routes"]["report"] = configs.route(
        "/report", group="g", authenticate="id", access="authenticated", rate_limit={"shared": {"cost": 3}}
    )
    gate = gateway(config)
    headers = identity.bearer()
    assert left(gate.get("/closed", headers)) == {"shared": 19}
    assert left(gate.post("/closed", b"", headers)) == {"shared": 14}
    assert left(gate.get("/report", headers)) == {"shared": 11}, "the route says 3"
    assert left(gate.post("/report", b"", headers)) == {"shared": 6}, (
        "the group's 5 is more than the route's 3"
    )
    assert left(gate.post("/report", b"", headers)) == {"shared": 1}
    answer = gate.post("/closed", b"", headers)
    assert answer.status == 429 and left(answer) == {"shared": 1}
    assert int(answer["retry-after"]) > 3 * 3600
    assert gate.get("/closed", headers).status == 200, "what costs less still passes"
    assert service.saw_no_more_than(6)


def test_a_cost_in_cel_and_one_that_has_no_value(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    cost = {"cel": "principal.client == 'cheap' ? 1 : 7"}
    gate = gateway(limited(service, identity, tmp_path, sized={"rate": "1/h", "burst": 10, "cost": cost}))
    assert left(gate.get("/closed", identity.bearer(client_id="cheap"))) == {"sized": 9}
    assert left(gate.get("/closed", identity.bearer(client_id="dear"))) == {"sized": 3}
    answer = gate.get("/closed", identity.bearer())
    assert (answer.status, answer.reason) == (403, "limit_undecided")
    assert gate.log_line(status=403)["reason"] == "limit_undecided"
    assert service.saw_no_more_than(2)


@pytest.mark.parametrize("key", ["client", "session", "token", "tenant", "partner"])
def test_keys_of_the_caller(gateway, origin, issuer, tmp_path, key):
    identity, service = issuer(), origin()
    config = limited(service, identity, tmp_path, one={"rate": "1/h", "burst": 1, "key": key})
    config["identity_providers"]["id"]["claims"] = {"tenant": "org", "partner": "company"}
    config["routes"]["closed"]["tenant"] = {"none": "test"}
    gate = gateway(config)
    claim = {"client": "client_id", "session": "sid", "token": "jti", "tenant": "org", "partner": "company"}[
        key
    ]

    def status(subject, value):
        return gate.get(
            "/closed", identity.bearer(sub=subject, **{"jti": f"of-{subject}", claim: value})
        ).status

    assert [status("ann", "a"), status("bob", "a"), status("ann", "b")] == [200, 429, 200]
    if key != "token":
        assert [status("ann", None), status("bob", None), status("ann", None)] == [200, 200, 429]
    assert service.saw_no_more_than(2 if key == "token" else 4)


def test_a_header_or_an_expression_as_key(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    one = {"rate": "1/h", "burst": 1}
    gate = gateway(
        limited(
            service,
            identity,
            tmp_path,
            caller={"rate": "1/h", "burst": 5},
            device={**one, "key": {"header": "X-Device"}},
            item={**one, "key": {"cel": "principal.subject + request.path"}},
        )
    )
    headers = identity.bearer()
    assert gate.get("/closed/a", {**headers, "X-Device": "1"}).status == 200
    assert gate.get("/closed/b", {**headers, "X-Device": "1"}).json()["limit"] == "device"
    assert gate.get("/closed/a", {**headers, "X-Device": "2"}).json()["limit"] == "item"
    statuses = [gate.get(f"/closed/{n}", {**headers, "X-Device": f"x{n}"}).status for n in range(8)]
    assert statuses == [200] * 4 + [429] * 4, "whoever chooses keys is bound by the limit beside them"
    assert service.saw_no_more_than(5)


def test_an_alias_of_the_key_header_reaches_nobody(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    device = {"rate": "1/h", "burst": 9, "key": {"header": "X-Device"}}
    gate = gateway(limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 9}, device=device))
    assert gate.get("/closed", {**identity.bearer(), "X-Device": "1", "X_Device": "2"}).status in {200, 400}
    for seen in service.requests:
        assert [value for name, value in seen.headers if name.lower().replace("_", "-") == "x-device"] == [
            "1"
        ]


def test_classes_have_limits_of_their_own(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    classes = {
        "mobile": {"callers": {"clients": "app"}, "rate": "1/h", "burst": 3},
        "batch": {"when": "principal.claims.kind_of == 'batch'", "rate": "1/h", "burst": 5},
    }
    config = limited(service, identity, tmp_path, caller={"rate": "1/h", "burst": 1, "classes": classes})
    config["identity_providers"]["id"]["claims"] = {"kind_of": {"from": "kind_of", "type": "string"}}
    gate = gateway(config)

    def granted(**claims):
        headers = identity.bearer(**claims)
        return [gate.get("/closed", headers) for _ in range(6)]

    def count(answers):
        return [answer.status for answer in answers].count(200)

    assert count(granted(sub="a", client_id="app", kind_of="person")) == 3
    assert count(granted(sub="b", client_id="web", kind_of="batch")) == 5
    others = granted(sub="c", client_id="web", kind_of="person")
    assert count(others) == 1 and others[-1].json()["limit"] == "caller"
    unknown = granted(sub="d", client_id="web")
    assert count(unknown) == 1, "whether it is a batch job cannot be decided: both limits apply"
    assert set(left(unknown[0])) == {"caller", "caller.batch"}
    both = granted(sub="e", client_id="app", kind_of="batch")
    assert count(both) == 3 and set(left(both[0])) == {"caller.mobile", "caller.batch"}


def test_a_spike_at_the_full_hour_passes_and_the_same_at_half_past_does_not(
    gateway, origin, issuer, tmp_path
):
    identity = issuer()
    hourly = {"cron": "0 * * * *", "zone": "Asia/Kolkata", "for": "5m", "rate": "1/h", "burst": 40}
    config = limited(
        origin(), identity, tmp_path, caller={"rate": "1/h", "burst": 4, "schedule": {"hour": hourly}}
    )
    gate = gateway(config)
    document = compiled(gate.write(config))

    def outcome(minute, times):
        # Kolkata is half an hour beside UTC: its full hours are at :30.
        moment = int(datetime(2026, 11, 28, 12, minute, 10, tzinfo=UTC).timestamp() * 1000)
        caller = {"provider": "id", "claims": {"sub": "acme"}}
        decided = Engine(*document).decide(
            Question("GET", "http://gateway.test/closed", time_ms=moment, principals=(caller,), times=times)
        )
        return (
            decided["refusal"]["rule"] if decided["refusal"] else [one["name"] for one in decided["limits"]]
        )

    assert outcome(30, 40) == outcome(34, 40) == ["caller.hour"]
    assert outcome(30, 41) == "caller.hour"
    assert outcome(0, 4) == outcome(35, 4) == outcome(29, 4) == ["caller"]
    assert outcome(0, 5) == outcome(35, 5) == "caller"
