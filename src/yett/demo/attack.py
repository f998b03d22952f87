"""`yett demo --attack stuffing`: made-up passwords on the shop's login, on this machine only, while people log in."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType

from rich.console import Console
from rich.table import Table

from yett.demo import DemoError
from yett.demo.processes import Running
from yett.demo.shop import PEOPLE, Shop, find_directory, free_ports

TIMEOUT_S = 30.0
OFFICE = "127.0.0.10"
"""Shared by most people, and by one machine that takes part in the attack."""
HOMES = ("127.0.0.21", "127.0.0.22", "127.0.0.23")
ATTACKERS = tuple(f"127.0.0.{number}" for number in range(101, 109))
EACH = 50
"""Made-up credentials that each attacker tries."""
REACH = 20
"""How many of them may reach the login of the shop, at most."""
ROUNDS = 5
"""How often everybody logs in while the attack goes on."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TOOL = "stuffing/1.0"


@dataclass
class Source:
    """What came of the attempts of one address."""

    address: str
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def stopped(self) -> bool:
        """Whether it was banned, before most of its attempts reached the shop."""
        return self.answers["login_banned"] > 0 and self.answers["wrong password"] <= REACH


def stuffing(directory: Path | None) -> int:
    """Runs it; 0 only if the attack was stopped, and nobody else was."""
    found = find_directory(directory)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="yett-demo-") as state:
        shop = Shop(found, Path(state), free_ports())
        with Running(shop, watch=False, quiet=True):
            before = [_person(shop, person) for person in PEOPLE]
            sources = [Source(address) for address in (*ATTACKERS, OFFICE)]
            over = Event()
            with ThreadPoolExecutor(len(sources) + 1) as pool:
                people = pool.submit(_people, shop, over)
                attacks = [pool.submit(_attack, shop, number, one) for number, one in enumerate(sources)]
                try:
                    for one in attacks:
                        one.result()
                finally:
                    over.set()
                during = people.result()
    return _tell(sources, before + during)


def _attack(shop: Shop, number: int, source: Source) -> None:
    for attempt in range(EACH):
        email, password = f"leaked-{number}-{attempt}@example.net", f"hunter{number}{attempt:03}"
        source.answers[_login(shop, source.address, TOOL, email, password)] += 1


def _people(shop: Shop, over: Event) -> list[tuple[str, str]]:
    """Everybody logs in again and again until the attack is over, and once after it; one of them mistypes."""
    results: list[tuple[str, str]] = []
    for number in range(ROUNDS):
        if number == ROUNDS - 1:
            over.wait(TIMEOUT_S * 10)
        _login(shop, _where(PEOPLE[0]), BROWSER, PEOPLE[0], "mistyped")
        results += [_person(shop, person) for person in PEOPLE]
        over.wait(1.0)
    return results


def _person(shop: Shop, person: str) -> tuple[str, str]:
    return person, _login(shop, _where(person), BROWSER, person, shop.passwords()[person])


def _where(person: str) -> str:
    at = PEOPLE.index(person)
    return HOMES[at] if at < len(HOMES) else OFFICE


def _login(shop: Shop, address: str, client: str, email: str, password: str) -> str:
    """`logged in`, `wrong password`, or the reason of a refusal."""
    trust = ssl.create_default_context(cafile=str(shop.state / "ca.pem"))
    connection = http.client.HTTPSConnection(
        "localhost", shop.ports["gateway"], timeout=TIMEOUT_S, context=trust, source_address=(address, 0)
    )
    try:
        headers = {"Content-Type": "application/json", "User-Agent": client}
        if client == BROWSER:
            headers |= {"Accept": "application/json", "Accept-Language": "en-GB"}
        connection.request("POST", "/login", json.dumps({"email": email, "password": password}), headers)
        answer = connection.getresponse()
        content = answer.read()
    except OSError as error:
        raise DemoError(f"no login from {address}: {error}") from None
    finally:
        connection.close()
    if (answer.getheader("Content-Type") or "").startswith("application/problem+json"):
        return str(json.loads(content).get("reason"))
    return {200: "logged in", 401: "wrong password"}.get(answer.status, str(answer.status))


def _tell(sources: list[Source], logins: list[tuple[str, str]]) -> int:
    table = Table("address", "tried", "reached the shop", "limited", "banned", "")
    for source in sources:
        who = f"{source.address} (the office)" if source.address == OFFICE else source.address
        answers = source.answers
        mark = "[green]stopped[/]" if source.stopped else "[red]NOT STOPPED[/]"
        shown = (
            answers.total(),
            answers["wrong password"],
            answers["login_limited"],
            answers["login_banned"],
        )
        table.add_row(who, *(str(number) for number in shown), mark)
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
    tried = sum(source.answers.total() for source in sources)
    reached = sum(source.answers["wrong password"] for source in sources)
    let_in = sum(source.answers["logged in"] for source in sources)
    refused = [(person, answer) for person, answer in logins if answer != "logged in"]
    print(f"{reached} of {tried} made-up credentials reached the shop, {let_in} got in")
    print(
        f"{len(logins) - len(refused)} of {len(logins)} logins of people passed, most of them from the address of the office"
    )
    for person, answer in refused[:5]:
        print(f"  {person}: {answer}")
    good = all(source.stopped for source in sources) and not refused and not let_in
    print("the attack was seen and stopped, and nobody else was" if good else "this is not as it should be")
    return 0 if good else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


ATTACKS: dict[str, Callable[[Path | None], int]] = {"stuffing": stuffing}
"""By name."""
