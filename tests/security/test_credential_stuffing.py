"""Leaked passwords on many accounts, one password on all, many on one; and attempts that the guard could read otherwise than the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.filters.test_login_guard import bans, guarded
from tests.support.gateway import Gateway
from tests.support.login_service import FORM, login, people, service
from tests.support.origin import Origin

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]


def test_spraying_one_password_from_many_addresses(gateway: Gateways, origin: Origins) -> None:
    known = people(1)
    asked = service(origin, known)
    thresholds = {"per_fingerprint": 1_000_000}
    gate = gateway(guarded(asked, password={"form": "password"}, thresholds=thresholds))
    codes = [
        login(gate, f"user-{number}", "Winter2026", f"127.0.1.{number + 1}", agent=f"bot {number}").status
        for number in range(30)
    ]
    assert codes.count(401) <= 16 and codes[-1] == 429, codes
    assert bans(gate) == [], "nobody is banned for what others try"
    assert login(gate, "person-0", known["person-0"], "127.0.2.1").status == 200
    assert b"Winter2026" not in gate.log_text()


def test_a_bot_on_many_addresses_is_known_by_what_it_sends(gateway: Gateways, origin: Origins) -> None:
    known = people(2)
    asked = service(origin, known)
    gate = gateway(guarded(asked))
    codes = [
        login(gate, f"user-{number}", f"pw-{number}", f"127.0.1.{number + 1}", agent="stuffer").status
        for number in range(70)
    ]
    assert codes.count(401) <= 40 and codes[-1] == 429, codes
    assert login(gate, "person-0", known["person-0"], "127.0.2.1").status == 200, "another kind of client"


def test_guessing_at_one_account(gateway: Gateways, origin: Origins) -> None:
    asked = service(origin, people(1))
    gate = gateway(guarded(asked))
    spelt = ("person-0", "PERSON-0", " Person-0 ")
    codes = [login(gate, spelt[number % 3], f"guess-{number}", "127.0.0.40").status for number in range(20)]
    assert codes.count(401) <= 11 and codes[-1] == 429, codes


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("/login", b"user=a&user=b&password=x", FORM),
        ("/login", b"user=a&%75ser=b&password=x", FORM),
        ("/login?user=b", b"user=a&password=x", FORM),
        ("/login?USER=b", b"user=a&password=x", FORM),
        ("/login?next=/&user%5B0%5D=b", b"user=a&password=x", FORM),
        ("/login", b"user=a&user[0]=b&password=x", FORM),
        ("/login", b"user=a&user%00=b&password=x", FORM),
        ("/login", b"password=x", FORM),
        ("/login", b"user=a&password=x", "text/plain"),
        ("/login", b'{"user": "a", "password": "x"}', "application/json"),
        ("/login", b"user=%ff&password=x", FORM),
        ("/login", b"", FORM),
    ],
)
def test_an_account_that_could_be_read_in_two_ways_never_reaches_the_service(
    shared: tuple[Gateway, Origin], target: str, body: bytes, kind: str
) -> None:
    gate, asked = shared
    reply = gate.post(target, body, {"Content-Type": kind})
    assert (reply.status, reply.reason) == (400, "login_unreadable")
    asked.saw_nothing()


def test_a_compressed_body_never_reaches_the_service(shared: tuple[Gateway, Origin]) -> None:
    gate, asked = shared
    fields = {"Content-Type": FORM, "Content-Encoding": "gzip"}
    assert gate.post("/login", b"user=a&password=x", fields).reason == "login_unreadable"
    asked.saw_nothing()


def test_a_get_with_a_body_is_an_attempt(shared: tuple[Gateway, Origin]) -> None:
    gate, asked = shared
    assert (
        gate.request("GET", "/login", {"Content-Type": FORM}, b"user=a&user=b").reason == "login_unreadable"
    )
    asked.saw_nothing()


def test_a_body_that_is_too_large_for_a_login(shared: tuple[Gateway, Origin]) -> None:
    gate, asked = shared
    assert gate.post("/login", b"user=a&x=" + b"x" * 70_000, {"Content-Type": FORM}).status == 413
    asked.saw_nothing()


@pytest.fixture
def shared(gateway: Gateways, origin: Origins) -> tuple[Gateway, Origin]:
    asked = service(origin, {})
    return gateway(guarded(asked)), asked
