"""login_guard: what a login service answers decides who may go on trying; people get in, whoever tries beside them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway, compiled
from tests.support.geo import database
from tests.support.http2_peer import Http2Client, Http2Service, reply
from tests.support.login_service import FORM, login, people, service
from tests.support.origin import Origin
from tests.support.waiting import eventually
from tests.support.wire import Wire
from yett.policy.engine import Engine, Question

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]
OFFICE, ELSEWHERE = "127.0.0.40", "127.0.0.90"


def guarded(service: Origin, **changes: Any) -> configs.Config:
    guard = {"account": {"form": "user"}, "slow": "0s", **changes}
    return configs.public(service, template="/login", login_guard=guard)


def bans(gate: Gateway) -> list[dict[str, Any]]:
    rows = json.loads(gate.core.bans(json.dumps({"by": "test", "show": {}}).encode()))["rows"]
    return list(rows)


def lift(gate: Gateway, address: str) -> dict[str, Any]:
    request = {"by": "test", "lift": {"address": address}}
    return dict(json.loads(gate.core.bans(json.dumps(request).encode())))


@pytest.mark.parametrize("workers", [1, 4])
def test_stuffing_is_limited_then_banned_while_people_log_in(
    gateway: Gateways, origin: Origins, workers: int
) -> None:
    known = people(6)
    asked = service(origin, known)
    gate = gateway(guarded(asked), workers=workers)
    for user in list(known)[:3]:
        assert login(gate, user, known[user], OFFICE).status == 200
    replies = [login(gate, f"leaked-{number}", f"pw-{number}", OFFICE, agent="bot") for number in range(40)]
    codes = [reply.reason or str(reply.status) for reply in replies]
    first = {code: codes.index(code) for code in ("401", "login_limited", "login_banned")}
    assert first["401"] < first["login_limited"] < first["login_banned"], codes
    assert codes[-1] == "login_banned"
    asked.saw_no_more_than(3 + codes.count("401"))
    assert 10 <= codes.count("401") <= 16, "three who got in hide a few"
    limited, banned = replies[first["login_limited"]], replies[-1]
    assert (limited.status, banned.status) == (429, 429)
    assert 1 <= int(limited["retry-after"]) <= 600 and 800 <= int(banned["retry-after"]) <= 900
    assert "reset it" in limited.json()["detail"] and "come back in 15 minutes" in banned.json()["detail"]
    assert not {"limit", "accounts", "score"} & set(limited.json()), "which part refused it is for the log"
    for user in list(known)[:3]:
        assert login(gate, user, known[user], OFFICE).status == 200, "who has got in from there still does"
    assert login(gate, "person-5", known["person-5"], OFFICE).reason == "login_banned", "nobody new does"
    assert login(gate, "person-5", known["person-5"], ELSEWHERE).status == 200


def test_a_ban_is_shown_explained_and_lifted(gateway: Gateways, origin: Origins) -> None:
    known = people(1)
    gate = gateway(guarded(service(origin, known), ban="1h"))
    for number in range(30):
        login(gate, f"leaked-{number}", "x", OFFICE)
    (ban,) = bans(gate)
    assert (ban["address"], ban["route"], ban["ends_s"] - ban["began_s"]) == (OFFICE, "open", 3600)
    assert ban["why"].startswith("accounts 10") and ban["refused"] > 5
    line = gate.log_line(
        matching=lambda one: one.get("reason") == "login_banned" and "accounts" in one.get("login", {})
    )
    assert line["login"]["answer"] == "banned" and line["login"]["score"] >= 100
    tried = gate.log_line(matching=lambda one: one.get("login", {}).get("score") == 0)
    assert (tried["status"], tried["login"]["outcome"]) == (401, "failed")
    assert len(tried["login"]["account_hash"]) == 16
    assert b"leaked-1" not in gate.log_text()
    assert gate.metric("yett_login_bans") == 1
    assert gate.metric("yett_login_attempts_total", route="open", outcome="failed") in (10, 11)
    assert gate.metric("yett_login_attempts_total", route="open", outcome="banned") > 5
    assert gate.metric("yett_login_attempts_total", route="open", outcome="passed") == 0
    told = [one for one in gate.events() if "login_banned" in one]
    assert len(told) == 1 and OFFICE in told[0] and "accounts" in told[0]
    assert lift(gate, ELSEWHERE)["problem"] == f"`{ELSEWHERE}` is not banned; `yett bans show` shows who is"
    assert lift(gate, OFFICE)["lifted"] is True
    assert bans(gate) == []
    assert login(gate, "person-0", known["person-0"], OFFICE).status == 200
    assert any("login_ban_lifted" in one for one in gate.events())


def test_many_at_once_are_no_way_around(gateway: Gateways, origin: Origins) -> None:
    asked = service(origin, {})
    gate = gateway(guarded(asked), workers=4)
    with ThreadPoolExecutor(24) as pool:
        replies = list(pool.map(lambda number: login(gate, f"leaked-{number}", "x", OFFICE), range(60)))
    assert {reply.status for reply in replies} == {401, 429}
    assert 10 <= len(asked.requests) <= 11


def test_a_suspicious_attempt_waits_and_gets_in(gateway: Gateways, origin: Origins) -> None:
    known = people(1)
    asked = service(origin, known)
    gate = gateway(guarded(asked, slow="1s", thresholds={"accounts": 8}), workers=1)
    for number in range(4):
        login(gate, f"mistaken-{number}", "x", OFFICE)
    assert gate.metric("yett_login_attempts_total", route="open", outcome="slowed") == 0
    with ThreadPoolExecutor(1) as pool:
        slowed = pool.submit(login, gate, "person-0", known["person-0"], OFFICE)
        eventually(lambda: gate.metric("yett_login_waiting") == 1, what="it waits")
        assert login(gate, "person-0", known["person-0"], ELSEWHERE).status == 200, "and holds up nobody else"
        assert slowed.result(40).status == 200
    assert gate.metric("yett_login_waiting") == 0
    line = gate.log_line(matching=lambda one: one.get("login", {}).get("answer") == "slowed")
    assert line["duration_us"] >= 1_000_000 and line["login"]["outcome"] == "passed"
    login(gate, "mistaken-4", "x", OFFICE)
    with Wire(gate.address(), source=(OFFICE, 0)) as wire:
        body = b"user=someone&password=x"
        head = f"POST /login HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.send(head.encode() + body)
        eventually(lambda: gate.metric("yett_login_waiting") == 1, what="it waits")
    eventually(lambda: gate.metric("yett_login_waiting") == 0, what="who leaves gives the place back")


def test_a_redirect_and_a_page_may_say_no(gateway: Gateways, origin: Origins) -> None:
    asked = origin()
    asked.answers(302, b"", [("Location", "/login?again")])
    config = guarded(
        asked, failed={"header": {"name": "location", "prefix": "/login?"}}, thresholds={"guesses": 3}
    )
    gate = gateway(config)
    codes = [login(gate, "ann", f"guess-{number}", OFFICE).status for number in range(6)]
    assert codes == [302, 302, 302, 429, 429, 429]
    asked.answers(302, b"", [("Location", "/home")])
    assert [login(gate, "bob", "own", ELSEWHERE).status for _ in range(6)] == [302] * 6
    asked.answers(200, b"wrong password")
    gate.reload(guarded(asked, failed={"status": 200}, thresholds={"guesses": 3}))
    assert login(gate, "ann", "guess", OFFICE).status == 429, "counts outlive a reload"
    assert [login(gate, "cyd", "guess", ELSEWHERE).status for _ in range(6)] == [200] * 3 + [429] * 3


def test_a_service_that_fails_is_no_attempt(gateway: Gateways, origin: Origins) -> None:
    asked = origin()
    asked.answers(500, b"")
    gate = gateway(guarded(asked, thresholds={"guesses": 3, "failures": 3, "accounts": 3}))
    assert [login(gate, "ann", "own", OFFICE).status for _ in range(8)] == [500] * 8
    assert gate.metric("yett_login_attempts_total", route="open", outcome="unanswered") == 8


def test_in_shadow_nothing_is_refused_and_all_is_reported(gateway: Gateways, origin: Origins) -> None:
    asked = service(origin, {})
    gate = gateway(guarded(asked, mode="shadow", until="2126-01-31"))
    assert [login(gate, f"leaked-{number}", "x", OFFICE).status for number in range(25)] == [401] * 25
    assert bans(gate) == []
    line = gate.log_line(
        matching=lambda one: one.get("login", {}).get("answer") == "banned" and one["login"]["score"] < 105
    )
    assert line["shadow"][0]["rule"] == "route open: login_guard" and line["status"] == 401
    assert gate.metric("yett_shadow_total", route="open", rule="route open: login_guard", outcome="deny") > 10


def test_json_and_exceptions(gateway: Gateways, origin: Origins) -> None:
    asked = service(origin, {})
    config = guarded(asked, account={"pointer": "/user"}, exceptions=f"{ELSEWHERE}/32")
    gate = gateway(config)

    def sent(address: str, number: int) -> int:
        body = json.dumps({"user": f"leaked-{number}", "password": "x"}).encode()
        with Wire(gate.address(), source=(address, 0), timeout=40.0) as wire:
            return wire.ask("POST", "/login", {"Content-Type": "application/json"}, body).status

    assert {sent(OFFICE, number) for number in range(15)} == {401, 429}
    assert {sent(ELSEWHERE, number) for number in range(15)} == {401}


def test_tools_ask_the_same_engine(origin: Origins, tmp_path: Path) -> None:
    """What a question asks several times counts as so many attempts that failed."""
    asked = origin()
    path = tmp_path / "gateway.yaml"
    config = {"version": 1, "listeners": configs.listener(), **guarded(asked)}
    path.write_text(json.dumps(config))
    ir, secrets = compiled(path)
    engine = Engine(ir, secrets)
    body = b"user=ann&password=x"

    def decided(times: int) -> dict[str, Any]:
        headers = (("content-type", FORM), ("content-length", str(len(body))))
        question = Question(
            url="http://gateway.test/login", method="POST", headers=headers, body=body, times=times
        )
        return engine.decide(question)

    assert decided(1)["outcome"] == "allow"
    refused = decided(12)
    assert (refused["refusal"]["reason"], refused["refusal"]["rule"]) == ("login_limited", "guesses")
    assert refused["login"]["parts"]["guesses"] >= 60
    asked.saw_nothing()


YES, NO = b'{"token": "t", "error": null}', b'{"error": {"code": 17}}'
JSON = ("Content-Type", "application/json; charset=utf-8")


def answer(body: bytes, *more: tuple[str, str], framing: str = "length") -> bytes:
    """200 with a body, framed in one of three ways; `odd` is in chunks of a byte."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in (more or (JSON,)))
    head = f"HTTP/1.1 200 OK\r\n{fields}"
    if framing == "length":
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    if framing == "close":
        return f"{head}Connection: close\r\n\r\n".encode() + body
    pieces = [body[at : at + 1] for at in range(len(body))] if framing == "odd" else [body]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


