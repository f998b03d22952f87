"""yett explain: why, phase by phase, with nothing in it that has to stay secret."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Yett
from tests.support import configs
from tests.support.issuer import Issuer


@pytest.fixture
def shop(tmp_path: Path, origin, issuer):
    """The configuration's file, and the issuer that it believes."""
    identity: Issuer = issuer()
    config = configs.protected(origin(), identity, tmp_path, authorize={"scopes": "orders.read"})
    config.update(version=1, listeners={"main": {"address": "127.0.0.1:0", "plaintext": "test"}})
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config))

    def token(**claims: object) -> Path:
        path = tmp_path / "token"
        path.write_text(identity.token(**claims))
        return path

    return file, token


URL = "http://gateway.test/orders/17?card=4111"


def test_a_request_that_is_let_in(yett: Yett, shop) -> None:
    file, token = shop
    done = yett("explain", file, URL, "--token-file", token(scope="orders.read", tenant="acme"))
    assert done.returncode == 0, done.stderr
    assert "authorize       ok" in done.stdout
    assert "forward         allow    to `origin`, as /orders/17\n" in done.stdout


@pytest.mark.parametrize(
    ("claims", "reason", "said"),
    [
        ({"exp": int(time.time()) - 400}, "token_expired", " min ago)"),
        ({"aud": "other"}, "token_audience_mismatch", '"other"'),
        ({"iss": "https://other.example"}, "token_issuer_unknown", '"https://other.example"'),
        ({"scope": "other"}, "scope_missing", "needed: orders.read"),
    ],
)
def test_why_a_token_is_refused(yett: Yett, shop, claims, reason, said) -> None:
    file, token = shop
    path = token(sub="ann.secret@example.com", **claims)
    done = yett("explain", file, URL, "--token-file", path)
    assert done.returncode == 1
    assert f"REFUSED  {reason}: " in done.stdout and said in done.stdout
    for secret in (path.read_text(), path.read_text().split(".")[1], "ann.secret", "4111"):
        assert secret not in done.stdout + done.stderr
    told = json.loads(yett("explain", file, URL, "--token-file", path, "--format", "json").stdout)
    assert (told["outcome"], told["refusal"]["reason"]) == ("refuse", reason)


def test_an_earlier_moment(yett: Yett, shop) -> None:
    file, token = shop
    path = token(scope="orders.read", iat=1_000_000_000, exp=1_000_000_600)
    assert yett("explain", file, URL, "--token-file", path).returncode == 1
    then = yett("explain", file, URL, "--token-file", path, "--time", "2001-09-09T01:50:00Z")
    assert then.returncode == 0, then.stdout


def test_an_opaque_token_is_named_as_such(yett: Yett, shop, tmp_path: Path) -> None:
    (tmp_path / "opaque").write_text("s3cr3t-opaque")
    done = yett("explain", shop[0], URL, "--token-file", tmp_path / "opaque")
    assert done.returncode == 1
    assert "opaque and no JWT" in done.stdout and "s3cr3t" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "`nowhere` is no URL"),
        ([URL, "--listener", "publik"], "there is no listener `publik`; known here: main"),
        ([URL, "--time", "noon"], "`noon` is no moment"),
        ([URL, "--header", "nothing"], "`nothing` is no header"),
        ([URL, "--token-file", "missing"], "`missing` cannot be read"),
    ],
)
def test_a_question_that_is_none(yett: Yett, shop, words, said) -> None:
    done = yett("explain", shop[0], *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_bad_configuration_is_told_as_by_check(yett: Yett, shop) -> None:
    file, _ = shop
    file.write_text(file.read_text().replace('"access": "public"', '"acess": "public"'))
    done = yett("explain", file, URL)
    assert done.returncode == 1
    assert "`acess`" in done.stderr
