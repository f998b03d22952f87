"""csrf: whose pages may write, for public routes, sessions and client certificates; and who is not asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import configs
from tests.support.gateway import Gateway, compiled
from tests.support.issuer import Issuer
from tests.support.origin import Origin
from tests.support.site import Site
from yett.config import compile_file
from yett.policy.engine import Engine, Question

Gateways = Callable[..., Gateway]
Origins = Callable[..., Origin]
OWN = "http://gateway.test"
APP = "https://app.example"
COOKIE = {"Cookie": "session=secret"}
METHODS = {"any_of": ["GET", "POST", "PUT", "DELETE", "OPTIONS"]}


def shop(service: Origin, **csrf: Any) -> configs.Config:
    return configs.public(service, methods=METHODS, csrf=csrf)


def test_reading_is_not_asked_about(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service))
    for method in ("GET", "HEAD", "OPTIONS"):
        assert gate.request(method, "/", {**COOKIE, "Origin": "https://evil.example"}).status == 200
    service.saw_no_more_than(3)


def test_a_program_on_a_public_route(gateway: Gateways, origin: Origins) -> None:
    """It has no cookie, and says nothing of a page."""
    gate = gateway(shop(origin()))
    assert gate.post("/").status == 200
    refused = gate.post("/", headers=COOKIE)
    assert (refused.status, refused.reason) == (403, "csrf_refused")
    assert "neither" in refused.json()["detail"]


def test_pages_that_are_named(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, origins={"any_of": [APP, "https://*.preview.example"]}))
    passing: list[dict[str, str]] = [
        {"Origin": OWN},
        {"Origin": OWN, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
        {"Origin": APP, "Sec-Fetch-Site": "same-site"},
        {"Origin": APP},
        {"Origin": "https://pr-1.preview.example", "Sec-Fetch-Site": "cross-site"},
    ]
    for headers in passing:
        for more in ({}, COOKIE):
            assert gate.request("PUT", "/", {**headers, **more}).status == 200, headers
    service.saw_no_more_than(2 * len(passing))


def test_the_referer_counts_where_it_is_said(gateway: Gateways, origin: Origins) -> None:
    service = origin()
    gate = gateway(shop(service, origins=APP, referer=True))
    for referer in (f"{OWN}/page?x=1", OWN, f"{APP}/a"):
        assert gate.post("/", headers={**COOKIE, "Referer": referer}).status == 200, referer
    for referer in (
        "https://evil.example/",
        f"{OWN}.evil.example/",
        f"https://evil.example/?{OWN}",
        "http://gateway.test@evil.example/",
        "about:blank",
        "",
    ):
        assert gate.post("/", headers={**COOKIE, "Referer": referer}).reason == "csrf_refused", referer
    twice = [("Cookie", "a=b"), ("Referer", OWN), ("Referer", OWN)]
    assert gate.request("POST", "/", twice).reason == "csrf_refused"
    # What browsers say themselves goes before it.
    both = {**COOKIE, "Referer": OWN, "Origin": "https://evil.example"}
    assert gate.post("/", headers=both).reason == "csrf_refused"
    service.saw_no_more_than(3)


def test_a_token_is_not_asked_about(
    gateway: Gateways, origin: Origins, issuer: Callable[..., Issuer], site: Callable[..., Site]
) -> None:
    here = site()
    tokens = issuer()
    here.reload(
        identity_providers__api=tokens.inline(here.directory),
        routes__page__authenticate={"any_of": ["staff", "api"]},
        routes__page__csrf={},
    )
    headers = {"authorization": f"Bearer {tokens.token()}", "origin": "https://evil.example"}
    browser = here.browser()
    browser.login()
    assert browser.send("POST", "/app", headers).status_code == 200
    refused = browser.send("POST", "/app", {"origin": "https://evil.example"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "csrf_refused")


def test_a_session_takes_named_pages_too(site: Callable[..., Site]) -> None:
    here = site()
    browser = here.browser()
    browser.login()
    foreign = {"origin": APP, "sec-fetch-site": "cross-site"}
    assert browser.send("POST", "/app", foreign).status_code == 403
    here.reload(routes__page__csrf={"origins": APP})
    assert browser.send("POST", "/app", foreign).status_code == 200
    assert browser.send("POST", "/app", {**foreign, "origin": "https://evil.example"}).status_code == 403
    assert browser.send("POST", "/app", {}).status_code == 403
    # A page that sends no referrer has forms, too.
    for headers, status in (({"sec-fetch-site": "same-origin"}, 200), ({"sec-fetch-site": "same-site"}, 403)):
        answer = browser.send("POST", "/app", {"origin": "null", **headers})
        assert answer.status_code == status, headers


def test_a_group_says_it_for_its_routes(
    gateway: Gateways, origin: Origins, site: Callable[..., Site]
) -> None:
    here = site()
    group = {"hosts": "any", "access": "authenticated", "authenticate": "staff", "csrf": {"origins": APP}}
    route = {"group": "own", "match": {"path": "/app", "methods": METHODS}, "service": "origin"}
    here.reload(groups={"own": group}, routes__page=route)
    browser = here.browser()
    browser.login()
    assert browser.send("PUT", "/app", {"origin": APP}).status_code == 200
    assert browser.send("PUT", "/app", {"origin": "https://evil.example"}).status_code == 403


def test_a_policy_tool_asks_the_same(gateway: Gateways, origin: Origins) -> None:
    gate = gateway(configs.public(origin()))
    engine = Engine(*compiled(gate.write(shop(origin(), origins=APP))))

    def decided(**headers: str) -> Any:
        return engine.decide(Question("POST", "http://gateway.test/a", tuple(headers.items())))

    assert decided(Origin=APP)["outcome"] == "allow"
    assert decided(Origin="https://evil.example")["refusal"]["reason"] == "csrf_refused"


def test_a_policy_tool_takes_a_token_for_that_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom it takes as logged in has a session that nobody has, `needed` or `always`."""
    monkeypatch.setenv("YETT_TEST_SECRET", "only for this test, 0123456789ab")
    monkeypatch.setenv("YETT_TEST_SESSION_KEY", "ab" * 32)
    made = compile_file(Path("tests/config/cases/good/csrf_token.yaml"))
    engine = Engine(made.ir, made.secrets, offline=True)
    caller = {"provider": "staff", "claims": {"sub": "ann"}}
    always, needed = (
        ("/a", {"Sec-Fetch-Site": "same-origin"}, "csrf_token_invalid"),
        ("/b", {}, "csrf_refused"),
    )
    for path, page, without in (always, needed):

        def decided(headers: dict[str, str], path: str = path) -> Any:
            url = f"http://app.example.com{path}"
            return engine.decide(Question("POST", url, tuple(headers.items()), principals=(caller,)))

        assert decided({**page, "X-CSRF-Token": "anything"})["outcome"] == "allow", path
        assert decided(page)["refusal"]["reason"] == without, path


