"""Proofs of work at logins: what is calculated counts once, for whom it was asked, in time, and for a few attempts."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme

from tests.support import configs
from tests.support.altcha import challenge_of, solution_of, solved_by_the_library
from tests.support.gateway import Gateway
from tests.support.login_service import FORM, answers, people
from tests.support.origin import Origin
from tests.support.wire import Reply, Wire

PAGE = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "User-Agent": "Browser/1",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "same-origin",
}
SCRIPT = {
    "Accept": "*/*", "User-Agent": "Browser/1", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/json",
}  # fmt: skip
PATH = "/.yett/challenge"
KNOWN = people(3)


ROUTES = 12
"""How often a route fails is counted for all who use it: each test has one of its own."""


class Site:
    """A login over TLS; the gateway is shared by the tests of this file, a route and addresses are a test's own."""

    def __init__(self, gate: Gateway, asked: Origin, tls: ssl.SSLContext, number: int) -> None:
        self.gate, self.asked, self.tls = gate, asked, tls
        self.route, self.login, self._addresses = f"login-{number}", f"/login/{number}", number * 10

    def address(self) -> str:
        """One from which nothing was tried."""
        self._addresses += 1
        return f"127.0.3.{self._addresses}"

    def ask(
        self, address: str, method: str, target: str, fields: dict[str, str], body: bytes = b"", **more: Any
    ) -> Reply:
        with Wire(
            self.gate.address(), tls=self.tls, server_name="gateway.test", source=(address, 0), timeout=40
        ) as wire:
            return wire.ask(method, target, fields, body, **more)

    def form(self, address: str, user: str, cookie: str = "", target: str = "", **fields: str) -> Reply:
        body = urlencode({"user": user, "password": KNOWN.get(user, f"guess at {user}")}).encode()
        sent = {**PAGE, "Content-Type": FORM, **({"Cookie": cookie} if cookie else {}), **fields}
        return self.ask(address, "POST", target or self.login, sent, body)

    def suspect(self, address: str, accounts: int = 5) -> None:
        """A program has failed from there."""
        for number in range(accounts):
            fields = {"User-Agent": "tool", "Accept": "*/*", "Sec-Fetch-Mode": "cors"}
            assert self.form(address, f"leaked-{number}", **fields).status == 401

    def send(self, address: str, payload: Any, **fields: str) -> Reply:
        return self.ask(address, "POST", PATH, {**SCRIPT, **fields}, json.dumps(payload).encode())

    def solved(self, address: str) -> dict[str, Any]:
        reply = self.form(address, "person-0")
        assert reply.status == 403, reply.body
        challenge = challenge_of(reply.body)
        return {"challenge": challenge, "solution": solution_of(challenge)}

    def proof(self, address: str) -> str:
        """`name=value` of the cookie."""
        reply = self.send(address, self.solved(address))
        assert reply.status == 204, reply.body
        return reply["set-cookie"].split(";")[0]


@pytest.fixture(scope="module")
def _shared(
    authority: trustme.CA, certificate: trustme.LeafCert, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Origin, ssl.SSLContext]]:
    directory = tmp_path_factory.mktemp("proofs")
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    key.chmod(0o600)
    tls = {"profile": "intermediate", "certificates": [{"chain": str(chain), "key": {"file": str(key)}}]}
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    asked = Origin()
    asked.behaviour = answers(KNOWN)
    guard = {"account": {"form": "user"}, "slow": "0s", "challenge": {"difficulty": 10, "attempts": 2}}
    methods = {"any_of": ["GET", "POST"]}
    routes = {
        f"login-{number}": configs.route(
            f"/login/{number}", methods, login_guard=guard, security_headers="strict"
        )
        for number in range(ROUTES)
    }
    config = {
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": tls}},
        "services": {"origin": configs.service(asked)},
        "routes": {**routes, "all": configs.route()},
    }
    gate = Gateway(config, 2, tmp_path_factory.mktemp("gateway"))
    yield gate, asked, trust
    gate.stop()
    asked.close()


NUMBERS = itertools.count()


@pytest.fixture
def here(_shared: tuple[Gateway, Origin, ssl.SSLContext]) -> Site:
    return Site(*_shared, next(NUMBERS))


