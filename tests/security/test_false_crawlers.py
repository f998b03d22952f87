"""Somebody says that he is a crawler of a search engine, and DNS is made to agree: he is refused, and nothing hangs."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import configs, dns
from tests.support.dns import PTR, Dns, address, message, ptr, reverse
from tests.support.gateway import Gateway
from tests.support.origin import Origin

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PROXIES = {"addresses": ["127.0.0.1"], "header": "x-forwarded-for"}


class Shop:
    """A gateway behind a proxy, the service behind it, and a DNS."""

    def __init__(self) -> None:
        self.service, self.names = Origin(), Dns()
        crawlers = {"allow": "googlebot", "resolvers": self.names.resolver}
        config = configs.public(self.service, bot_filter={"crawlers": crawlers})
        self.gate = Gateway({**config, "listeners": configs.listener(trusted_proxies=PROXIES)})

    def crawl(self, path: str, client: str) -> Any:
        return self.gate.get(path, [("User-Agent", GOOGLEBOT), ("X-Forwarded-For", client)])


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    started = Shop()
    yield started
    started.gate.stop(0)
    started.service.close()
    started.names.close()


def test_lies_about_crawlers(shop: Shop) -> None:
    names = shop.names
    googles = "crawl-1.googlebot.com"
    names.zone[googles, dns.A] = address("192.0.2.1")
    cases: dict[str, dns.Answer] = {
        "no name": dns.NXDOMAIN,
        "a name that has another address": ptr(googles),
        "a name that only contains the domain": ptr("googlebot.com.evil.example"),
        "a name that only ends alike": ptr("evilgooglebot.com"),
        "nothing of that kind": [],
    }
    lies: dict[str, dns.Answer] = {
        "one label that looks like many": [(PTR, bytes([21]) + b"crawl-1.googlebot.com" + b"\0")],
        "another id": lambda asked: [message(bytes([asked[0] ^ 1]) + asked[1:], ptr(googles))],
        "another question": lambda asked: [
            message(asked[:12] + dns.wire("x.in-addr.arpa") + asked[-4:], ptr(googles))
        ],
        "a name that points to itself": lambda asked: [
            message(asked, [(PTR, struct.pack("!H", 0xC000 | (len(asked) + 12)))])
        ],
        "cut short": lambda asked: [message(asked, ptr(googles))[:-4]],
        "a failure": dns.SERVFAIL,
    }
    for number, answer in enumerate([*cases.values(), *lies.values()], 30):
        client = f"203.0.113.{number}"
        names.zone[reverse(client), PTR] = answer
        # whoever is believed would find this address there
        for name in ("googlebot.com.evil.example", "evilgooglebot.com"):
            names.zone[name, dns.A] = address(client)
    outcomes: dict[str, Any] = {}

    def ask(what: str, client: str) -> None:
        outcomes[what] = shop.crawl("/lie", client)

    asking = [
        threading.Thread(target=ask, args=(what, f"203.0.113.{number}"))
        for number, what in enumerate([*cases, *lies], 30)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join(40)
    assert {what: outcomes[what].reason for what in cases} == dict.fromkeys(cases, "crawler_unverified")
    assert {what: outcomes[what].reason for what in lies} == dict.fromkeys(lies, "crawler_unknown")
    assert all(outcomes[what].status == 503 and outcomes[what]["retry-after"] == "10" for what in lies)
    assert shop.service.saw_nothing()


def test_a_long_answer_comes_over_tcp(shop: Shop) -> None:
    client, name = "192.0.2.3", "crawl-3.googlebot.com"
    shop.names.knows(client, name)
    shop.names.zone[reverse(client), PTR] = lambda asked: [message(asked, flags=0x8380)]
    shop.names.whole[reverse(client), PTR] = [*ptr("other.example"), *ptr(name)]
    assert shop.crawl("/a", client).status == 200
    shop.service.forget()


def test_a_crawler_is_known_by_its_address_and_not_by_what_a_header_says(shop: Shop) -> None:
    shop.names.knows("192.0.2.9", "crawl-9.googlebot.com")
    told = [
        ("User-Agent", GOOGLEBOT),
        ("X-Forwarded-For", "192.0.2.9, 203.0.113.99"),
        ("X-Real-IP", "192.0.2.9"),
    ]
    reply = shop.gate.get("/a", told)
    assert (reply.status, reply.reason) == (403, "crawler_unverified")
    assert shop.service.saw_nothing()