class Told:
    """What answers come to: one gateway for all of them, and each attempt from an address and of an account of its own."""

    def __init__(self, asked: Origin, gate: Gateway) -> None:
        self.asked, self.gate, self.count = asked, gate, 0
        self.body = b""

    def __call__(self, sent: bytes, path: str = "/login", close: bool = False) -> str:
        self.asked.sends(sent, close)
        self.count += 1
        reply = login(self.gate, f"somebody-{self.count}", "x", f"127.0.1.{self.count}", path)
        assert reply.status == 200
        self.body = reply.body
        return str(self.gate.log_line(client=f"127.0.1.{self.count}")["login"]["outcome"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    asked = Origin()
    config = guarded(asked, failed={"pointer": "/error"})
    says = {"pointer": "/a/status", "value": "denied"}
    config["routes"]["valued"] = configs.route(
        "/valued", login_guard={"account": {"form": "user"}, "failed": says}
    )
    for name, own in {
        "aliased": {"failed": {"pointer": "/data/login/error"}},
        "positive": {"passed": {"pointer": "/token"}},
        "both": {"passed": {"pointer": "/state", "value": "in"}, "failed": {"pointer": "/error"}},
    }.items():
        config["routes"][name] = configs.route(f"/{name}", login_guard={"account": {"form": "user"}, **own})
    config["routes"]["held"] = {
        **config["routes"]["open"],
        "match": {"hosts": "any", "path": "/held", "methods": "POST"},
        "response_validation": {"content_types": "application/json"},
    }
    gate = Gateway(config, 1, tmp_path_factory.mktemp("told"))
    yield Told(asked, gate)
    gate.stop()
    asked.close()


@pytest.mark.parametrize("framing", ["length", "close", "chunked", "odd"])
def test_a_value_of_the_answer_says_no(told: Told, framing: str) -> None:
    close = framing == "close"
    assert told(answer(YES, framing=framing), close=close) == "passed"
    assert told.body == YES, "it passes as it is"
    assert told(answer(NO, framing=framing), close=close) == "failed"
    assert told.body == NO


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (answer(b"{}"), "passed"),
        (answer(b'{"error": false}'), "passed"),
        (answer(b'{"error": 0}'), "failed"),
        (answer(b'{"error": ""}'), "failed"),
        (answer(b'{"error": null, "error": null}'), "failed"),
        (answer(b'{"error": null, "\\u0065rror": null}'), "failed"),
        (answer(b'{"error": null, "Error": 1}'), "failed"),
        (answer(b'{"error": null'), "failed"),
        (answer(b""), "failed"),
        (answer(b"\xef\xbb\xbf{}"), "failed"),
        (answer(YES, ("Content-Type", "text/html")), "failed"),
        (answer(YES, JSON, ("Content-Encoding", "gzip")), "failed"),
        (answer(YES, JSON, JSON), "failed"),
        (answer(b'{"a": "' + b"x" * 65_000 + b'"}'), "passed"),
        (answer(b'{"a": "' + b"x" * 65_600 + b'"}'), "failed"),
        (answer(b'{"a": "' + b"x" * 65_600 + b'"}', framing="chunked"), "failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "failed"),
    ],
)
def test_what_cannot_be_read_stays_counted(told: Told, sent: bytes, outcome: str) -> None:
    assert told(sent) == outcome


def test_one_value_says_no(told: Told) -> None:
    for body, outcome in (
        (b'{"a": {"status": "denied"}}', "failed"),
        (b'{"a": {"status": "fine"}}', "passed"),
        (b'{"a": {}}', "passed"),
        (b'{"a": [], "A": 1}', "failed"),
    ):
        assert told(answer(body), "/valued") == outcome, body


@pytest.mark.parametrize(
    ("path", "body", "outcome"),
    [
        ("/aliased", b'{"data": {"login": {"token": "t"}}}', "passed"),
        ("/aliased", b'{"data": {"login": {"error": "no"}}}', "failed"),
        ("/aliased", b'{"data": {"x": {"error": "no"}}}', "failed"),
        ("/aliased", b'{"data": {"login": null}}', "failed"),
        ("/login", b"null", "failed"),
        ("/login", b'[{"error": 1}]', "failed"),
        ("/login", b'"denied"', "failed"),
        ("/valued", b'{"b": {"status": "denied"}}', "failed"),
        ("/positive", b'{"token": "t"}', "passed"),
        ("/positive", b'{"x": {"token": "t"}}', "failed"),
        ("/positive", b'{"token": null}', "failed"),
        ("/positive", b"{}", "failed"),
        ("/both", b'{"state": "in"}', "passed"),
        ("/both", b'{"state": "in", "error": "no"}', "failed"),
        ("/both", b'{"state": "out"}', "failed"),
    ],
)
def test_who_asks_cannot_shape_a_failure_into_a_success(
    told: Told, path: str, body: bytes, outcome: str
) -> None:
    assert told(answer(body), path) == outcome
    assert told.body == body, "it passes as it is"


def test_an_answer_that_is_held_is_read_too(told: Told) -> None:
    assert told(answer(YES), "/held") == "passed"
    assert told(answer(NO, framing="odd"), "/held") == "failed"


def test_an_answer_that_is_cut_stays_counted(told: Told) -> None:
    told.asked.sends(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{", True
    )
    told.count += 1
    client = f"127.0.1.{told.count}"
    with pytest.raises((ConnectionError, EOFError, AssertionError)):
        login(told.gate, "cut", "x", client)
    assert told.gate.log_line(client=client)["login"]["outcome"] == "unanswered"


def test_a_network_that_fails_is_slowed_wherever_its_addresses_are(
    gateway: Gateways, origin: Origins, tmp_path: Path
) -> None:
    """One attempt from each of many addresses of one system; another system is not concerned."""
    systems = {"192.0.2.0/24": 64500, "198.51.100.0/24": 64511, "203.0.113.0/24": 64502}
    file = database(tmp_path / "asn.mmdb", "asn", systems)
    config = guarded(service(origin, people(1)), slow="10ms", thresholds={"per_asn": 20})
    config["geo"] = {"asn": str(file), "hosting_asns": [64511]}
    config["listeners"] = configs.listener(
        trusted_proxies={"addresses": ["127.0.0.1/32"], "header": "x-forwarded-for"}
    )
    gate = gateway(config)

    def attempt(network: str, number: int) -> dict[str, Any]:
        address, body = f"{network}.{number}", f"user=leaked-{network}-{number}&password=x".encode()
        fields = {"User-Agent": f"bot {network} {number}", "Content-Type": FORM, "X-Forwarded-For": address}
        with Wire(gate.address(), timeout=40.0) as wire:
            assert wire.ask("POST", "/login", fields, body).status == 401
        return dict(gate.log_line(client=address)["login"])

    attempts = [attempt("192.0.2", number) for number in range(1, 18)]
    assert (attempts[0]["answer"], attempts[0].get("asn")) == ("passed", None)
    assert [one["answer"] for one in attempts[-3:]] == ["slowed"] * 3, attempts
    assert max(one.get("asn", 0) for one in attempts) == 30
    assert [attempt("203.0.113", number).get("asn") for number in (1, 2)] == [None, 3]
    assert [attempt("198.51.100", number).get("asn") for number in (1, 2)] == [None, 6], (
        "hosting weighs twice"
    )


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_a_value_of_the_answer_over_http2(gateway: Gateways, protocol: str) -> None:
    """Clients that speak HTTP/2, and services that do."""
    asked = Http2Service()
    try:
        config = configs.public(asked, template="/login", login_guard={  # type: ignore[arg-type]
            "account": {"form": "user"}, "failed": {"pointer": "/error"},
        })  # fmt: skip
        config["services"]["origin"] |= {"protocol": "http2"}
        config["listeners"] = configs.listener(http2={"prior_knowledge": True})
        gate = gateway(config)
        outcomes = []
        for number, body in enumerate((YES, NO)):
            asked.behaviour = reply(body, ("content-type", "application/json"))
            sent = f"user=somebody-{number}".encode()
            if protocol == "http1":
                answer = gate.post("/login", sent, {"Content-Type": FORM})
                assert (answer.status, answer.body) == (200, body)
            else:
                with Http2Client(gate.address()) as client:
                    fields = [("content-type", FORM), ("content-length", str(len(sent)))]
                    stream = client.begin("POST", "/login", fields)
                    stream.data(sent, end=True)
                    assert (stream.status, stream.read()) == (200, body)
            outcomes.append(gate.wait_log(number + 1)[number]["login"]["outcome"])
        assert outcomes == ["passed", "failed"]
    finally:
        asked.close()


def test_whoever_leaves_with_a_part_of_the_answer_has_failed(gateway: Gateways, origin: Origins) -> None:
    asked = origin()
    asked.sends(answer(NO), True)
    config = guarded(asked, failed={"pointer": "/error"})
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)
    sent = b"user=leaked"
    # The client takes so much of the body and no more.
    with Http2Client(gate.address(), initial_window_size=8) as client:
        fields = [("content-type", FORM), ("content-length", str(len(sent)))]
        stream = client.begin("POST", "/login", fields)
        stream.data(sent, end=True)
        assert stream.status == 200
        stream.wait(lambda: len(stream.body) + stream.unread >= 8)
        stream.reset()
        assert gate.wait_log(1)[0]["login"]["outcome"] == "failed"


# Letters that have no decomposition, and that collations take for plain ones.
STROKES = dict(zip("ßæðøđħıłœŧ", "sadodhilot", strict=True))


def plain(letter: str) -> str:
    """Its letter from a to z by Unicode's compatibility decomposition, without marks; `*` where that is not one."""
    lower = letter.lower() if len(letter.lower()) == 1 else letter
    apart = unicodedata.normalize("NFKD", STROKES.get(lower, letter))
    found = "".join(one for one in apart if not unicodedata.combining(one)).lower()
    return found if re.fullmatch("[a-z]", found) else "*"


@pytest.mark.parametrize(("table", "first", "last"), [("LATIN", 0xC0, 0x24F), ("LATIN_MORE", 0x1E00, 0x1EFF)])
def test_the_plain_letters_are_those_of_unicode(table: str, first: int, last: int) -> None:
    source = Path(__file__).parents[2] / "crates/yett-core/src/filters/login_guard/alike.rs"
    rows = re.search(rf"const {table}: &str = concat!\((.*?)\);", source.read_text(), re.DOTALL)
    assert rows is not None
    found = "".join(re.findall(r'"([^"]*)"', rows[1]))
    assert found == "".join(plain(chr(point)) for point in range(first, last + 1))


def test_no_letter_with_an_accent_stands_outside_of_the_tables() -> None:
    """What else decomposes to plain letters is wide, or a sign of Kelvin or Angstrom; all other characters make a name one of the odd ones."""
    for point in range(0x80, 0x110000):
        letter = chr(point)
        marks = unicodedata.normalize("NFD", letter)
        if len(marks) > 1 and marks[0].isascii() and marks[0].isalpha():
            assert 0xC0 <= point <= 0x24F or 0x1E00 <= point <= 0x1EFF or letter == "\u212b", f"{point:x}"
