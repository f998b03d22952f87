"""`yett limits suggest`: limits that observed traffic asks for, and how much it takes to suggest any."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.support import configs
from tests.support.waiting import eventually
from yett import _core
from yett.cli.app import app
from yett.config import compile_file
from yett.policy.limits import observe
from yett.policy.limits.observe import Group, Observer
from yett.policy.limits.suggest import Wanted, limits, rows

START = datetime(2024, 11, 4, tzinfo=UTC)
NOW = datetime(2024, 12, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def line(at, route="orders", subject="ann", provider="id", kind="user", size=0, took_us=0, **more):
    """A line of the access log; `at` is in seconds since the start."""
    document = {
        "time": (START + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": "x", "listener": "main", "client": "192.0.2.1", "method": "GET", "host": "h", "path": "/orders",
        "route": route, "status": 200, "provider": provider, "subject": subject, "kind": kind,
        "bytes_in": size, "bytes_out": 2, "duration_us": took_us, **more,
    }  # fmt: skip
    return json.dumps({key: value for key, value in document.items() if value is not None})


@pytest.fixture
def log(tmp_path):
    def write(lines, name="access.jsonl"):
        path = tmp_path / name
        data = "".join(f"{one}\n" for one in lines).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def suggest(*words):
    return CliRunner().invoke(app, ["limits", "suggest", *map(str, words)])


def as_json(*words):
    done = suggest(*words, "--format", "json")
    return done.exit_code, json.loads(done.stdout)


def day(per_hour=50, hours=25, **more):
    """Requests that are spread over more than a day: one a minute in each hour, as many as are asked for."""
    return [line(hour * 3600 + minute * 60, **more) for hour in range(hours) for minute in range(per_hour)]


def test_what_callers_asked_for_and_room_beside_it(log):
    burst = [line(90_000 + tenth / 10, subject="bob", size=700) for tenth in range(30)]
    spread = [line(91_200 + second, subject="bob", size=100) for second in range(0, 60, 2)]
    code, found = as_json(log([*day(), *burst, *spread]))
    assert code == 0
    (row,) = found["observed"]
    assert (row["route"], row["provider"], row["kind"], row["requests"], row["callers"]) == (
        "orders",
        "id",
        "user",
        1310,
        2,
    )
    assert row["windows"]["1"]["max"] == 10
    assert row["windows"]["10"]["max"] == 30
    assert row["windows"]["60"] == {"p50": 1, "p99": 1, "max": 30}
    assert row["body"] == {"p50": 100, "p99": 700, "max": 700}
    assert found["routes"] == {
        "orders": {
            "rate_limit": {"per-caller": {"rate": "1/s", "burst": 60, "key": "principal"}},
            "limits": {"body": "2KiB"},
        }
    }
    assert found["hours"] == 26
    assert any("30 times as much" in remark for remark in row["remarks"])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (lambda: day(per_hour=30), "750 requests, and 1,000 are needed"),
        (lambda: [line(one) for one in range(2000)], "1 hours with requests, and 24 are needed"),
    ],
)
def test_too_little_to_go_by(log, lines, why):
    file = log(lines())
    code, found = as_json(file)
    assert code == 1
    assert found["routes"] == {}
    assert [row["too_little"] for row in found["observed"]] == [why]
    assert [row["suggested"] for row in found["observed"]] == [None]
    done = suggest(file)
    assert (done.exit_code, "too little: " + why in done.stdout) == (1, True)
    assert "nothing is suggested" in done.stderr
    assert "rate_limit" not in done.stdout


def test_a_class_with_too_little_does_not_count_for_its_route(log):
    few = [line(one, subject="batch", provider="keys", kind="service") for one in range(500)]
    code, found = as_json(log([*few, *day()]))
    assert code == 1
    assert [(row["provider"], bool(row["too_little"])) for row in found["observed"]] == [
        ("id", False),
        ("keys", True),
    ]
    assert found["routes"]["orders"]["rate_limit"]["per-caller"] == {
        "rate": "2/m",
        "burst": 2,
        "key": "principal",
    }


def test_classes_that_need_much_more_or_less_have_limits_of_their_own(log, tmp_path, issuer, origin):
    """The class with most callers has the limit, and what is near to it shares it; the snippet loads and means these callers."""
    people = [request for name in ("ann", "bob") for request in day(subject=name)]
    near = day(subject="cid", provider="staff")
    batch = [
        line(hour * 3600 + second, subject="batch", provider="keys", kind="service")
        for hour in range(25)
        for second in range(60)
    ]
    few = day(per_hour=50, subject="pump", provider="id", kind="device")
    file = log(sorted([*people, *near, *batch, *few]))
    code, found = as_json(file)
    assert code == 0
    limit = found["routes"]["orders"]["rate_limit"]["per-caller"]
    assert (limit["rate"], limit["burst"], limit["key"]) == ("2/m", 2, "principal")
    assert limit["classes"] == {
        "keys-service": {
            "when": "principal.provider == 'keys' && principal.kind == 'service'",
            "rate": "2/s",
            "burst": 20,
        }
    }
    identity = issuer()
    config = configs.protected(origin(), identity, tmp_path)
    config["identity_providers"]["keys"] = issuer("RSA").inline(tmp_path)
    config["routes"]["closed"] |= found["routes"]["orders"]
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "keys"]}
    written = tmp_path / "gateway.yaml"
    written.write_text(json.dumps({"version": 1, "listeners": configs.listener(), **config}))
    (classes,) = [
        route["limit_classes"]
        for route in json.loads(compile_file(written).ir)["routes"]
        if route.get("limit_classes")
    ]
    assert len(classes) == 1


@pytest.mark.parametrize("provider", ["it's", "a b", "a' || true || '", "x" * 41])
def test_a_name_that_no_configuration_has_makes_no_class(log, provider):
    loud = [
        line(hour * 3600 + second, subject="x", provider=provider)
        for hour in range(25)
        for second in range(60)
    ]
    people = [request for name in ("ann", "bob") for request in day(subject=name)]
    _, found = as_json(log(sorted([*loud, *people])))
    limit = found["routes"]["orders"]["rate_limit"]["per-caller"]
    assert "classes" not in limit and limit["rate"] == "2/s"


def test_what_does_not_count(log):
    lines = [
        *day(),
        line(90_000, reason="rate_limited", fault="client", rule="per-caller"),
        line(90_001, reason="scope_missing", fault="policy"),
        line(90_002, route=None),
        line(90_003, passthrough=True, method=None, route=None),
        line(90_004, route="gone"),
    ]
    file = log(lines)
    config = file.with_name("gateway.yaml")
    document = {
        "version": 1,
        "listeners": {"main": {"address": "127.0.0.1:0", "plaintext": "test"}},
        "identity_providers": {"id": {"type": "jwt", "issuer": "https://id.example", "audience": "x"}},
        "services": {"origin": {"endpoints": "https://127.0.0.1:1"}},
        "groups": {"all": {"authenticate": "id", "rate_limit": {"per-caller": {"rate": "50/s", "burst": 9, "key": "principal"}}}},
        "routes": {
            "orders": {
                "match": {"hosts": "any", "path": "/orders", "methods": "GET"},
                "group": "all", "access": "authenticated", "service": "origin",
            }
        },
    }  # fmt: skip
    config.write_text(json.dumps(document))
    code, found = as_json(file, "--config", config)
    assert code == 0
    (row,) = found["observed"]
    assert (row["requests"], row["limited"]) == (1250, 1)
    assert any("refused by a limit" in remark for remark in row["remarks"])
    assert (found["refused"], found["unrouted"], found["foreign"]) == (1, 2, {"gone": 1})
    shown = suggest(file, "--config", config).stdout
    assert "1 requests of `gone` do not count" in shown
    # what is suggested loads: the group has a limit of the usual name
    done = suggest(file, "--config", config, "--format", "yaml")
    assert done.exit_code == 0
    part = json.loads(_core.parse_yaml(done.stdout.encode()))["value"]
    document["routes"]["orders"].update(part["routes"]["orders"])
    config.write_text(json.dumps(document))
    names = [limit["name"] for limit in json.loads(compile_file(config).ir)["routes"][0]["rate_limits"]]
    assert sorted(names) == ["per-caller", "per-caller-here"]


DAMAGED = [
    "", "{", "null", "[]", '{"time": 1}', '{"time": "yesterday"}', "[" * 100_000, "\x00", '{"time": "2024-11-04T00:00:00Z"}',
    line(0, duration_us="long"), line(0, duration_us=-1), line(0, route=["a"]), line(0, route="r" * 100), line(0, route="\x1b[2J"), line(0, size="x"),
    line(0, provider=None, client="::x"), line(0, time="9999-12-31T23:59:59Z"), line(0, time="0001-01-01T00:00:00Z"),
    "x" * (3 << 20),
]  # fmt: skip


def test_damaged_lines_are_counted_and_shown(log):
    file = log([*DAMAGED, *day()])
    code, found = as_json(file)
    assert code == 0
    assert found["damaged"] == len(DAMAGED)
    assert found["damaged_at"] == [f"{file}:{number}" for number in range(1, 6)]
    assert [row["requests"] for row in found["observed"]] == [1250]
    assert f"{len(DAMAGED)} damaged lines do not count: {file}:1, {file}:2" in suggest(file).stdout
    assert f"{len(DAMAGED)} damaged lines do not count" in suggest(file, "--format", "yaml").stderr


def test_several_logs_in_any_order_compressed_or_not(log):
    lines = day()
    older, newer = log(lines[:600], "access.jsonl.1.gz"), log(lines[600:])
    one = as_json(log(lines, "whole.jsonl"))
    assert as_json(older, newer) == as_json(newer, older) == one
    done = CliRunner().invoke(
        app, ["limits", "suggest", "-", "--format", "json"], input="\n".join(lines) + "\n"
    )
    assert (done.exit_code, json.loads(done.stdout)) == one


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("none.jsonl", None, "no such file or directory"),
        ("cut.gz", gzip.compress(b"x" * 1000, mtime=0)[:20], "is no whole gzip file"),
    ],
)
def test_a_log_that_cannot_be_read(tmp_path, name, data, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = suggest(tmp_path / name)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_public_route_is_limited_by_address(log):
    asked = [
        line(
            hour * 3600,
            route="open",
            provider=None,
            subject=None,
            kind=None,
            client=f"2001:db8:0:{net}::{host}",
        )
        for hour in range(25)
        for net in range(10)
        for host in range(5)
    ]
    code, found = as_json(log(asked))
    assert code == 0
    (row,) = found["observed"]
    assert (row["callers"], row["provider"], row["windows"]["1"]["max"]) == (10, "anyone", 5)
    assert found["routes"] == {"open": {"address_limit": {"per-address": {"rate": "10/m", "burst": 10}}}}


def read(lines, tmp_path, max_open=observe.MAX_OPEN):
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        file.writelines(f"{one}\n" for one in lines)
    return Observer(None, NOW, max_open).read([path])


def test_requests_count_from_when_they_began(tmp_path):
    """A request of 30 s that ends with others did not begin with them; one of hours began long ago."""
    ends = [line(100, took_us=took) for took in (0, 30_000_000, 40_000_000, 3_600_000_000)]
    windows = read(ends, tmp_path).groups[Group("orders", "id", "user")].windows
    assert (windows[1].most, windows[10].most, windows[60].most) == (1, 1, 3)


class Watched(Observer):
    """Notes how many counters are held."""

    def _count(self, *what):
        super()._count(*what)
        held = sum(len(counts) for windows in self._windows for counts in windows.open.values())
        self.most = max(getattr(self, "most", 0), held)


@pytest.mark.parametrize(("every", "beyond"), [(0.0001, True), (0.1, True), (10, False)])
def test_memory_is_bounded(tmp_path, every, beyond):
    """Callers without an end, a caller each request, in one second and over many."""
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        file.writelines(f"{line(number * every, subject=f'caller {number}')}\n" for number in range(3_000))
    observer = Watched(None, NOW, max_open=300)
    traffic = observer.read([path])
    assert observer.most <= 300
    assert (observer.most > 250) == beyond
    assert observer._entries == 0
    (observed,) = traffic.groups.values()
    assert (observed.requests, len(observed.callers)) == (3_000, 3_000)
    assert observed.windows[1].most == 1
    assert (traffic.uncounted > 0) == beyond


def test_callers_that_are_told_apart_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(observe, "MAX_CALLERS", 10)
    monkeypatch.setattr(observe, "MAX_TOLD", 15)
    lines = [line(one, route=f"route-{one % 3}", subject=f"caller {one}") for one in range(90)]
    assert sorted(len(one.callers) for one in read(lines, tmp_path).groups.values()) == [5, 5, 5]


def test_groups_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(observe, "MAX_GROUPS", 5)
    traffic = read([line(one, route=f"route-{one}") for one in range(20)], tmp_path)
    assert (len(traffic.groups), traffic.uncounted) == (5, 15)


def refused(times, rate, burst):
    """How many of these a bucket refuses (GCRA, as the gateway counts)."""
    count, _, period = rate.partition("/")
    step = {"s": 1.0, "m": 60.0}[period] / int(count)
    free, lost = -1e18, 0
    for now in times:
        if max(free, now) - now > (burst - 1) * step + 1e-6:
            lost += 1
        else:
            free = max(free, now) + step
    return lost


BURSTS = st.lists(
    st.tuples(st.floats(0, 600, allow_nan=False), st.integers(1, 60), st.floats(0.001, 60, allow_nan=False)),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(BURSTS)
def test_what_was_seen_passes_what_is_suggested(tmp_path_factory, bursts):
    """Whatever callers did: with the usual room, none of it would have been refused."""
    times = sorted(
        round(begin + spread * number / count, 3)
        for begin, count, spread in bursts
        for number in range(count)
    )
    traffic = read([line(at, took_us=0) for at in times], tmp_path_factory.mktemp("log"))
    (limit,) = limits(rows(traffic, Wanted(1, 1)), Wanted(1, 1))
    assert refused(times, limit.rate, limit.burst) == 0


def test_the_log_of_a_real_gateway(gateway, origin):
    """The lines that it writes are those that are read."""
    gate = gateway(configs.public(origin()))
    for _ in range(5):
        assert gate.post("/orders", b"x" * 100).status == 200
    path = Path(gate.directory) / "access.jsonl"
    eventually(lambda: path.read_text().count("\n") == 5)
    code, found = as_json(path, "--min-requests", "5", "--min-hours", "1")
    assert code == 0, found
    assert found["damaged"] == 0
    assert [(row["route"], row["requests"], row["body"]["max"]) for row in found["observed"]] == [
        ("open", 5, 100)
    ]
    assert found["routes"]["open"]["limits"] == {"body": "1KiB"}


def test_the_section_on_choosing_limits_is_true(tmp_path, monkeypatch):
    """The log of docs/concepts/limits.md, and what the page shows of it."""
    page = (ROOT / "docs" / "concepts" / "limits.md").read_text()
    section = page[page.index("## How to choose limits from observed traffic") :]
    command, shown = re.search(
        r"```console\n\$ yett (limits suggest [^\n]*)\n(.*?)```", section, re.DOTALL
    ).groups()
    chance = random.Random(17)
    lines = []
    for hour in range(48):
        for _ in range(40):
            at = hour * 3600 + chance.uniform(0, 3590)
            shopper = f"shopper-{chance.randrange(200)}"
            lines += [
                (at + step * chance.uniform(0.2, 3), "list-orders", shopper, "customers", "user", 0)
                for step in range(chance.randrange(1, 9))
            ]
            lines.append((at + 9, "create-order", shopper, "customers", "user", chance.randrange(60, 900)))
        for number in range(120):
            lines.append((hour * 3600 + number * 0.5, "list-orders", "nightly", "partners", "service", 0))
    lines += [(7200.0 + number, "read-order", "ann", "customers", "user", 0) for number in range(37)]
    monkeypatch.chdir(tmp_path)
    with Path("access.jsonl").open("w") as file:
        for at, route, subject, provider, kind, size in sorted(lines):
            file.write(line(round(at, 3), route, subject, provider, kind, size) + "\n")
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 1
    if os.environ.get("YETT_UPDATE") == "1":
        (ROOT / "docs" / "concepts" / "limits.md").write_text(
            page.replace(f"{command}\n{shown}```", f"{command}\n{done.stdout}```")
        )
        shown = done.stdout
    assert done.stdout == shown
    part = json.loads(_core.parse_yaml(shown[shown.index("routes:\n") :].encode()))["value"]
    assert set(part["routes"]) == {"list-orders", "create-order"}
