"""A public key used as an HMAC secret; `alg: none`; empty signatures (CVE-2026-39999, CVE-2026-44351)."""

from __future__ import annotations

import hmac

import pytest

from tests.support import configs
from tests.support.issuer import b64, compact, make_key, oct_key

REFUSED = (
    "token_algorithm_forbidden",
    "token_header_refused",
    "credential_malformed",
    "token_signature_invalid",
)


def refuse(gate, service, token, *reasons):
    answer = gate.get("/closed", {"Authorization": f"Bearer {token}"})
    assert answer.status == 401, answer
    assert answer.reason in (reasons or REFUSED), answer.reason
    assert answer["www-authenticate"].startswith("Bearer ")
    assert 'error="invalid_token"' in answer["www-authenticate"]
    assert service.saw_nothing()


@pytest.fixture
def shop(gateway, origin, issuer, tmp_path):
    identity, service = issuer("RSA", "EC", "OKP"), origin()
    return gateway(configs.protected(service, identity, tmp_path)), service, identity


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "der", "modulus", "jwk"])
def test_the_public_key_is_no_hmac_secret(shop, algorithm, form):
    gate, service, identity = shop
    public = identity.keys[0]
    secret = {
        "pem": lambda: public.as_pem(private=False),
        "der": lambda: public.as_der(private=False),
        "modulus": lambda: public.as_dict(private=False)["n"].encode(),
        "jwk": lambda: identity.jwks().encode(),
    }[form]()
    text = compact({"alg": algorithm, "typ": "JWT", "kid": public.kid}, identity.claims()).rpartition(".")[0]
    digest = hmac.digest(secret, text.encode(), "sha" + algorithm[2:])
    refuse(gate, service, f"{text}.{b64(digest)}")


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "None ", None, 0, [], ["RS256"], {}, True]
)
@pytest.mark.parametrize("signature", [b"", b"x", b"\x00" * 64], ids=["empty", "junk", "zeros"])
def test_no_algorithm_is_no_way_in(shop, algorithm, signature):
    gate, service, identity = shop
    refuse(
        gate, service, compact({"alg": algorithm, "typ": "JWT", "kid": "EC-0"}, identity.claims(), signature)
    )


@pytest.mark.parametrize(
    "spoil", [lambda s: "", lambda s: s[:-1], lambda s: s[:10], lambda s: s[::-1], lambda s: "A" * len(s)]
)
def test_a_spoilt_signature_is_refused(shop, spoil):
    gate, service, identity = shop
    for key in identity.keys:
        signed, _, signature = identity.sign(identity.claims(), key=key).rpartition(".")
        refuse(gate, service, f"{signed}.{spoil(signature)}")


def test_zero_ecdsa_signature_is_refused(shop):
    """Psychic signatures (CVE-2022-21449): r = s = 0."""
    gate, service, identity = shop
    refuse(gate, service, compact({"alg": "ES256", "kid": "EC-0"}, identity.claims(), b"\x00" * 64))


def test_der_encoded_ecdsa_signature_is_refused(shop):
    """RFC 7518 3.4 knows one form of a signature; a second one would be a second token for one verdict."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    gate, service, identity = shop
    import base64

    key = next(key for key in identity.keys if key.kid == "EC-0")
    signed, _, signature = identity.sign(identity.claims(), key=key).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    refuse(gate, service, f"{signed}.{b64(der)}")


def test_empty_hmac_key_is_no_secret(shop):
    gate, service, identity = shop
    text = compact({"alg": "HS256", "typ": "JWT"}, identity.claims()).rpartition(".")[0]
    digest = hmac.digest(b"", text.encode(), "sha256")
    refuse(gate, service, f"{text}.{b64(digest)}")


def test_a_symmetric_key_in_the_set_is_not_used(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    secret = oct_key(b"s" * 32, "shared")
    import json

    document = json.loads(identity.jwks())
    document["keys"].append({**secret.as_dict(private=True), "alg": "HS256"})
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document))
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["id"]["jwks"] = str(path)
    try:
        gate = gateway(config)
    except Exception as error:
        assert "oct" in str(error) or "symmetric" in str(error), error
        return
    header = b'{"alg":"HS256","kid":"shared"}'
    refuse(
        gate,
        service,
        identity.sign_parts(header, json.dumps(identity.claims()).encode(), secret, "HS256"),
        "token_algorithm_forbidden",
        "token_key_unknown",
    )


def test_another_curve_or_family_with_the_same_kid_is_refused(shop):
    gate, service, identity = shop
    stranger = make_key("P-384", 7)
    for algorithm, kid in (("ES384", "EC-0"), ("ES384", "RSA-0"), ("ES384", "OKP-0")):
        refuse(
            gate,
            service,
            identity.sign(identity.claims(), {"alg": algorithm, "kid": kid}, stranger, "ES384"),
            "token_algorithm_forbidden",
            "token_key_unknown",
            "token_signature_invalid",
        )


def test_every_family_of_keys_works(shop):
    gate, service, identity = shop
    for key in identity.keys:
        token = identity.sign(identity.claims(), key=key)
        assert gate.get("/closed", {"Authorization": f"Bearer {token}"}).status == 200
    assert len(service.requests) == 3
