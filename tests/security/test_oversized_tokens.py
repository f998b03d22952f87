"""A JWE around an unsigned JWT; oversized tokens and signatures: capped before decoding."""

from __future__ import annotations

import json

import pytest

from tests.support import configs
from tests.support.issuer import b64, compact


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    config = configs.protected(service, identity, tmp_path)
    config["listeners"] = configs.listener(limits={"header_bytes": "256KiB"})
    return gateway(config), service, identity


def refuse(gate, service, token, *reasons):
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert answer.reason in reasons, answer.reason
    assert service.saw_nothing()


def test_encrypted_tokens_are_refused(shop):
    gate, service, identity = shop
    inner = compact({"alg": "none"}, identity.claims())
    parts = [
        b64(b'{"alg":"dir","enc":"A128GCM","cty":"JWT"}'),
        "",
        b64(b"i" * 12),
        b64(inner.encode()),
        b64(b"t" * 16),
    ]
    refuse(gate, service, ".".join(parts), "credential_malformed", "token_header_refused")


def test_nested_tokens_are_refused(shop):
    gate, service, identity = shop
    token = identity.sign(identity.token().encode(), {"cty": "JWT"})
    refuse(gate, service, token, "credential_malformed", "token_header_refused", "token_claim_invalid")


@pytest.mark.parametrize("size", [20_000, 100_000, 150_000])
def test_a_large_token_is_refused_before_it_is_decoded(shop, size):
    gate, service, identity = shop
    refuse(gate, service, identity.token(padding="x" * size), "token_too_large")


def test_a_large_signature_is_refused(shop):
    gate, service, identity = shop
    text = compact({"alg": "ES256", "kid": "EC-0"}, identity.claims(), b"s" * 100_000)
    refuse(gate, service, text, "token_too_large")


MALFORMED = {
    "empty": "",
    "one part": "abc",
    "two parts": "abc.def",
    "four parts": "a.b.c.d",
    "dots": "..",
    "many dots": "." * 500,
    "not base64": "!!!.!!!.!!!",
    "padded base64": f"{b64(b'{}')}==.{b64(b'{}')}==.aa==",
    "header no object": f"{b64(b'[]')}.{b64(b'{}')}.{b64(b's' * 64)}",
    "header no JSON": f"{b64(b'hello')}.{b64(b'{}')}.{b64(b's' * 64)}",
}


@pytest.mark.parametrize("token", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_tokens_are_refused(shop, token):
    gate, service, _ = shop
    refuse(
        gate,
        service,
        token,
        "credential_malformed",
        "token_header_refused",
        "token_algorithm_forbidden",
        "token_key_unknown",
        "credential_missing",
    )


def test_base64_has_one_form(shop):
    """Unused bits of the last character, padding and the other alphabet make a second text of one token."""
    gate, service, identity = shop
    token = identity.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    forms = [token + "=", token + "==", token[:-1] + alphabet[last ^ 1]]
    for form in forms:
        refuse(gate, service, form, "credential_malformed", "token_signature_invalid")
    assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).status == 200


def test_blank_and_case_around_the_scheme(shop):
    """`bearer` is case-insensitive (RFC 9110 11.1); anything else beside one token is malformed."""
    gate, service, identity = shop
    token = identity.token()
    for value in (
        f"Bearer{token}",
        f"Bearer\t{token}",
        f"Bearer {token} x",
        f"Bearer {token},{token}",
        f"Bearer a, Bearer {token}",
        f"Bearer {token};x=y",
        token,
        "Bearer",
        f"Basic {token}",
        f'Bearer "{token}"',
    ):
        answer = gate.get("/closed", {"Authorization": value})
        assert answer.status == 401, value
    assert service.saw_nothing()
    assert gate.get("/closed", {"Authorization": f"bearer {token}"}).status == 200


def test_json_depth_in_a_signed_token(shop):
    gate, service, identity = shop
    deep = json.dumps(identity.claims())[:-1] + ', "x": ' + "[" * 3000 + "]" * 3000 + "}"
    refuse(
        gate,
        service,
        identity.sign(deep.encode()),
        "credential_malformed",
        "token_claim_invalid",
        "token_too_large",
    )
