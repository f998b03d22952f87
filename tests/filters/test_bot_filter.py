"""bot_filter: programs that pretend to be browsers are refused, browsers and honest programs pass, crawlers are who they say."""

from __future__ import annotations

import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from tests.support import configs, dns
from tests.support.chromium import chromium
from tests.support.dns import PTR, Dns, message, reverse
from tests.support.gateway import Gateway, compiled
from tests.support.go_tools import go_program
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.pretending import AGENT, COPIED
from yett.policy import explain
from yett.policy.engine import Engine, Question

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PROXIES = {"addresses": ["127.0.0.1"], "header": "forwarded"}


def by_proxy(client: str, agent: str | None = None, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Fields of a request over HTTPS that a proxy sent on."""
    told = f'for="[{client}]"' if ":" in client else f"for={client}"
    return [*([("User-Agent", agent)] if agent else []), ("Forwarded", f"{told};proto=https"), *more]


class Shop:
    """A gateway with TLS, and without it behind a proxy; the service behind it; and a DNS."""

    def __init__(self, tls: dict[str, Any]) -> None:
        self.service, self.names, self.issuer = Origin(), Dns(), Issuer()
        asked = {"allow": "googlebot", "resolvers": self.names.resolver}
        crawlers = {**asked, "own": {"listed": {"agent": "ListedBot", "addresses": "198.51.100.0/24"}}}
        both = {"listeners": {"any_of": ["main", "behind"]}}
        filters: dict[str, Any] = {
            "strict": {"crawlers": crawlers},
            "people": {"crawlers": crawlers, "programs": "refuse"},
            "report": {"crawlers": crawlers, "mode": "report", "programs": "refuse"},
            "lax": {"crawlers": {**crawlers, "undecided": "pass"}},
            "dead": {"crawlers": {"resolvers": "127.0.0.1:9"}},
            "dead_lax": {"crawlers": {"resolvers": "127.0.0.1:9", "undecided": "pass"}},
            "spared": {"programs": "refuse", "exceptions": "192.0.2.0/28"},
        }
        self.config = {
            "listeners": {
                "main": {"address": "127.0.0.1:0", "tls": tls},
                "behind": {"address": "127.0.0.1:0", "plaintext": "test", "trusted_proxies": PROXIES},
            },
            "identity_providers": {"id": self.issuer.provider()},
            "services": {"origin": configs.service(self.service)},
            "routes": {
                **{
                    name: configs.route(f"/{name}/{{rest...}}", bot_filter=one, **both)
                    for name, one in filters.items()
                },
                "closed": configs.route(
                    "/closed/{rest...}",
                    bot_filter=filters["strict"],
                    access="authenticated",
                    authenticate="id",
                    **both,
                ),
            },
        }
        self.gate = Gateway(self.config)
        self.url = f"https://localhost:{self.gate.port}"

    def bot(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.gate.log_line(path=path)["bot"]
        return found

    def crawl(self, path: str, client: str, agent: str = GOOGLEBOT) -> Any:
        return self.gate.get(path, by_proxy(client, agent), listener="behind")

    def refuses(self, reply: Any, reason: str, status: int = 403) -> str:
        assert (reply.status, reply.reason) == (status, reason), reply.body
        assert self.service.saw_nothing()
        return str(reply.json()["detail"])

    def passes(self, reply: Any) -> None:
        assert reply.status == 200, reply.body
        self.service.forget()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, certificate: trustme.LeafCert) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("tls")
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    key.chmod(0o600)
    started = Shop(
        {"profile": "intermediate", "certificates": [{"chain": str(chain), "key": {"file": str(key)}}]}
    )
    yield started
    started.gate.stop(0)
    for one in (started.service, started.names, started.issuer):
        one.close()


def curl(url: str, fields: dict[str, str]) -> int:
    words = [word for name, value in fields.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sk", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", *words, url]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def python(url: str, fields: dict[str, str]) -> int:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=fields), context=context, timeout=30
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def go(url: str, fields: dict[str, str]) -> int:
    words = [word for pair in fields.items() for word in pair]
    return int(
        subprocess.run([go_program("fetch"), url, *words], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize("fetch", [curl, python, go])
def test_programs_pass_as_what_they_are_and_not_as_browsers(shop: Shop, fetch: Callable[..., int]) -> None:
    name = fetch.__name__
    assert fetch(f"{shop.url}/strict/{name}-honest", {}) == 200
    assert shop.bot(f"/strict/{name}-honest")["kind"] == "program"
    shop.service.forget()
    assert fetch(f"{shop.url}/people/{name}-unwanted", {}) == 403
    for kind, fields in (("named", {"user-agent": AGENT}), ("copied", COPIED)):
        path = f"/strict/{name}-{kind}"
        assert fetch(shop.url + path, fields) == 403, kind
        seen = shop.bot(path)
        assert (seen["kind"], seen["outcome"], seen["hello_of_program"]) == ("impostor", "refused", 6), seen
        assert (
            seen["score"]
            == sum(points for points in seen.values() if isinstance(points, int)) - seen["score"]
        )
    assert shop.service.saw_nothing()


def test_a_real_browser_has_nothing_against_it(shop: Shop, tmp_path: Any) -> None:
    page = (
        b"<!doctype html><title>shop</title><img src=/people/image><a id=file href=/people/file download>x</a><script>"
        b"fetch('/people/data');fetch('/people/language',{headers:{'Accept-Language':'de'}});new Worker('/people/worker');"
        b"navigator.sendBeacon('/people/beacon','x');document.getElementById('file').click()</script>"
    )
    html = [("Content-Type", "text/html")]
    policy = ("Content-Security-Policy-Report-Only", "worker-src 'none'; report-uri /people/report")
    shop.service.answers(body=b"<!doctype html><title>shop</title>", headers=html)
    with chromium(tmp_path, {}) as browser:
        agent = str(browser.run("return navigator.userAgent"))
        browser.go(f"{shop.url}/strict/headless")
        assert browser.title == "shop"
        assert shop.bot("/strict/headless")["kind"] == "program", "it says itself that nobody sits before it"
        shop.service.answers(body=page, headers=[*html, policy])
        browser.become(agent.replace("HeadlessChrome", "Chrome"))
        browser.go(f"{shop.url}/people/page")
        assert browser.title == "shop"
        for name in ("page", "data", "image", "language", "worker", "beacon", "file", "report"):
            path = f"/people/{name}"
            seen = shop.bot(path)
            assert (seen["kind"], seen["score"]) == ("browser", 0), (path, seen)
        line = shop.gate.log_line(path="/people/page")
        assert line["ja4"].startswith("t13d") and "8daaf6152771" in line["ja4"]
    shop.service.answers()
    shop.service.forget()


def test_the_answer_says_what_to_do_and_not_what_gave_it_away(shop: Shop) -> None:
    # no hello is known behind a proxy, and none is missed
    told = shop.refuses(
        shop.gate.get(
            "/strict/impostor", by_proxy("192.0.2.20", AGENT, ("Accept", "*/*")), listener="behind"
        ),
        "bot_refused",
    )
    assert "use a browser as it is" in told and "_" not in told
    seen = shop.bot("/strict/impostor")
    assert seen["score"] >= 6 and "hello_unknown" not in seen
    program = by_proxy("192.0.2.20", "curl/8")
    assert "programs" in shop.refuses(shop.gate.get("/people/a", program, listener="behind"), "bot_refused")
    scanner = by_proxy("192.0.2.20", "sqlmap/1.8")
    shop.refuses(shop.gate.get("/strict/a", scanner, listener="behind"), "bot_refused")
    shop.passes(shop.gate.get("/strict/a", program, listener="behind"))
    shop.passes(shop.gate.get("/spared/a", by_proxy("192.0.2.5"), listener="behind"))
    shop.refuses(shop.gate.get("/spared/a", by_proxy("192.0.2.20"), listener="behind"), "bot_refused")


def test_what_hides_a_name_hides_nothing(shop: Shop) -> None:
    def ask(path: str, *more: tuple[str, str], agent: str | None = AGENT) -> Any:
        return shop.gate.get(path, by_proxy("192.0.2.20", agent, *more), listener="behind")

    # a route that knows no WebSocket answers as it does others
    shop.refuses(ask("/strict/a", ("Connection", "Upgrade"), ("Upgrade", "websocket")), "bot_refused")
    twice = ("User-Agent", "x"), ("User-Agent", "x")
    shop.refuses(ask("/strict/a", *twice, agent=None), "bot_refused")
    shop.passes(ask("/report/twice", *twice, agent=None))
    assert shop.bot("/report/twice")["outcome"] == "reported"
    long = f"MSIE 10{'a' * 1_100} {GOOGLEBOT}"
    shop.refuses(ask("/strict/a", agent=long), "crawler_unverified")
    shop.refuses(shop.crawl("/strict/a", "198.51.100.9", "ListedBot/1 Googlebot"), "crawler_unverified")
    for name in ("User_Agent", "user.agent", "Sec_CH_UA", "accept_language"):
        assert ask("/strict/a", (name, "alias"), agent="curl/8").status == 200
        assert not [value for _, value in shop.service.requests[-1].headers if value == "alias"], name
    shop.service.forget()


def test_crawlers_are_who_they_say(shop: Shop) -> None:
    names = shop.names
    names.knows("192.0.2.1", "crawl-192-0-2-1.googlebot.com")
    names.knows("2001:db8::1", "crawl-1.googlebot.com")
    shop.passes(shop.crawl("/people/genuine", "192.0.2.1"))
    shop.passes(shop.crawl("/people/six", "2001:db8::1"))
    seen = shop.bot("/people/genuine")
    assert (seen["kind"], seen["outcome"], seen["crawler"]) == ("crawler", "verified", "googlebot")
    shop.passes(shop.crawl("/strict/a", "198.51.100.9", "ListedBot/2"))
    shop.refuses(shop.crawl("/strict/a", "198.51.101.9", "ListedBot/2"), "crawler_unverified")
    # known, and not among those that may
    shop.refuses(shop.crawl("/strict/a", "192.0.2.1", "bingbot/2.0"), "bot_refused")
    # what a person has Google fetch, and a name that leads to a stranger
    names.knows("192.0.2.50", "google-proxy-192-0-2-50.google.com")
    shop.refuses(shop.crawl("/strict/a", "192.0.2.50"), "crawler_unverified")
    names.knows("192.0.2.51", "rate-limited-proxy-192-0-2-51.google.com")
    shop.passes(shop.crawl("/strict/a", "192.0.2.51"))
    # who it is is no credential
    assert shop.crawl("/closed/a", "192.0.2.1").reason == "credential_missing"
    assert shop.service.saw_nothing()


def test_an_address_is_asked_about_once(shop: Shop) -> None:
    client, name = "192.0.2.4", "crawl-4.googlebot.com"
    shop.names.knows(client, name)
    known = shop.names.zone[reverse(client), PTR]
    begun, go_on = threading.Event(), threading.Event()

    def slow(asked: bytes) -> list[bytes]:
        begun.set()
        assert go_on.wait(20)
        return [message(asked, known)]  # type: ignore[arg-type]

    shop.names.zone[reverse(client), PTR] = slow
    replies: list[Any] = []
    asking = [
        threading.Thread(target=lambda: replies.append(shop.crawl("/strict/once", client))) for _ in range(4)
    ]
    for one in asking:
        one.start()
    assert begun.wait(20)
    go_on.set()
    for one in asking:
        one.join(40)
    assert [reply.status for reply in replies] == [200] * 4
    shop.passes(shop.crawl("/strict/once", client))
    # another route asks the same resolvers the same thing
    shop.passes(shop.crawl("/people/once", client))
    assert shop.names.asked.count((reverse(client), PTR)) == 1


def test_where_dns_says_nothing(shop: Shop) -> None:
    told = shop.refuses(shop.crawl("/dead/a", "192.0.2.6"), "crawler_unknown", 503)
    assert "try again later" in told
    # whoever has an address can bring that about
    shop.names.zone[reverse("192.0.2.10"), PTR] = dns.SERVFAIL
    shop.refuses(shop.crawl("/lax/a", "192.0.2.10"), "crawler_unverified")
    shop.refuses(shop.crawl("/strict/a", "192.0.2.10"), "crawler_unknown", 503)
    shop.passes(shop.crawl("/dead_lax/undecided", "192.0.2.7"))
    assert shop.bot("/dead_lax/undecided")["outcome"] == "passed"
    shop.refuses(shop.crawl("/lax/a", "192.0.2.8"), "crawler_unverified")


def test_reported_is_logged_and_counted_and_passes(shop: Shop) -> None:
    count = shop.gate.metric("yett_bot_requests_total", route="report", outcome="reported")
    shop.passes(shop.crawl("/report/program", "192.0.2.9", "curl/8"))
    # nobody waits for DNS where he passes anyway: it is asked for those that come later
    begun, go_on = threading.Event(), threading.Event()

    def slow(asked: bytes) -> list[bytes]:
        begun.set()
        assert go_on.wait(20)
        return [message(asked, code=3)]

    shop.names.zone[reverse("192.0.2.9"), PTR] = slow
    shop.passes(shop.crawl("/report/first", "192.0.2.9"))
    assert begun.wait(20)
    assert shop.bot("/report/first")["outcome"] == "undecided"
    go_on.set()
    told = shop.crawl("/strict/a", "192.0.2.9")
    shop.refuses(told, "crawler_unverified")
    shop.passes(shop.crawl("/report/crawler", "192.0.2.9"))
    assert shop.bot("/report/crawler")["outcome"] == shop.bot("/report/program")["outcome"] == "reported"
    assert shop.gate.metric("yett_bot_requests_total", route="report", outcome="reported") == count + 2
    assert shop.gate.metric("yett_crawler_lookups_total", outcome="false") >= 1


def test_explained(shop: Shop) -> None:
    engine = Engine(*compiled(shop.gate.write(shop.config)))

    def ask(agent: str | None) -> dict[str, Any]:
        headers = (("User-Agent", agent),) if agent else ()
        question = Question("GET", "https://gateway.test/people/a", headers=headers, listener="main")
        return dict(engine.decide(question))

    decision = ask(AGENT)
    assert decision["refusal"]["reason"] == "bot_refused"
    assert decision["bot"]["signals"]["fetch_metadata_missing"] == 3
    assert ask("curl/8")["bot"]["kind"] == "program"
    # nobody is asked for a tool, and what a tool does not say is not judged
    assert ask(GOOGLEBOT)["refusal"]["reason"] == "crawler_unknown"
    assert ask(None)["outcome"] == "allow"

    def told(agent: str | None) -> list[str]:
        headers = (("User-Agent", agent),) if agent else ()
        question = Question("GET", "https://gateway.test/people/a", headers=headers, listener="main")
        return list(explain.lines(explain.explain(engine, question)))

    refused = told(AGENT)
    assert any(line.split()[:2] == ["bots", "REFUSED"] for line in refused), refused
    assert not any(line.startswith("authenticate") for line in refused)
    assert any("no User-Agent" in line for line in told(None))
    assert not any("no User-Agent" in line for line in told("curl/8"))