def test_no_record_where_the_page_was_the_reason(gateway: Gateways, origin: Origins, tmp_path: Path) -> None:
    """From whose page a request came is not recorded, so a replay could only guess."""
    service = origin()
    config = shop(service)
    key = configs.write_secret(tmp_path, "records.key", b"0123456789abcdef0123456789abcdef")
    config["decision_log"] = {"file": str(tmp_path / "decisions.jsonl"), "hash_key": {"file": key}}
    gate = gateway(config)
    assert gate.post("/", headers={"Origin": "https://evil.example"}).status == 403
    assert gate.post("/", headers={"Origin": OWN}).status == 200
    gate.wait_log(2)
    gate.stop()
    records = (tmp_path / "decisions.jsonl").read_text().splitlines()
    assert len(records) == 1 and '"decision":"allow"' in records[0]


@pytest.mark.parametrize("origins", [["any"], ["null"], ["https://*.com"], ["shop.example.com"]])
def test_the_data_plane_refuses_pages_of_anyone(
    gateway: Gateways, origin: Origins, origins: list[str]
) -> None:
    import json

    gate = gateway(shop(origin()))
    ir, secrets = compiled(gate.write(shop(origin())))
    document = json.loads(ir)
    document["routes"][0]["csrf"]["origins"] = origins
    with pytest.raises(ValueError, match=r"never `any`|top-level|is not an origin"):
        gate.core.apply(json.dumps(document).encode(), secrets)
