"""Crawlers that are known by name: how they name themselves, and the domains in which their addresses have names.

Only those whose operators say that reverse DNS proves them. Others publish their addresses (DuckDuckGo, OpenAI): these are written as one's own.
"""

from __future__ import annotations

from typing import NamedTuple

from yett.config.words import nearest


class Known(NamedTuple):
    """A crawler as its operator describes it."""

    agents: tuple[str, ...]
    """What stands in `User-Agent`, in any case."""
    domains: tuple[str, ...]
    """In which the names of its addresses end, at a dot; `crawl-*.` says how the one label before has to begin."""


CRAWLERS: dict[str, Known] = {
    # Not googleusercontent.com: everybody's programs on App Engine have names there. Nor `google-proxy-….google.com`: what a person lets
    # Google fetch comes from there.
    "googlebot": Known(
        ("Googlebot", "AdsBot-Google", "Mediapartners-Google", "APIs-Google", "Storebot-Google", "GoogleOther", "Google-InspectionTool"),
        ("googlebot.com", "rate-limited-proxy-*.google.com"),
    ),
    "bingbot": Known(("bingbot", "adidxbot", "BingPreview", "msnbot"), ("search.msn.com",)),
    "applebot": Known(("Applebot",), ("applebot.apple.com",)),
    "yandexbot": Known(
        ("YandexBot", "YandexImages", "YandexVideo", "YandexMobileBot", "YandexRenderResourcesBot", "YandexAccessibilityBot"),
        ("yandex.com", "yandex.ru", "yandex.net"),
    ),
    "baiduspider": Known(("Baiduspider",), ("baidu.com", "baidu.jp")),
    "seznambot": Known(("SeznamBot",), ("seznam.cz",)),
    "petalbot": Known(("PetalBot",), ("petalsearch.com",)),
    "yeti": Known(("Yeti/",), ("naver.com",)),
    "slurp": Known(("Yahoo! Slurp",), ("crawl.yahoo.net",)),
    "mojeekbot": Known(("MojeekBot",), ("mojeek.com",)),
    "pinterestbot": Known(("Pinterestbot",), ("pinterest.com", "pinterestcrawler.com")),
    "amazonbot": Known(("Amazonbot",), ("crawl.amazonbot.amazon",)),
    "ccbot": Known(("CCBot",), ("crawl.commoncrawl.org",)),
    "ahrefsbot": Known(("AhrefsBot", "AhrefsSiteAudit"), ("ahrefs.com", "ahrefs.net")),
    "semrushbot": Known(("SemrushBot", "SiteAuditBot"), ("semrush.com",)),
}  # fmt: skip
"""By the name in a configuration."""


def similar(name: str) -> str:
    """`; did you mean `x`?` for what one of these is nearly, or otherwise called; nothing where none is."""
    folded = name.lower()
    called = [
        one
        for one, known in CRAWLERS.items()
        if len(folded) > 2 and any(folded in text.lower() for text in (*known.agents, *known.domains))
    ]
    if len(called) == 1:
        return f"; did you mean `{called[0]}`?"
    # All end alike, so that what they end in says nothing.
    stems = {one.removesuffix("bot").removesuffix("spider"): one for one in CRAWLERS}
    found = nearest(folded.replace("bot", ""), stems)
    return next((f"; did you mean `{one}`?" for stem, one in stems.items() if f"`{stem}`" in found), "")
