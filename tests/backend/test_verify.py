"""yett.backend.Verifier: everything about an assertion has to be right, and each fault has a name."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.backend.minting import Mint
from yett import _core
from yett.backend import MemoryReplays, Refused, request_digest

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs" / "backends" / "req-vectors.json").read_text())["vectors"]


def refusal(verifier: Any, assertion: str | None, **request: Any) -> str:
    asked = {"method": "GET", "path": "/", "query": b"", **request}
    with pytest.raises(Refused) as caught:
        verifier.verify(assertion, **asked)
    return str(caught.value.code)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_who_calls(algorithm: str) -> None:
    mint = Mint(algorithm)
    found = mint.verifier().verify(
        mint.assertion("POST", "/a b", b"x=1", auth_time=7, roles=["auditor"], claims={"level": 2}, act={"sub": "bot"}),
        method="POST", path="/a b", query=b"x=1",
    )  # fmt: skip
    assert (found.subject, found.kind, found.provider, found.client, found.tenant) == (
        "alice",
        "user",
        "customers",
        "app",
        "acme",
    )
    assert (found.scopes, found.roles, found.methods) == ({"billing.read"}, {"auditor"}, ("jwt",))
    assert (found.authenticated, found.claims, found.actor) == (7, {"level": 2}, {"sub": "bot"})
    assert (found.request_id, found.revision, found.is_anonymous) == ("r-1", "0123456789ab", False)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['method']} {vector['target']}")
def test_the_digest_is_that_of_the_published_vectors(vector: dict[str, str]) -> None:
    assert request_digest(vector["method"], vector["path"], vector["query"]) == vector["req"]


def test_one_that_is_missing_or_no_assertion() -> None:
    mint = Mint()
    verifier, good = mint.verifier(), mint.assertion()
    head, payload, signature = good.split(".")
    assert refusal(verifier, None) == refusal(verifier, "") == "assertion_missing"
    for text in (
        "x", "a.b", "a.b.c", f"{good}.x", f"{good},{good}", f" {good}", f"{good}=", good + "\n", "é" + good,
        f"{head}.{payload}.", f".{payload}.{signature}", "a" * 20_000, f"{head}.{payload}.{signature}"[:-1] + "*",
    ):  # fmt: skip
        assert refusal(verifier, text) == "assertion_invalid", text
    # The same bytes spelt otherwise: the last digit of 64 bytes carries four bits that do not count.
    last = signature[-1]
    other = {"A": "B", "Q": "R", "g": "h", "w": "x"}[last]
    assert refusal(verifier, f"{head}.{payload}.{signature[:-1]}{other}") == "assertion_invalid"
    assert verifier.verify(good, method="GET", path="/").subject == "alice"


def test_another_signature_key_or_algorithm() -> None:
    mint, thief = Mint(), Mint()
    verifier = mint.verifier()
    claims = mint.claims()
    good = mint.sign(claims)
    changed = (
        good.split(".")[0]
        + "."
        + mint.sign({**claims, "sub": "root"}).split(".")[1]
        + "."
        + good.split(".")[2]
    )
    assert refusal(verifier, changed) == "assertion_signature_invalid"
    assert refusal(verifier, thief.assertion()) == "assertion_signature_invalid"
    assert refusal(verifier, mint.sign(claims, kid="two")) == "assertion_key_unknown"
    assert refusal(verifier, mint.sign(claims, kid=None)) == "assertion_invalid"
    assert refusal(verifier, mint.sign(claims, kid=["one"])) == "assertion_invalid"
    for header in (
        {"alg": "none"},
        {"alg": "ES256"},
        {"alg": "HS256"},
        {"alg": None},
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["x"]},
    ):
        assert refusal(verifier, mint.sign(claims, **header)) == "assertion_invalid", header
    empty = good.rsplit(".", 1)[0] + "." + "A" * 86
    assert refusal(verifier, empty) == "assertion_signature_invalid"
    # A key that the assertion brings along is not looked at.
    assert refusal(verifier, thief.sign(claims, jwk=thief.jwk)) == "assertion_signature_invalid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://other"}, "assertion_issuer_mismatch"),
        ({"iss": None}, "assertion_issuer_mismatch"),
        ({"aud": "orders"}, "assertion_audience_mismatch"),
        ({"aud": ["billing"]}, "assertion_audience_mismatch"),
        ({"aud": None}, "assertion_audience_mismatch"),
        ({"htm": "POST"}, "assertion_request_mismatch"),
        ({"req": None}, "assertion_request_mismatch"),
        ({"req": "é"}, "assertion_request_mismatch"),
        ({"jti": None}, "assertion_invalid"),
        ({"jti": "short"}, "assertion_invalid"),
        ({"jti": 7}, "assertion_invalid"),
        ({"sub": ""}, "assertion_invalid"),
        ({"sub": 7}, "assertion_invalid"),
        ({"kind": "root"}, "assertion_invalid"),
        ({"scope": ["a"]}, "assertion_invalid"),
        ({"amr": "jwt"}, "assertion_invalid"),
        ({"claims": []}, "assertion_invalid"),
        ({"auth_time": "7"}, "assertion_invalid"),
        ({"kind": "anonymous"}, "caller_missing"),
        ({"exp": "9999999999"}, "assertion_invalid"),
        ({"iat": None}, "assertion_invalid"),
        ({"exp": True}, "assertion_invalid"),
        ({"exp": 1e300}, "assertion_invalid"),
    ],
)  # fmt: skip
def test_claims_that_are_not_right(changes: dict[str, Any], code: str) -> None:
    mint = Mint()
    assert refusal(mint.verifier(), mint.assertion(**changes)) == code


@pytest.mark.parametrize(
    ("issued", "expires", "fine"),
    [
        (0, 30, True),
        (4, 34, True),
        (6, 36, False),
        (-34, -4, True),
        (-36, -6, False),
        (0, 31, False),
        (0, 0, False),
        (0, -1, False),
    ],
)
def test_the_time(issued: int, expires: int, fine: bool) -> None:
    mint, now = Mint(), 1_800_000_000
    verifier = mint.verifier(clock=lambda: float(now))
    assertion = mint.assertion(iat=now + issued, exp=now + expires)
    if fine:
        assert verifier.verify(assertion, method="GET", path="/").subject == "alice"
    else:
        assert refusal(verifier, assertion) == "assertion_stale"


def test_a_payload_that_is_read_in_two_ways() -> None:
    mint = Mint()
    text = json.dumps(mint.claims())
    for payload in (
        text[:-1] + ', "sub": "root"}',
        "[]",
        "{",
        text + "x",
        "\ufeff" + text,
        '"x"',
        "[" * 10_000,
    ):
        assert refusal(mint.verifier(), mint.sign(payload.encode())) == "assertion_invalid"


def test_a_second_use() -> None:
    mint = Mint()
    verifier, assertion = mint.verifier(), mint.assertion()
    assert verifier.verify(assertion, method="GET", path="/").subject == "alice"
    assert refusal(verifier, assertion) == "assertion_replayed"
    # What is refused for another reason is not remembered: it has not been used.
    late = mint.assertion()
    assert refusal(verifier, late, path="/other") == "assertion_request_mismatch"
    assert verifier.verify(late, method="GET", path="/").subject == "alice"


def test_memory_of_uses_is_bounded_and_full_refuses() -> None:
    replays, now = MemoryReplays(3), time.time()
    assert [replays.first(name, now + 30) for name in "aba"] == [True, True, False]
    assert replays.first("c", now - 1)
    with pytest.raises(Refused, match="replays_full"):
        MemoryReplays(0).first("a", now + 30)
    with pytest.raises(Refused, match="replays_full"):
        replays.first("d", now + 30)
    passing = MemoryReplays(2)
    for number in range(1000):
        assert passing.first(str(number), now - 1)
    assert len(passing) <= 2


def test_without_an_id_only_where_that_is_said() -> None:
    mint = Mint()
    assertion = mint.assertion(jti=None, request_id=None)
    verifier = mint.verifier(reuse=True)
    for _ in range(2):
        assert verifier.verify(assertion, method="GET", path="/").subject == "alice"
    replayed = mint.assertion()
    assert verifier.verify(replayed, method="GET", path="/").subject == "alice"
    assert refusal(verifier, replayed) == "assertion_replayed"


def test_a_body() -> None:
    mint = Mint()
    digest = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    verifier = mint.verifier()
    assert verifier.verify(mint.assertion(body=digest), method="GET", path="/", body=b"abc").body == digest
    assert refusal(verifier, mint.assertion(body=digest), body=b"abd") == "assertion_body_mismatch"
    assert refusal(verifier, mint.assertion(body=digest)) == "assertion_body_mismatch"
    assert refusal(mint.verifier(body=True), mint.assertion(), body=b"abc") == "assertion_body_mismatch"


def test_nobody_where_that_is_said() -> None:
    mint = Mint()
    found = mint.verifier(anonymous=True).verify(
        mint.assertion(kind="anonymous", sub="anonymous"), method="GET", path="/"
    )
    assert found.is_anonymous


def test_it_needs_the_standard_library_and_the_native_module_only() -> None:
    """Run without site-packages: what is not in the wheel itself or in Python cannot be imported."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import yett.backend; "
        "outside = {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - {'yett', '__main__'}; "
        "print(sorted(outside), sorted(name for name in sys.modules if name.startswith('yett.') and not name.startswith('yett.backend')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, str(ROOT / "src")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[] ['yett._core']", done.stdout + done.stderr


def test_a_verifier_that_would_let_in_too_much_is_not_made() -> None:
    mint = Mint()
    for wrong in ({"audience": ""}, {"issuer": ""}, {"leeway_s": 3600}, {"leeway_s": -1}):
        with pytest.raises(ValueError):
            mint.verifier(**wrong)
    with pytest.raises(ValueError, match="plaintext"):
        mint.verifier(keys="http://gateway.test/jwks.json")
    with pytest.raises(ValueError, match="EdDSA"):
        _core.verify_signature("HS256", b"", b"", b"")
