"""A live check of a session: what ended it anywhere counts for the very next request there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.redis import Redis
from tests.support.site import Instance, Site
from tests.support.waiting import eventually

SiteFactory = Callable[..., Site]
COOKIE = "__Host-yett-staff"
STORES = pytest.mark.parametrize("store", ["server", "cookie"])

# What another instance writes into the log, without the announcement: nobody knows of it who does not look.
SILENT = """
local n = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], n, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] .. ':' .. ARGV[2])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('SET', KEYS[5], 'an epoch', 'NX')
return n"""


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


def live_routes(**check: Any) -> dict[str, Any]:
    """`/live` looks for each request, or as `check` says; `/app` goes by what is remembered."""

    def route(path: str, **more: Any) -> dict[str, Any]:
        return configs.route(path, access="authenticated", authenticate="staff", **more)

    return {"page": route("/app"), "live": route("/live", live_check={"max_age": "0s", **check})}


@pytest.fixture
def live(site: SiteFactory, origin: Callable[..., Any], redis: Redis) -> SiteFactory:
    """A site with a live check, whose state is in `redis`."""

    def start(store: str = "server", check: dict[str, Any] | None = None, **options: Any) -> Site:
        state = {"redis": redis.config(**options.pop("redis", {}))}
        here = site(
            session={"store": store, **options.pop("session", {})}, config={"state": state}, **options
        )
        here.reload(configs.deep(here.config, routes=live_routes(**(check or {}))))
        return here

    return start


def sessions(redis: Redis) -> list[str]:
    """Keys of the sessions in it."""
    found = "return table.concat(redis.call('KEYS', 'yett:{session}:*'), ' ')"
    return redis.ask("EVAL", found, "0").split()


def revoke_silently(redis: Redis, subject: str) -> None:
    """As another instance would, of which no message comes."""
    until = int(time.time() * 1000) + 3_600_000
    what = {"kind": "subject", "issuer": None, "id": subject}
    one = {"id": hashlib.md5(subject.encode()).hexdigest(), "what": what}
    record = json.dumps({"revoke": {**one, "until_ms": until, "made_ms": until - 3_600_000, "by": "test"}})
    names = [f"yett:{{log}}:{part}" for part in ("number", "order", "entries", "ends", "epoch")]
    digest = hashlib.sha256(record.encode()).hexdigest()
    assert int(redis.ask("EVAL", SILENT, "5", *names, digest, record, str(until))) > 0


def over(answer: httpx.Response) -> bool:
    return answer.status_code == 401 and answer.json()["reason"] == "session_expired"


@pytest.mark.parametrize("many", [1, 2])
def test_a_session_that_left_the_store_is_refused_on_the_next_request(
    live: SiteFactory, redis: Redis, many: int
) -> None:
    here = live(workers=many)
    for who in ("ann", "bob", "eve"):
        browser = here.browser()
        browser.login(who=who)
        for _ in range(2 * many):
            assert browser.fetch("/app").status_code == 200
            assert browser.fetch("/live").status_code == 200
        kept, seen = dict(browser.cookies), len(here.origin.requests)
        for key in sessions(redis):
            redis.ask("DEL", key)
        assert over(browser.fetch("/live"))
        assert browser.cookies == {}
        browser.jar["localhost"] = dict(kept)
        person = browser.page("/live")
        assert person.status_code == 302 and "/auth?" in person.headers["location"]
        assert here.origin.saw_no_more_than(seen)


@STORES
def test_a_logout_on_another_instance_counts_for_the_next_request(
    live: SiteFactory, gateway: Callable[..., Gateway], store: str
) -> None:
    here = live(store)
    instance = Instance(here, gateway(here.config))
    for who in ("ann", "bob", "eve"):
        browser = here.browser()
        browser.login(who=who)
        kept = dict(browser.cookies)
        assert browser.fetch("/live").status_code == browser.fetch("/app").status_code == 200
        assert instance.fetch(kept, "/.yett/staff/logout", "POST").status_code == 204
        seen = len(here.origin.requests)
        assert over(browser.fetch("/live"))
        assert browser.cookies == {}
        assert here.origin.saw_no_more_than(seen)


@STORES
def test_what_another_instance_revoked_is_read_before_a_session_counts(
    live: SiteFactory, redis: Redis, store: str
) -> None:
    """Not only when a message says that there is something to read."""
    here = live(store)
    for who in ("ann", "bob", "eve"):
        browser = here.browser()
        browser.login(who=who)
        assert browser.fetch("/live").status_code == 200
        revoke_silently(redis, who)
        seen = len(here.origin.requests)
        assert over(browser.fetch("/live"))
        assert here.origin.saw_no_more_than(seen)


@STORES
@pytest.mark.parametrize("loss", ["refuse", "local"])
def test_a_store_that_does_not_answer_confirms_nothing(
    live: SiteFactory, redis: Redis, store: str, loss: str
) -> None:
    here = live(store, redis={"state_loss": loss})
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    assert browser.fetch("/live").status_code == 200
    redis.stall()
    seen = len(here.origin.requests)
    answer = browser.fetch("/live")
    assert (answer.status_code, answer.json()["reason"]) == (503, "state_unavailable")
    assert browser.cookies == kept, "nobody said that it is over"
    redis.stop()
    assert browser.fetch("/live").json()["reason"] == "state_unavailable"
    assert here.origin.saw_no_more_than(seen)
    redis.start()
    # Empty: sessions in cookies count again, those of the store are gone.
    back = 401 if store == "server" else 200
    eventually(lambda: browser.fetch("/live").status_code == back, 20, "the return of the store")


def test_a_session_is_refreshed_and_renewed_under_a_live_check(
    live: SiteFactory, gateway: Callable[..., Gateway], redis: Redis
) -> None:
    here = live(session={"idle": "8s", "absolute": "1h"})
    here.provider.configure(ttl={"AccessToken": 4})
    browser = here.browser()
    browser.login()
    here.provider.seen()
    (key,) = sessions(redis)
    first, asked = redis.ask("GET", key), []

    def refreshed() -> bool:
        assert browser.fetch("/live").status_code == 200
        asked.extend(here.provider.seen())
        return asked.count("POST /token") >= 2

    eventually(refreshed, 40, "two refreshes")
    assert sessions(redis) == [key] and redis.ask("GET", key) != first
    redis.ask("DEL", key)
    assert over(browser.fetch("/live"))


def test_a_longer_max_age_goes_by_what_is_remembered_and_still_ends(live: SiteFactory, redis: Redis) -> None:
    here = live(check={"max_age": "6s"})
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    assert browser.fetch("/live").status_code == 200
    (key,) = sessions(redis)
    redis.ask("DEL", key)

    def refused() -> bool:
        browser.jar["localhost"] = dict(kept)
        return over(browser.fetch("/live"))

    eventually(refused, 30, "the end of what a worker remembers")


def test_without_instances_a_logout_is_known_at_once(site: SiteFactory, tmp_path: Path) -> None:
    """Nobody else revokes, so nobody is asked."""
    for number, options in enumerate(
        ({}, {"session": {"store": "server"}, "config": {"state": {"directory": str(tmp_path / "state")}}})
    ):
        here = site(workers=2, **options)
        here.reload(configs.deep(here.config, routes=live_routes()))
        browser, copy = here.browser(), here.browser()
        browser.login(who=f"ann{number}")
        copy.jar["localhost"] = dict(browser.cookies)
        for _ in range(4):
            assert copy.fetch("/live").status_code == 200
        assert browser.fetch("/.yett/staff/logout", "POST").status_code == 204
        seen = len(here.origin.requests)
        for _ in range(4):
            copy.jar["localhost"] = {COOKIE: "", **copy.cookies}
            assert copy.fetch("/live").status_code == 401
        assert here.origin.saw_no_more_than(seen)


def test_tokens_and_sessions_are_confirmed_on_one_route(
    site: SiteFactory,
    issuer: Callable[..., Any],
    authorization_server: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Each by who can: the issuer of the token, the store of the session."""
    here, identity, server = site(), issuer(), authorization_server()
    own = tmp_path / "issuer"
    own.mkdir()
    asked = {"endpoint": f"{server.base}/introspect", "client": server.client(own)}
    here.reload(
        identity_providers__id={**identity.inline(tmp_path), "introspection": asked, "plaintext": "test"},
        routes={
            **live_routes(),
            "live": configs.route(
                "/live",
                access="authenticated",
                authenticate={"any_of": ["id", "staff"]},
                live_check={"max_age": "0s"},
            ),
        },
    )
    browser = here.browser()
    answer = browser.login()
    assert answer.status_code == 303, answer.text
    answer = browser.fetch("/live")
    assert answer.status_code == 200, answer.text
    assert server.count() == 0
    token = identity.token()
    server.issue(token, iss=identity.issuer, jti="token-1")
    bearer = {"authorization": f"Bearer {token}"}
    assert browser.fetch("/live", **bearer).status_code == 200
    server.revoke(token)
    seen = len(here.origin.requests)
    assert browser.fetch("/live", **bearer).json()["reason"] == "token_inactive"
    assert here.origin.saw_no_more_than(seen)
    assert browser.fetch("/live").status_code == 200
