"""Where requests go and come from, what browsers are told, and what there is room for: what of it `yett diff` calls a widening."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.config.test_cases import CASES
from tests.support.certificates import make
from yett.policy.diff import document, effects, listeners, process, providers, services
from yett.policy.diff.change import Change, Kind

Document = dict[str, Any]
CA, OTHER = make("one").pem, make("two").pem
DNS, IP, URI = {"dns": "stock.internal"}, {"ip": "192.0.2.1"}, {"uri": "spiffe://example.com/billing"}
HERE = {"tls": True, "host": "origin.internal", "port": 443}
PLAIN, THERE = {**HERE, "tls": False}, {**HERE, "host": "evil.example"}


def service(endpoints: list[Document] | None = None, name: str = "origin", **tls: Any) -> Document:
    return {
        "name": name, "endpoints": endpoints or [HERE], "forward_credential": False,
        "tls": {"ca": None, "certificate": None, "key": None, "server_name": None, **tls},
    }  # fmt: skip


def of_services(*pair: Document) -> list[Change]:
    return list(services.compare(*({"services": [one]} for one in pair)))


def kinds(changes: list[Change]) -> set[Kind]:
    return {one.kind for one in changes}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"ca": CA}, Kind.WIDENS),
        ({"ca": CA}, {}, Kind.WIDENS),
        ({"ca": CA}, {"ca": OTHER}, Kind.WIDENS),
        ({"ca": CA}, {"ca": CA + OTHER}, Kind.WIDENS),
        ({"ca": CA + OTHER}, {"ca": CA}, Kind.NARROWS),
        ({"ca": "no PEM"}, {"ca": CA}, Kind.WIDENS),
        ({"ca": CA}, {"ca": "no PEM"}, Kind.WIDENS),
        ({}, {"san": [DNS]}, Kind.NARROWS),
        ({}, {"san": [DNS, IP]}, Kind.NARROWS),
        ({}, {"san": [URI]}, Kind.WIDENS),
        ({}, {"san": [DNS, URI]}, Kind.WIDENS),
        ({"san": [DNS]}, {"san": [DNS, URI]}, Kind.WIDENS),
        ({"san": [DNS, URI]}, {"san": [URI]}, Kind.NARROWS),
        ({"san": [DNS, IP]}, {"san": [IP]}, Kind.NARROWS),
        ({"san": [DNS]}, {"san": [IP]}, Kind.WIDENS),
        ({"san": [DNS]}, {}, Kind.WIDENS),
        ({"san": [URI]}, {}, Kind.WIDENS),
        ({}, {"server_name": "other.internal"}, Kind.WIDENS),
    ],
)
def test_what_proves_who_a_service_is(old: Document, new: Document, kind: Kind) -> None:
    assert kinds(of_services(service(**old), service(**new))) == {kind}


def test_an_authority_of_ones_own_for_another_host_widens() -> None:
    found = of_services(service(), service([THERE], ca=CA))
    assert kinds(found) == {Kind.WIDENS, Kind.MOVES}
    assert [one.text for one in found] == [
        "service `origin` has other endpoints, at `evil.example:443`, where none was",
        "service `origin`: other authorities vouch for it (a file, before the system's roots), so servers count that did not",
    ]


def test_endpoints_move_and_say_where_none_was() -> None:
    (found,) = of_services(service(), service([THERE]))
    assert found.kind is Kind.MOVES and "`evil.example:443`" in found.text
    both = {"services": [service(), service([THERE], "other")]}
    (found,) = services.compare(both, {"services": [service([THERE]), service([THERE], "other")]})
    assert found.text == "service `origin` has other endpoints"
    (found,) = of_services(service(), service([{**HERE, "secret": 1}]))
    assert found.kind is Kind.WIDENS


def test_one_more_endpoint_without_tls_widens() -> None:
    mixed = [HERE, {**PLAIN, "host": "b.internal"}]
    assert Kind.WIDENS in kinds(of_services(service(mixed), service([PLAIN, mixed[1]])))
    assert Kind.WIDENS in kinds(of_services(service(), service(mixed)))
    assert kinds(of_services(service(mixed), service())) == {Kind.NARROWS, Kind.MOVES}


def test_a_token_that_is_gone_is_told_of_its_service() -> None:
    (found,) = of_services({**service(), "token": {"client": "a"}}, service())
    assert (found.kind, found.text) == (Kind.NARROWS, "service `origin`: it gets no token any more")


def of_listeners(old: dict[str, str], new: dict[str, str]) -> list[Change]:
    made = json.loads((CASES / "good" / "rate_limit_none.ir.json").read_text())["listeners"][0]
    pair = [
        {"listeners": [{**copy.deepcopy(made), "name": name, "address": at} for name, at in one.items()]}
        for one in (old, new)
    ]
    return list(listeners.compare(*pair))


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ({"a": "0.0.0.0:443", "b": "0.0.0.0:9443"}, {"a": "0.0.0.0:9443", "b": "0.0.0.0:443"}, [Kind.WIDENS, Kind.WIDENS]),
        ({"a": "127.0.0.1:443", "b": "0.0.0.0:9443"}, {"a": "127.0.0.1:9443", "b": "0.0.0.0:444"}, [Kind.WIDENS, Kind.MOVES]),
        ({"a": "10.0.0.1:443", "b": "10.0.0.1:9443"}, {"a": "10.0.0.1:9443"}, [Kind.NARROWS, Kind.WIDENS]),
        ({"a": "10.0.0.1:443", "b": "10.0.0.2:9443"}, {"a": "10.0.0.1:9443", "b": "10.0.0.2:9443"}, [Kind.MOVES]),
        ({"a": "0.0.0.0:443"}, {"a": "0.0.0.0:9443"}, [Kind.MOVES]),
        ({"a": "127.0.0.1:0", "b": "127.0.0.1:0"}, {"a": "127.0.0.1:1", "b": "127.0.0.1:0"}, [Kind.MOVES]),
    ],
)  # fmt: skip
def test_where_another_listener_stood_other_routes_stand(old: Any, new: Any, wanted: list[Kind]) -> None:
    assert sorted(one.kind for one in of_listeners(old, new)) == sorted(wanted)


def of_answers(old: Document, new: Document) -> set[Kind]:
    edits = {"remove": [], "set": {}, "add": {}}
    return kinds(list(effects._answers({**edits, **old}, {**edits, **new})))


@pytest.mark.parametrize(
    "name",
    [
        "alt-svc", "service-worker-allowed", "refresh", "cdn-cache-control", "surrogate-control", "link", "speculation-rules", "x-accel-redirect",
        "accept-ch", "reporting-endpoints", "x-permitted-cross-domain-policies",
    ],
)  # fmt: skip
def test_words_to_browsers_and_caches_widen(name: str) -> None:
    assert of_answers({}, {"set": {name: "x"}}) == {Kind.WIDENS}
    assert of_answers({}, {"add": {name: "x"}}) == {Kind.WIDENS}
    assert of_answers({}, {"remove": [name]}) == {Kind.WIDENS}


def test_what_was_hidden_of_answers_is_shown_again() -> None:
    assert of_answers({"remove": ["x-internal"]}, {}) == {Kind.WIDENS}
    assert of_answers({"set": {"server": "-"}}, {}) == {Kind.WIDENS}
    assert of_answers({"remove": ["x-internal"]}, {"set": {"x-internal": "-"}}) == {Kind.MOVES}
    assert of_answers({"set": {"x-version": "1"}}, {"set": {"x-version": "2"}}) == {Kind.MOVES}
    assert of_answers({}, {"remove": ["x-internal"]}) == {Kind.MOVES}


@pytest.mark.parametrize(
    ("old", "new", "sheds", "kind"),
    [
        ("normal", "critical", True, Kind.WIDENS),
        ("low", "normal", True, Kind.WIDENS),
        ("high", "low", True, Kind.NARROWS),
        ("normal", "critical", False, Kind.MOVES),
        ("normal", "low", False, Kind.NARROWS),
        ("normal", "another", False, Kind.WIDENS),
    ],
)
def test_who_is_refused_later_under_load(old: str, new: str, sheds: bool, kind: Kind) -> None:
    assert kinds(list(effects._priority(old, new, sheds))) == {kind}


def test_a_priority_that_comes_with_shedding_does_not_widen() -> None:
    """No file may have the one without the other."""
    old = json.loads((CASES / "good" / "rate_limit_none.ir.json").read_text())
    new = copy.deepcopy(old)
    new["process"]["load_shedding_ms"] = 50
    new["routes"][0]["priority"] = "critical"
    assert Kind.WIDENS not in kinds(document.compare(old, new))
    new["process"]["load_shedding_ms"] = old["process"]["load_shedding_ms"] = 50
    assert Kind.WIDENS in kinds(document.compare(old, new))


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"revocations": 1}, Kind.WIDENS),
        ({"revocations": 1}, {}, Kind.NARROWS),
        ({"revocations": 100_000}, {}, Kind.MOVES),
        ({}, {"limit_keys": 100}, Kind.NARROWS),
        ({"limit_keys": 100}, {"limit_keys": 200}, Kind.WIDENS),
        ({}, {"quota_keys": 200_000}, Kind.WIDENS),
        ({}, {"verdict_cache": 1}, Kind.MOVES),
    ],
)
def test_room_for_revocations_and_keys(old: Document, new: Document, kind: Kind) -> None:
    assert kinds(list(process._process({"buffered_bytes": 1, **old}, {"buffered_bytes": 1, **new}))) == {kind}


def test_a_route_that_is_not_hidden_any_more_tells_that_it_is_there() -> None:
    old = json.loads((CASES / "good" / "rate_limit_none.ir.json").read_text())
    new = copy.deepcopy(old)
    old["routes"][0]["hidden"] = True
    assert kinds(document.compare(old, new)) == {Kind.WIDENS}
    assert kinds(document.compare(new, old)) == {Kind.NARROWS}


FETCHED = {"url": "https://id.example/jwks", "plaintext": False, "ca": None, "refresh_ms": 2, "stale_ms": 3, "min_interval_ms": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"refresh_ms": 9}, Kind.WIDENS, "how long the keys count before they are fetched again: 2 ms before, 9 ms now"),
        ({"stale_ms": 1}, Kind.NARROWS, "how long the keys count where they cannot be fetched: 3 ms before, 1 ms now"),
        ({"min_interval_ms": 9}, Kind.MOVES, "the keys may be fetched again sooner or later"),
        ({"plaintext": True}, Kind.WIDENS, "the keys may come over plain HTTP"),
        ({"ca": CA}, Kind.WIDENS, "other authorities vouch for where the keys come from"),
        ({"url": "https://evil.example"}, Kind.WIDENS, "the keys come from https://evil.example, before from https://id.example/jwks"),
        ({"proxy": "x"}, Kind.WIDENS, "how the keys are fetched: `proxy` is different, and it cannot be shown that nothing widens"),
    ],
)  # fmt: skip
def test_keys_that_are_fetched_say_what_differs(change: Document, kind: Kind, text: str) -> None:
    found = list(providers._keys({"url": FETCHED}, {"url": {**FETCHED, **change}}))
    assert [(one.kind, one.text) for one in found] == [(kind, text)]
    (one,) = providers._keys(
        {"discovered": {"discovery": FETCHED}}, {"discovered": {"discovery": {**FETCHED, **change}}}
    )
    assert one.kind is kind and "metadata" in one.text and one.where.startswith("jwks.discovery.")
