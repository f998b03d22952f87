"""Nobody is locked out by strangers: neither of an account that they fail for, nor of an address from which they try."""

from __future__ import annotations

from collections.abc import Callable

from tests.filters.test_login_guard import guarded
from tests.support.gateway import Gateway
from tests.support.login_service import login, people, service
from tests.support.origin import Origin

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]
HOME, ELSEWHERE = "127.0.0.50", "127.0.0.51"


def test_an_account_under_attack_gets_in(gateway: Gateways, origin: Origins) -> None:
    known = people(1)
    asked = service(origin, known)
    gate = gateway(guarded(asked))
    assert login(gate, "person-0", known["person-0"], HOME).status == 200
    for number in range(80):
        login(gate, "person-0", f"guess-{number}", f"127.0.3.{number + 1}", agent=f"bot {number}")
    assert login(gate, "person-0", known["person-0"], HOME).status == 200, "from home"
    assert login(gate, "person-0", known["person-0"], ELSEWHERE).status == 200, "and from elsewhere"


def test_whoever_mistypes_at_a_banned_address_gets_in(gateway: Gateways, origin: Origins) -> None:
    known = people(2)
    asked = service(origin, known)
    gate = gateway(guarded(asked))
    assert login(gate, "person-0", known["person-0"], HOME).status == 200
    codes = [login(gate, f"leaked-{number}", "x", HOME, agent="bot").reason for number in range(40)]
    assert codes[-1] == "login_banned"
    assert login(gate, "person-0", "mistyped", HOME).status == 401
    assert login(gate, "person-0", known["person-0"], HOME).status == 200


def test_the_answer_does_not_say_whether_an_account_exists(gateway: Gateways, origin: Origins) -> None:
    asked = service(origin, people(1))
    gate = gateway(guarded(asked))

    def tried(user: str, address: str) -> list[tuple[int, str | None, str]]:
        replies = [login(gate, user, f"guess-{number}", address) for number in range(14)]
        details = [reply.json()["detail"].split(";")[-1] if reply.reason else "" for reply in replies]
        return [(reply.status, reply.reason, detail) for reply, detail in zip(replies, details, strict=True)]

    assert tried("person-0", HOME) == tried("nobody-at-all", ELSEWHERE)
