"""quota: so much in each period of the calendar; what was used survives reload, restart, kill -9 and takeover."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.support import configs
from tests.support.gateway import compiled
from tests.support.quotas import zone
from tests.support.waiting import eventually
from yett.policy.engine import Engine, Question


def month(amount, **changes):
    """A quota whose period does not end while a test runs."""
    return {"amount": amount, "period": "month", "zone": zone(), **changes}


def with_quota(service, identity, directory, quota, **changes):
    config = configs.protected(service, identity, directory, quota=quota, **changes)
    return {**config, "state": {"directory": str(directory / "state")}}


def used(gate, **wanted):
    """Use by quota and key."""
    answer = json.loads(gate.core.quotas(json.dumps({"by": "test", "show": wanted}).encode()))
    return {(one["quota"], one["key"]): one["used"] for one in answer["rows"]}


def test_exactly_the_amount_passes_and_429_says_when_the_period_ends(
    gateway, origin, issuer, tmp_path, workers
):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(3)})
    gate = gateway(config, workers=workers)
    answers = [gate.get("/closed", identity.bearer()) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    assert re.fullmatch(r'"mine";q=3;w=\d+', answers[0]["ratelimit-policy"])
    assert [re.match(r'"mine";r=(\d+);t=\d+$', answer["ratelimit"])[1] for answer in answers] == list("21000")
    refused = answers[-1]
    assert refused["content-type"] == "application/problem+json"
    document = json.loads(refused.body)
    assert (document["reason"], document["limit"]) == ("quota_exceeded", "mine")
    # the next month begins somewhere
    assert 0 < int(refused["retry-after"]) <= 31 * 86_400
    assert abs(int(refused["retry-after"]) - int(refused["ratelimit"].rpartition("=")[2])) <= 1
    line = gate.log_line(
        matching=lambda one: (
            one.get("reason") == "quota_exceeded" and one["request_id"] == refused["x-request-id"]
        )
    )
    assert "mine" in str(line)
    assert gate.get("/closed", identity.bearer(sub="bob")).status == 200
    assert gate.get("/open/a").status == 200
    assert service.saw_no_more_than(5)


def test_rates_and_quotas_stand_on_one_answer_and_neither_pays_for_the_other(
    gateway, origin, issuer, tmp_path
):
    identity, service = issuer(), origin()
    rate = {"slow": {"rate": "1/h", "burst": 2}}
    gate = gateway(with_quota(service, identity, tmp_path, {"mine": month(9)}, rate_limit=rate))
    answers = [gate.get("/closed", identity.bearer()) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert re.fullmatch(r'"slow";r=0;t=\d+, "mine";r=7;t=\d+', answers[1]["ratelimit"])
    assert re.fullmatch(r'"slow";q=1;w=3600, "mine";q=9;w=\d+', answers[1]["ratelimit-policy"])
    assert answers[3].reason == "rate_limited"
    assert list(used(gate).values()) == [2], "what the rate refused was not counted"
    gate.reload(with_quota(service, identity, tmp_path, {"mine": month(2)}, rate_limit={"new": rate["slow"]}))
    assert gate.get("/closed", identity.bearer()).reason == "quota_exceeded"
    gate.reload(with_quota(service, identity, tmp_path, {"mine": month(9)}, rate_limit={"new": rate["slow"]}))
    assert [gate.get("/closed", identity.bearer()).status for _ in range(3)] == [200, 200, 429], (
        "what the quota refused cost no rate"
    )


def test_a_changed_amount_counts_at_once_and_use_is_kept(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(with_quota(service, identity, tmp_path, {"mine": month(5)}))
    assert [gate.get("/closed", identity.bearer()).status for _ in range(3)] == [200] * 3
    gate.reload(with_quota(service, identity, tmp_path, {"mine": month(2)}))
    assert gate.get("/closed", identity.bearer()).reason == "quota_exceeded"
    gate.reload(with_quota(service, identity, tmp_path, {"mine": month(4)}))
    assert [gate.get("/closed", identity.bearer()).status for _ in range(2)] == [200, 429]
    gate.reload(with_quota(service, identity, tmp_path, {"other": month(1)}))
    assert [gate.get("/closed", identity.bearer()).status for _ in range(2)] == [200, 429], "another name"


def test_partners_share_theirs_and_classes_have_their_own(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    quota = month(
        3, key="partner", cost={"GET": 1, "POST": 2}, classes={"batch": {"scopes": "batch", "amount": 2}}
    )
    config = with_quota(service, identity, tmp_path, {"per-partner": quota})
    config["identity_providers"]["id"]["claims"] = {"partner": "org"}
    gate = gateway(config)

    def ask(method="GET", **claims):
        return gate.request(method, "/closed", identity.bearer(**claims)).status

    assert [ask("POST", sub="a", org="acme"), ask(sub="b", org="acme"), ask(sub="c", org="acme")] == [
        200,
        200,
        429,
    ]
    assert ask(sub="a", org="globex") == 200
    assert [ask("POST", sub="a", org="acme", scope="batch"), ask(sub="b", org="acme", scope="batch")] == [
        200,
        429,
    ]
    assert used(gate) == {
        ("per-partner", "acme"): 3, ("per-partner", "globex"): 1, ("per-partner.batch", "acme"): 2,
    }  # fmt: skip
    assert used(gate, key="acme", above=90) == {("per-partner", "acme"): 3, ("per-partner.batch", "acme"): 2}


def test_thresholds_are_logged_and_counted_once(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(with_quota(service, identity, tmp_path, {"mine": month(10, warn=["50%", "90%"])}))
    for _ in range(12):
        gate.get("/closed", identity.bearer(sub="ann"))
    seen: list[dict[str, str]] = []

    def told():
        seen.extend(json.loads(line) for line in gate.events() if "quota_threshold" in line)
        return len(seen) >= 2

    eventually(told, what="two thresholds")
    assert [(one["quota"], one["threshold_percent"], one["used"], one["level"]) for one in seen] == [
        ("mine", "50", "5", "warning"), ("mine", "90", "9", "warning"),
    ]  # fmt: skip
    assert "ann" in seen[0]["key"]
    assert gate.metric("yett_quota_thresholds_total", quota="mine") == 2
    assert gate.metric("yett_quota_keys") == 1


def test_parallel_requests_get_exactly_the_amount(gateway, origin, issuer, tmp_path, workers):
    from concurrent.futures import ThreadPoolExecutor

    identity, service = issuer(), origin()
    gate = gateway(with_quota(service, identity, tmp_path, {"mine": month(25)}), workers=workers)
    bearer = identity.bearer()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: gate.get("/closed", bearer).status, range(60)))
    assert sorted(statuses) == [200] * 25 + [429] * 35
    assert service.saw_no_more_than(25)


def test_what_was_used_survives_a_restart(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(3)})
    first = gateway(config)
    assert [first.get("/closed", identity.bearer()).status for _ in range(2)] == [200, 200]
    first.stop()
    second = gateway(config)
    assert [second.get("/closed", identity.bearer()).status for _ in range(2)] == [200, 429]
    assert (tmp_path / "state" / "quotas.db").stat().st_mode & 0o777 == 0o600


# locks belong to a process, so that it takes another one to be in the way
HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_disk_that_takes_nothing_refuses_after_a_while_or_counts_on(gateway, origin, issuer, tmp_path):
    """Another process holds the file for writing, and does not let go."""
    identity, service = issuer(), origin()
    quotas = {"mine": month(1_000_000)}
    config = with_quota(service, identity, tmp_path, quotas)
    config["routes"]["lenient"] = configs.route(
        "/lenient",
        authenticate="id",
        access="authenticated",
        quota={"there": month(1_000_000, state_loss="local")},
    )
    gate = gateway(config)
    assert gate.get("/closed", identity.bearer()).status == 200
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state" / "quotas.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    try:
        refused = eventually(
            lambda: (answer := gate.get("/closed", identity.bearer())).status == 503 and answer, within=60
        )
        assert refused.reason == "quota_unavailable"
        seen = len(service.requests)
        assert gate.get("/closed", identity.bearer()).status == 503
        assert len(service.requests) == seen, "the origin saw nothing"
        assert gate.get("/lenient", identity.bearer()).status == 200
        assert gate.metric("yett_quota_unwritten_seconds") > 10
        assert any("quotas_not_written" in line for line in gate.events())
    finally:
        holder.communicate("", timeout=20)
    eventually(lambda: gate.get("/closed", identity.bearer()).status == 200, within=60, what="written again")


def decided(file: Path, moment: datetime, caller: dict[str, object], times: int):
    return Engine(*compiled(file)).decide(
        Question(
            "GET",
            "http://gateway.test/closed",
            time_ms=int(moment.timestamp() * 1000),
            principals=(caller,),
            times=times,
        )
    )


def test_days_and_months_end_where_the_zone_says(gateway, origin, issuer, tmp_path):
    """With a clock that is given: daylight saving time, the last of February, New Year."""
    identity, service = issuer(), origin()
    quota = {
        "daily": {"amount": 2, "period": "day", "zone": "Europe/Berlin"},
        "monthly": {"amount": 9, "period": "month", "zone": "America/New_York"},
    }
    file = gateway(with_quota(service, identity, tmp_path, quota)).write(
        with_quota(service, identity, tmp_path, quota)
    )
    caller = {"provider": "id", "claims": {"sub": "ann"}}

    def resets(text: str) -> list[int]:
        found = decided(file, datetime.fromisoformat(text), caller, 1)
        return [one["reset_s"] for one in found["limits"]]

    assert resets("2026-03-28T23:00:00+00:00")[0] == 23 * 3600, "the day on which summer time begins"
    assert resets("2026-10-24T22:00:00+00:00")[0] == 25 * 3600, "the day on which it ends"
    assert resets("2028-03-01T04:59:59+00:00")[1] == 1, "29 February, 23:59:59 in New York"
    assert resets("2026-12-31T23:30:00+00:00") == [23 * 3600 + 1800, 5 * 3600 + 1800]
    refused = decided(file, datetime(2026, 3, 28, 23, 0, tzinfo=UTC), caller, 3)["refusal"]
    assert (refused["reason"], refused["rule"]) == ("quota_exceeded", "daily")


def test_each_question_of_a_tool_is_asked_as_the_first(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = with_quota(service, identity, tmp_path, {"mine": month(1)})
    file = gateway(config).write(config)
    caller = {"provider": "id", "claims": {"sub": "ann"}}
    question = Question("GET", "http://gateway.test/closed", principals=(caller,))
    engine = Engine(*compiled(file))
    assert [one["refusal"] for one in engine.decide_many([engine.asked(question)] * 3)] == [None] * 3
