"""Sessions that the gateway keeps: a browser has a handle, and a store that instances share has the rest."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import configs
from tests.support.browser import Browser
from tests.support.gateway import Gateway
from tests.support.process import Process
from tests.support.redis import Redis
from tests.support.site import Instance, Site, endpoints
from tests.support.waiting import eventually

SiteFactory = Callable[..., Site]
COOKIE = "__Host-yett-staff"
SESSIONS = "yett:{session}:*"


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def on_disk(site: SiteFactory, tmp_path: Path) -> SiteFactory:
    """A site whose sessions are on disk."""
    return lambda **options: site(
        session={"store": "server", **options.pop("session", {})},
        config={"state": {"directory": str(tmp_path / "state")}},
        **options,
    )


@pytest.fixture
def in_redis(site: SiteFactory, redis: Redis) -> SiteFactory:
    """A site whose sessions are in `redis`."""
    return lambda **options: site(
        session={"store": "server", **options.pop("session", {})},
        config={"state": {"redis": redis.config()}},
        **options,
    )


def keys(redis: Redis) -> list[str]:
    """Keys of the sessions in it."""
    found = f"return table.concat(redis.call('KEYS', '{SESSIONS}'), ' ')"
    return redis.ask("EVAL", found, "0").split()


def test_a_browser_has_a_handle_and_the_store_neither_that_nor_a_name(
    on_disk: SiteFactory, tmp_path: Path
) -> None:
    here = on_disk()
    browser = here.browser()
    browser.login()
    assert browser.fetch("/app").status_code == 200
    assert list(browser.cookies) == [COOKIE]
    found = re.fullmatch(r"1\.([A-Za-z0-9_-]{43})", browser.cookies[COOKIE])
    assert found
    raw = base64.urlsafe_b64decode(found[1] + "=")
    line = here.gateway.log_line(status=200)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert len(stored) > 1000
    for secret in (found[1].encode(), raw, b"ann", line["session"].encode(), b"refresh"):
        assert secret not in stored, secret
    assert found[1].encode() not in here.gateway.log_text()
    other = here.browser()
    other.login()
    assert other.cookies[COOKIE] != browser.cookies[COOKIE]


def test_a_session_survives_a_restart_and_its_end_does_too(
    on_disk: SiteFactory, gateway: Callable[..., Gateway]
) -> None:
    here = on_disk()
    browser, other = here.browser(), here.browser()
    browser.login()
    other.login(who="bob")
    assert browser.fetch("/.yett/staff/logout", "POST").status_code == 204
    kept, left = dict(other.cookies), {COOKIE: "1." + "A" * 43}
    host = f"localhost:{here.gateway.port}"
    here.gateway.stop()
    again = Browser(gateway(here.config), here.provider, here.tls)
    here.browsers.append(again)

    def fetch(cookies: dict[str, str]) -> httpx.Response:
        again.jar["localhost"] = dict(cookies)
        return again.fetch("/app", host=host)

    assert fetch(kept).status_code == 200
    for gone in (dict(browser.cookies), left):
        assert fetch(gone).status_code == 401


def test_instances_share_sessions_and_their_end(
    in_redis: SiteFactory, gateway: Callable[..., Gateway], redis: Redis
) -> None:
    here = in_redis()
    instance = Instance(here, gateway(here.config))
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    assert len(keys(redis)) == 1
    for _ in range(3):
        assert instance.fetch(kept).status_code == 200
        assert browser.fetch("/app").status_code == 200
    assert instance.fetch(kept, "/.yett/staff/logout", "POST").status_code == 204
    assert keys(redis) == []

    def refused() -> bool:
        browser.jar["localhost"] = dict(kept)
        return browser.fetch("/app").status_code == 401

    eventually(refused, 5, "the logout on the other instance")
    assert browser.cookies == {}
    seen = len(here.origin.requests)
    browser.jar["localhost"] = dict(kept)
    assert browser.fetch("/app").json()["reason"] == "session_expired"
    assert instance.fetch(kept).json()["reason"] == "session_expired"
    assert here.origin.saw_no_more_than(seen)


def test_of_all_instances_one_refreshes_a_session(
    in_redis: SiteFactory, gateway: Callable[..., Gateway]
) -> None:
    """The provider takes a refresh token once, and ends the session of whoever uses it again."""
    here = in_redis()
    here.provider.configure(ttl={"AccessToken": 4})
    instances = [Instance(here, gateway(here.config, workers=2)) for _ in range(8)]
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    here.provider.seen()
    asked: list[str] = []

    def refreshed() -> bool:
        with ThreadPoolExecutor(len(instances)) as pool:
            assert set(pool.map(lambda one: one.fetch(kept).status_code, instances)) == {200}
        asked.extend(here.provider.seen())
        return asked.count("POST /token") >= 3

    eventually(refreshed, 40, "three refreshes")
    assert asked.count("POST /token") == 3


def ended(here: Site) -> dict[str, str]:
    """The handle of a session whose access has just ended, and the next one does not."""
    here.provider.configure(ttl={"AccessToken": 1})
    browser = here.browser()
    browser.login()
    over = time.time() + 2
    here.provider.configure(ttl={"AccessToken": 600})
    eventually(lambda: time.time() >= over, what="the end of the access token")
    here.provider.seen()
    return dict(browser.cookies)


def test_a_refresh_of_another_instance_is_waited_for(
    in_redis: SiteFactory, gateway: Callable[..., Gateway], redis: Redis
) -> None:
    """All come when the access has ended: the one that refreshes keeps the others waiting, and none is refused."""
    here = in_redis()
    instances = [Instance(here, gateway(here.config)) for _ in range(4)]
    kept = ended(here)
    (key,) = keys(redis)
    looks = f'"GET" "{key}"'
    with redis.watched() as commands, ThreadPoolExecutor(len(instances)) as pool:
        here.provider.pause()
        try:
            answers = [pool.submit(one.fetch, kept) for one in instances]

            def waiting() -> bool:
                """All have read it once, and those that wait again and again; or one did not wait."""
                found = sum(looks in line for line in list(commands))
                return found >= 6 * len(instances) or any(one.done() for one in answers)

            eventually(waiting, 7, "instances that look for what the one makes of the session")
            early = [one.result().status_code for one in answers if one.done()]
        finally:
            here.provider.resume()
        statuses = [one.result().status_code for one in answers]
    assert early == [], "the provider had not answered yet"
    assert statuses == [200] * len(instances)
    assert here.provider.seen().count("POST /token") == 1


def test_the_crash_of_the_instance_that_refreshes_costs_a_pause_and_no_session(
    in_redis: SiteFactory, tmp_path: Path
) -> None:
    """Nobody else refreshes while it may still be at it; then the next one does, and the token is spent once."""
    here = in_redis()
    with socket.create_server(("127.0.0.1", 0)) as hole:
        # The same site, but for a provider that never answers it.
        nowhere = {**endpoints(here.provider), "token": f"http://127.0.0.1:{hole.getsockname()[1]}/token"}
        directory = tmp_path / "doomed"
        directory.mkdir()
        doomed = Process(configs.deep(here.config, identity_providers__staff__endpoints=nowhere), directory)
        try:
            instance = Instance(here, doomed)
            kept = ended(here)
            with ThreadPoolExecutor(1) as pool:
                lost = pool.submit(instance.fetch, kept)
                hole.settimeout(20)
                asking, _ = hole.accept()
                with asking:
                    asking.settimeout(20)
                    assert asking.recv(64).startswith(b"POST /token ")
                    doomed.process.kill()
                    doomed.wait()
                assert isinstance(lost.exception(), httpx.TransportError)
        finally:
            doomed.stop()
    browser, answers = here.browser(), []

    def served() -> bool:
        browser.jar["localhost"] = dict(kept)
        answer = browser.fetch("/app")
        answers.append(answer.status_code)
        if answer.status_code == 503:
            assert answer.json()["reason"] == "identity_provider_unavailable"
        return answer.status_code == 200

    eventually(served, 60, "a refresh after the pause")
    assert answers[:-1] == [503] * (len(answers) - 1) and len(answers) > 1, answers
    assert here.provider.seen().count("POST /token") == 1
    assert len(here.origin.requests) == 1


def test_a_store_that_is_down_refuses_and_says_why(in_redis: SiteFactory, redis: Redis) -> None:
    here = in_redis()
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    redis.stop()

    def refused() -> bool:
        return browser.fetch("/app").status_code == 503

    eventually(refused, 20, "a request that needs the store")
    seen = len(here.origin.requests)
    assert browser.fetch("/app").json()["reason"] == "state_unavailable"
    assert browser.fetch("/.yett/staff/logout", "POST").status_code == 503
    assert browser.cookies == kept
    late = here.browser()
    answer = late.page("/app")
    back = late.page(late.at_provider(answer.headers["location"]))
    assert back.status_code == 503
    assert COOKIE not in late.cookies
    assert here.origin.saw_no_more_than(seen)
    assert browser.fetch("/open/x").status_code == 200
    redis.start()
    eventually(lambda: browser.fetch("/app").status_code == 401, 20, "an empty store")
    assert browser.login().status_code == 303
    assert browser.page("/app").status_code == 200


def test_what_stands_in_the_store_is_good_at_its_own_place_alone(in_redis: SiteFactory, redis: Redis) -> None:
    """Who writes in the store makes no session, and turns none into another one."""
    here = in_redis()
    ann, bob = here.browser(), here.browser()
    ann.login(who="ann")
    (hers,) = keys(redis)
    bob.login(who="bob")
    (his,) = set(keys(redis)) - {hers}
    assert redis.ask("COPY", hers, his, "REPLACE") == "1"
    answer = bob.fetch("/app")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_invalid")
    assert redis.ask("SET", his, "{}") == "OK"
    assert bob.fetch("/app").json()["reason"] == "session_invalid"
    assert here.origin.saw_nothing()
    assert ann.fetch("/app").status_code == 200


def test_a_handle_that_is_none_opens_nothing(on_disk: SiteFactory) -> None:
    here = on_disk()
    browser = here.browser()
    browser.login()
    handle = browser.cookies[COOKIE]
    for forged, reason in (
        (handle[:-4], "session_invalid"),
        (f"{handle}AA", "session_invalid"),
        (f"{handle}=", "session_invalid"),
        ("2" + handle[1:], "session_invalid"),
        ("1." + "A" * 43, "session_expired"),
        (handle[:2] + handle[2:-1].swapcase() + handle[-1], "session_expired"),
    ):
        browser.jar["localhost"] = {COOKIE: forged}
        answer = browser.fetch("/app")
        assert (answer.status_code, answer.json()["reason"]) == (401, reason), forged
    assert here.origin.saw_nothing()


def test_a_login_makes_a_session_of_its_own_and_ends_that_of_before(
    in_redis: SiteFactory, redis: Redis
) -> None:
    here = in_redis()
    browser, thief = here.browser(), here.browser()
    planted = "1." + "B" * 43
    browser.jar["localhost"] = {COOKIE: planted}
    browser.login()
    assert browser.cookies[COOKIE] != planted
    (first,) = keys(redis)
    thief.jar["localhost"] = dict(browser.cookies)
    location = browser.page("/.yett/staff/login?return_to=/app").headers["location"]
    assert browser.page(browser.at_provider(location)).status_code == 303
    (second,) = keys(redis)
    assert first != second
    assert browser.fetch("/app").status_code == 200
    eventually(lambda: thief.fetch("/app").status_code == 401, 20, "the end of the session of before")


def test_what_is_revoked_leaves_the_store(in_redis: SiteFactory, redis: Redis) -> None:
    here = in_redis()
    ann, bob = here.browser(), here.browser()
    ann.login(who="ann")
    bob.login(who="bob")
    assert len(keys(redis)) == 2
    ask: dict[str, Any] = {"by": "test", "revoke": {"subject": "ann", "issuer": here.provider.issuer}}
    assert json.loads(here.gateway.core.revocations(json.dumps(ask).encode()))["acknowledged"]
    answer = ann.fetch("/app")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_expired")
    assert len(keys(redis)) == 1
    assert here.origin.saw_nothing()
    assert bob.fetch("/app").status_code == 200


def test_use_keeps_a_session_without_another_cookie(in_redis: SiteFactory, redis: Redis) -> None:
    here = in_redis(session={"idle": "4s", "absolute": "1h"})
    browser = here.browser()
    browser.login()
    kept = dict(browser.cookies)
    (key,) = keys(redis)
    before = redis.ask("GET", key)

    def renewed() -> bool:
        assert browser.fetch("/app").status_code == 200
        assert browser.cookies == kept
        return redis.ask("GET", key) != before

    eventually(renewed, 20, "the session to be written anew")
    assert 0 < int(redis.ask("PTTL", key)) <= 65_000


def test_an_idle_session_ends(in_redis: SiteFactory, redis: Redis) -> None:
    here = in_redis(session={"idle": "2s", "absolute": "1h"})
    browser = here.browser()
    browser.login()
    (key,) = keys(redis)
    # It is kept for a minute after its end, for instances whose clocks differ.
    eventually(lambda: int(redis.ask("PTTL", key)) < 59_000, 20, "the end of the session")
    answer = browser.fetch("/app")
    assert (answer.status_code, answer.json()["reason"]) == (401, "session_expired")
    assert browser.cookies == {}
    assert here.origin.saw_nothing()


def test_a_session_that_fails_is_counted_for_its_provider(
    on_disk: SiteFactory, issuer: Callable[..., Any], tmp_path: Path
) -> None:
    """Also where a route accepts others."""
    here = on_disk()
    here.reload(
        identity_providers__id=issuer().inline(tmp_path),
        routes__app__authenticate={"any_of": ["id", "staff"]},
    )
    browser = here.browser()
    browser.jar["localhost"] = {COOKIE: "1." + "A" * 43}
    assert browser.fetch("/app/x").json()["reason"] == "session_expired"

    def counted() -> bool:
        return (
            here.gateway.metric(
                "yett_authentication_failures_total", provider="staff", reason="session_expired"
            )
            == 1
        )

    eventually(counted, 10, "the failure")
