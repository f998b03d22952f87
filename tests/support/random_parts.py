"""Random parts of routes for people with browsers, logins and programs; and requests that come near to them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.support.pretending import AGENT, COPIED

Config = dict[str, Any]
Parts = dict[str, tuple[Any, ...]]
SHADOW = {"mode": "shadow", "until": "2026-12-31"}
PROGRAM, BROWSER = "t13d1812h1_85036bcba153_375ca2c5e164", "t13d1516h2_8daaf6152771_02713d6af862"
HELLOS = (None, PROGRAM, BROWSER)
CONDITIONS = (
    f"connection.ja4 != '{PROGRAM}'", f"connection.ja4 == '{BROWSER}'", "connection.ja4.startsWith('t13d15')",
    f"connection.ja4 == '{BROWSER}' && request.method == 'GET'", "geo.asn == 64500", "geo.asn != 64501",
)  # fmt: skip
SYSTEMS = {"192.0.2.0/24": 64500, "10.1.0.0/16": 64501}
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24")
AGENTS = (
    None, "curl/8.5.0", "sqlmap/1.8", AGENT, AGENT, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "MineBot/1.0", "OurBot/2", "MineBot/1.0 Googlebot/2.1", "unheard/1",
)  # fmt: skip

BOTS: Parts = {
    "mode": ("report", "enforce"), "threshold": (4, 6, 8, 20), "impostors": ("allow", "refuse"), "programs": ("allow", "refuse"),
    "scanners": ("allow", "refuse"), "exceptions": NETWORKS,
}  # fmt: skip
CRAWLERS: Parts = {
    "allow": ("any", "none", "googlebot", {"any_of": ["googlebot", "bingbot"]}),
    "undecided": ("pass", "refuse"),
    "resolvers": ("192.0.2.53:53", "192.0.2.54:53"),
    "own": (
        {"mine": {"agent": "MineBot", "addresses": "10.1.0.0/16"}},
        {"mine": {"agent": "MineBot", "addresses": "10.0.0.0/8"}},
        {"mine": {"agent": "MineBot", "domains": "mine.example"}},
        {"mine": {"agent": {"any_of": ["MineBot", "OurBot"]}, "addresses": "10.1.0.0/16"}},
        {
            "mine": {"agent": "MineBot", "addresses": "10.1.0.0/16"},
            "ours": {"agent": "OurBot", "addresses": "192.0.2.0/24"},
        },
        {"ours": {"agent": "OurBot", "addresses": "10.0.0.0/8", "domains": "ours.example"}},
    ),
}
LOGINS: Parts = {
    "kind": ("login", "sign_up", "other"), "window": ("10s", "10m"), "slow": ("0s", "1s"), "ban": ("0s", "15m", "1h"), "exceptions": NETWORKS,
    "failed": ({"pointer": "/error"}, {"pointer": "/error", "value": "no"}, {"status": 200}, {"status": 200, "pointer": "/error"}),
    "passed": ({"pointer": "/token"}, {"pointer": "/ok", "value": True}),
    "thresholds": (
        {"guesses": 1}, {"guesses": 2}, {"failures": 1, "guesses": 2}, {"failures": 2, "guesses": 3}, {"failures": 2, "guesses": 1, "accounts": 1},
        {"guesses": 2, "per_asn": 1}, {"guesses": 2, "per_asn": 50}, {"guesses": 3, "per_account": 1}, {"guesses": 2, "per_fingerprint": 1},
    ),
    "challenge": ({}, {"at": 1}, {"at": 1, "others": "refuse"}, {"others": "refuse"}, {"at": 10, "attempts": 2}, {"difficulty": 100, "holds": "1m"}),
}  # fmt: skip
PLACES: tuple[tuple[Any, ...], ...] = (
    ({"header": "x-account"}, {"header": "x-other"}),
    ({"form": "user"}, {"form": "email"}),
    ({"pointer": "/user"}, {"pointer": "/email"}),
)
CSRF: Parts = {
    "origins": ("https://app.test", {"any_of": ["https://app.test", "https://b.test"]}, "https://*.preview.test"),
    "referer": (True, False), "token": ("needed", "always"), "form": ("csrf", "token"),
}  # fmt: skip


def _some(rng: random.Random, parts: Parts, often: float = 0.3) -> Config:
    return {
        key: copy.deepcopy(rng.choice(values))
        for key, values in sorted(parts.items())
        if rng.random() < often
    }


def bot_filter(rng: random.Random) -> Config:
    crawlers = _some(rng, CRAWLERS)
    return {**_some(rng, BOTS), **({"crawlers": crawlers} if crawlers else {})}


def login_guard(rng: random.Random) -> Config:
    places = rng.choice(PLACES)
    made = {"account": places[0], **_some(rng, LOGINS)}
    made.setdefault("thresholds", rng.choice(LOGINS["thresholds"]))
    if rng.random() < 0.2:
        made["account"] = places[1]
    if rng.random() < 0.3:
        (kind,) = made["account"]
        made["password"] = {kind: {"header": "x-password", "form": "password", "pointer": "/password"}[kind]}
    return copy.deepcopy({**made, **(SHADOW if rng.random() < 0.1 else {})})


def csrf(rng: random.Random) -> Config:
    made = _some(rng, CSRF)
    if "form" in made:
        made.setdefault("token", rng.choice(CSRF["token"]))
    return made


MAKE = {"bot_filter": bot_filter, "login_guard": login_guard, "csrf": csrf}


def altered(rng: random.Random, key: str, old: Config) -> Config:
    """One of its keys is said otherwise, or no longer, or one more is said."""
    new = MAKE[key](rng)
    keys = sorted(
        (old.keys() | new.keys()) - {"mode", "until"} | ({"mode"} if key == "bot_filter" else set())
    )
    if not keys:
        return new
    part = rng.choice(keys)
    made = copy.deepcopy(old)
    if part == "crawlers" and part in old and part in new and rng.random() < 0.7:
        inner = rng.choice(sorted(old[part].keys() | new[part].keys()))
        made[part].pop(inner, None)
        made[part].update({inner: new[part][inner]} if inner in new[part] else {})
    else:
        made.pop(part, None)
        made.update({part: new[part]} if part in new else {})
    return made


def fields(rng: random.Random, route: Config, host: str) -> list[tuple[str, str]]:
    """Header fields that make a difference on a route of the document."""
    found: list[tuple[str, str]] = []
    agent = rng.choice(AGENTS) if "bot_filter" in route or rng.random() < 0.2 else None
    if agent == AGENT and rng.random() < 0.7:
        left_out = rng.sample(sorted(COPIED), rng.choice((0, 1, 2, 4)))
        found += [
            (name, value) for name, value in COPIED.items() if name not in {*left_out, "sec-fetch-site"}
        ]
    elif agent is not None:
        found.append(("User-Agent", agent))
    if "csrf" in route or rng.random() < 0.2:
        own = f"https://{host}"
        pages = (
            own,
            "https://app.test",
            "https://b.test",
            "https://x.preview.test",
            "https://evil.test",
            "null",
        )
        if rng.random() < 0.6:
            found.append(("Origin", rng.choice(pages)))
        if rng.random() < 0.4:
            found.append(
                (
                    "Sec-Fetch-Site",
                    rng.choice(("same-origin", "same-origin", "same-site", "cross-site", "none")),
                )
            )
        if rng.random() < 0.4:
            found.append(("Referer", f"{rng.choice(pages)}/page"))
        if rng.random() < 0.4:
            found.append(("X-CSRF-Token", "anything"))
        if rng.random() < 0.5:
            found.append(("Cookie", "a=b"))
    if "login_guard" in route or rng.random() < 0.1:
        found += [("X-Account", "ann"), ("X-Password", "secret")]
    return found


def body(rng: random.Random) -> tuple[str, bytes]:
    """A type and what a login or a form of that type sends."""
    sent = {"user": "ann", "password": "secret"}
    sent.update({"csrf": "anything"} if rng.random() < 0.5 else {})
    if rng.random() < 0.5:
        return "application/json", json.dumps(sent).encode()
    return "application/x-www-form-urlencoded", "&".join(
        f"{key}={value}" for key, value in sent.items()
    ).encode()