def test_a_person_calculates_and_gets_in(here: Site) -> None:
    address = here.address()
    here.suspect(address)
    before = len(here.asked.requests)
    reply = here.form(address, "person-0")
    assert (reply.status, reply["content-type"], reply["cache-control"]) == (
        403,
        "text/html; charset=utf-8",
        "no-store",
    )
    policy = reply["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "frame-ancestors 'none'" in policy
    assert (reply["x-frame-options"], reply["x-content-type-options"]) == ("DENY", "nosniff")
    assert b"secret of person-0" not in reply.body and b"gateway.test" in reply.body
    challenge = challenge_of(reply.body)
    payload = {"challenge": challenge, "solution": solution_of(challenge)}
    done = here.send(address, payload)
    assert (done.status, done["cache-control"], done.body) == (204, "no-store", b"")
    cookie, _, attributes = done["set-cookie"].partition("; ")
    assert attributes == "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
    assert len(here.asked.requests) == before, "neither the form nor the solution reached the service"
    assert here.form(address, "person-0", f"own=1; {cookie}").status == 200
    assert here.asked.requests[-1].all("cookie") == ["own=1"], "services do not see the proof"
    line = here.gate.log_line(
        matching=lambda one: (
            one.get("route") == here.route and one.get("login", {}).get("answer") == "challenged"
        )
    )
    assert (line["reason"], line["status"]) == ("login_challenge", 403)
    line = here.gate.log_line(
        matching=lambda one: one.get("route") == here.route and one.get("login", {}).get("answer") == "proved"
    )
    assert (line["login"]["outcome"], line["status"]) == ("passed", 200)
    assert here.gate.metric("yett_login_attempts_total", route=here.route, outcome="challenged") >= 1
    assert here.gate.metric("yett_login_attempts_total", route=here.route, outcome="proved") >= 1
    assert here.gate.metric("yett_login_proofs_total") >= 1 and here.gate.metric("yett_login_proofs") >= 1
    assert cookie.split("=")[1].encode() not in here.gate.log_text()


def test_the_library_of_altcha_solves_it(here: Site) -> None:
    address = here.address()
    here.suspect(address)
    challenge = challenge_of(here.form(address, "person-0").body)
    solution = solved_by_the_library(challenge)
    assert solution["derivedKey"] == solution_of(challenge)["derivedKey"]
    assert here.send(address, {"challenge": challenge, "solution": solution}).status == 204


def test_programs_never_get_the_page(here: Site) -> None:
    address = here.address()
    here.suspect(address, 10)
    for fields in (
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Dest": "iframe"},
    ):
        reply = here.form(address, "person-0", **fields)
        assert reply.status == 429 and b"data-challenge" not in reply.body, fields
    assert here.form(address, "person-0").status == 403, "a browser does, in place of the refusal"


def test_the_page_comes_before_the_form(here: Site) -> None:
    address = here.address()
    assert here.ask(address, "GET", here.login, PAGE).body == b"page"
    here.suspect(address)
    before = len(here.asked.requests)
    page = here.ask(address, "GET", here.login, PAGE)
    assert page.status == 403 and b'data-form="false"' in page.body
    assert len(here.asked.requests) == before
    assert here.ask(address, "GET", here.login, {**PAGE, "Accept": "*/*"}).body == b"page"
    challenge = challenge_of(page.body)
    done = here.send(address, {"challenge": challenge, "solution": solution_of(challenge)})
    cookie = done["set-cookie"].split(";")[0]
    for _ in range(4):
        assert here.ask(address, "GET", here.login, {**PAGE, "Cookie": cookie}).body == b"page"
    assert here.form(address, "person-1", cookie).status == 200
    assert here.ask(address, "GET", here.login, PAGE).body == b"page", "somebody has got in from there"


def test_a_proof_is_good_for_so_many_attempts(here: Site) -> None:
    address = here.address()
    here.suspect(address)
    cookie = here.proof(address)
    codes = [here.form(address, f"other-{number}", cookie).status for number in range(4)]
    assert codes == [401, 401, 403, 403]


def test_what_is_forged_counts_for_nothing(here: Site) -> None:
    address = here.address()
    here.suspect(address)
    payload = here.solved(address)
    before = len(here.asked.requests)

    def changed(**parameters: Any) -> dict[str, Any]:
        challenge = payload["challenge"]
        return {
            **payload,
            "challenge": {**challenge, "parameters": {**challenge["parameters"], **parameters}},
        }

    for forged, rule in (
        (changed(cost=1), "signature"),
        (changed(keyPrefix="00"), "signature"),
        (changed(expiresAt=4_000_000_000), "signature"),
        (changed(data={"binding": "00" * 16}), "binding"),
        ({**payload, "challenge": {**payload["challenge"], "signature": "0" * 64}}, "signature"),
        ({**payload, "solution": {"counter": 1, "derivedKey": "0" * 64}}, "work"),
    ):
        reply = here.send(address, forged)
        assert (reply.status, reply.reason) == (403, "login_proof_invalid"), rule
        assert "set-cookie" not in reply and "anew" in reply.json()["detail"]
        assert here.gate.log_line(request_id=reply["x-request-id"])["rule"] == rule
    assert here.send(address, payload).status == 204
    again = here.send(address, payload)
    assert (again.status, again.reason) == (403, "login_proof_invalid"), "a nonce counts once"
    assert len(here.asked.requests) == before


def test_a_solution_is_for_one_address_browser_and_route(here: Site) -> None:
    address, other = here.address(), here.address()
    here.suspect(address)
    payload = here.solved(address)
    assert here.send(other, payload).reason == "login_proof_invalid"
    assert here.send(address, payload, **{"User-Agent": "Browser/2"}).reason == "login_proof_invalid"
    cookie = here.send(address, payload)["set-cookie"].split(";")[0]
    here.suspect(other)
    assert here.form(other, "person-0", cookie).status == 403, "another address"
    assert here.form(address, "person-0", cookie, **{"User-Agent": "Browser/2"}).status == 403
    for number in range(5):
        fields = {"User-Agent": "tool", "Accept": "*/*"}
        here.form(address, f"leaked-{number}", target="/login/11", **fields)
    assert here.form(address, "person-0", cookie, target="/login/11").status == 403, "another route"
    name, _, value = cookie.partition("=")
    forged = value[:-4] + ("AAAA" if value[-4:] != "AAAA" else "BBBB")
    assert here.form(address, "person-0", f"{name}={forged}").status == 403
    assert here.form(address, "person-0", cookie).status == 200


def test_what_is_sent_is_read_strictly(here: Site) -> None:
    address = here.address()
    here.suspect(address)
    payload = here.solved(address)
    before = len(here.asked.requests)
    text = json.dumps(payload)
    twice = text.replace('"cost":', '"cost": 1, "cost":').encode()
    for body, fields, status, reason in (
        (text.encode(), {"Content-Type": "text/plain"}, 415, "content_type_unsupported"),
        (text.encode(), {"Content-Type": FORM}, 415, "content_type_unsupported"),
        (text.encode() + b" " * 5_000, {}, 413, "body_too_large"),
        (b"", {}, 400, "json_malformed"),
        (b"{", {}, 400, "json_malformed"),
        (twice, {}, 400, "json_malformed"),
        (json.dumps({**payload, "more": 1}).encode(), {}, 400, "json_malformed"),
        (text.encode(), {"Sec-Fetch-Site": "cross-site"}, 403, "csrf_refused"),
        (text.encode(), {"Origin": "https://evil.example"}, 403, "csrf_refused"),
    ):
        reply = here.ask(address, "POST", PATH, {**SCRIPT, **fields}, body)
        assert (reply.status, reply.reason) == (status, reason)
    wrong = here.ask(address, "GET", PATH, SCRIPT)
    assert (wrong.status, wrong["allow"]) == (405, "POST")
    assert len(here.asked.requests) == before
    assert here.send(address, payload).status == 204
    assert here.ask(address, "GET", f"{PATH}/more", PAGE).body == b"page", "only that path is the gateway's"


def test_a_service_sets_no_proof(here: Site) -> None:
    origin, address = here.asked, here.address()
    usual = origin.behaviour
    try:
        origin.answers(
            200, b"", [("Set-Cookie", "__Host-yett-~proof=x; Path=/; Secure"), ("Set-Cookie", "own=1")]
        )
        assert here.ask(address, "GET", "/", {}).all("set-cookie") == ["own=1"]
    finally:
        origin.behaviour = usual


def test_guesses_at_one_account_are_refused_with_a_proof(here: Site) -> None:
    address = here.address()
    codes = []
    for _ in range(14):
        reply = here.form(address, "victim")
        if reply.status == 403:
            challenge = challenge_of(reply.body)
            done = here.send(address, {"challenge": challenge, "solution": solution_of(challenge)})
            reply = here.form(address, "victim", done["set-cookie"].split(";")[0])
        codes.append(reply.status)
    assert codes[-1] == 429 and 7 <= codes.count(401) <= 10, codes
