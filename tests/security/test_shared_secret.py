"""A shared secret is long enough, stands alone, and is never a public key."""

from __future__ import annotations

import pytest
from joserfc.jwk import OctKey

from tests.support import configs

SECRET = b"0123456789abcdef" * 4


def shared(service, identity, directory, secret=SECRET, **changes):
    config = configs.protected(service, identity)
    config["identity_providers"]["id"] = {
        "type": "jwt", "issuer": "https://id.example", "audience": "shop",
        "shared_secret": {"file": configs.write_secret(directory, "shared", secret)}, **changes,
    }  # fmt: skip
    return config


def bearer(identity, algorithm, secret=SECRET, key=None, **claims):
    token = identity.sign(
        identity.claims(iss="https://id.example", **claims),
        None,
        key or OctKey.import_key(secret, {"kid": "any"}),
        algorithm,
    )
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_algorithm_with_a_secret_of_its_length(gateway, origin, issuer, tmp_path, algorithm):
    identity, service = issuer(), origin()
    gate = gateway(shared(service, identity, tmp_path, algorithms=algorithm))
    assert gate.get("/closed", bearer(identity, algorithm)).status == 200
    wrong = gate.get("/closed", bearer(identity, algorithm, SECRET[:-1] + b"x"))
    assert wrong.reason == "token_signature_invalid"
    others = {"HS256", "HS384", "HS512"} - {algorithm}
    for other in others:
        assert gate.get("/closed", bearer(identity, other)).reason == "token_algorithm_forbidden"
    asymmetric = gate.get("/closed", bearer(identity, "ES256", key=identity.signer))
    assert asymmetric.reason == "token_algorithm_forbidden"
    assert service.saw_no_more_than(1)


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_short_secret_does_not_load(gateway, origin, issuer, tmp_path, algorithm, length):
    identity, service = issuer(), origin()
    with pytest.raises(Exception) as caught:
        gateway(shared(service, identity, tmp_path, SECRET[:length], algorithms=algorithm))
    assert "at least" in repr(caught.value) + str(caught.value)


def test_another_secret_makes_remembered_verdicts_worthless(gateway, origin, issuer, tmp_path):
    identity, service = issuer(), origin()
    gate = gateway(shared(service, identity, tmp_path))
    headers = bearer(identity, "HS256")
    assert gate.get("/closed", headers).status == 200
    gate.reload(shared(service, identity, tmp_path, SECRET[::-1]))
    assert gate.get("/closed", headers).reason == "token_signature_invalid"
    assert service.saw_no_more_than(1)
