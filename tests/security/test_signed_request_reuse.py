"""Threat: a signed request is sent again, to another place, or with another body."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support import configs
from tests.support.signing import Signer, sha256

HOST = "http://gateway.test"


def configured(service, signer, **provider):
    keys = {signer.name: signer.registered()}
    return {
        "identity_providers": {"partners": {"type": "signed_request", "keys": keys, **provider}},
        "services": {"origin": configs.service(service)},
        "routes": {"closed": configs.route(authenticate="partners", access="authenticated")},
    }


def test_of_many_at_once_one_comes_in(gateway, origin, tmp_path, workers):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer), workers=workers)
    fields = signer.sign("GET", f"{HOST}/a")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: gate.get("/a", fields), range(24)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 23
    assert {answer.reason for answer in answers if answer.status == 401} == {"signature_replayed"}
    assert service.saw_no_more_than(1)


def test_a_nonce_stays_used_over_a_reload(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    fields = signer.sign("GET", f"{HOST}/a")
    assert gate.get("/a", fields).status == 200
    gate.reload(configured(service, signer, max_age="10m"))
    assert gate.get("/a", fields).reason == "signature_replayed"
    assert service.saw_no_more_than(1)


def test_nothing_of_it_fits_another_request(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))

    def fresh():
        return signer.sign("POST", f"{HOST}/pay?to=acme", b"amount=1")

    assert gate.post("/pay?to=evil", b"amount=1", fresh()).reason == "signature_invalid"
    assert gate.post("/refund?to=acme", b"amount=1", fresh()).reason == "signature_invalid"
    assert gate.request("PUT", "/pay?to=acme", fresh(), b"amount=1").reason == "signature_invalid"
    assert gate.post("/pay?to=acme", b"amount=1", fresh(), host="other.test").reason == "signature_invalid"
    assert gate.post("/pay?to=acme", b"amount=9", fresh()).reason == "content_digest_mismatch"
    assert gate.post(
        "/pay?to=acme", b"amount=9", {**fresh(), "Content-Digest": sha256(b"amount=9")}
    ).reason == ("signature_invalid")
    twice = [*fresh().items(), ("Content-Digest", sha256(b"amount=1"))]
    assert gate.post("/pay?to=acme", b"amount=1", twice).status in (400, 401)
    assert gate.post("/pay?to=acme", b"amount=1amount=1", fresh()).reason == "content_digest_mismatch"
    assert gate.post("/pay?to=acme", b"", fresh()).reason == "content_digest_mismatch"
    assert service.saw_nothing()


def test_the_public_key_is_no_shared_secret(gateway, origin, tmp_path):
    """What algorithm confusion would be here: an HMAC under the bytes of a public key."""
    service, signer, forger = origin(), Signer(tmp_path), Signer(tmp_path, "hmac-sha256", "forger")
    gate = gateway(configured(service, signer))
    forger.private = signer.file.read_bytes()
    forged = forger.sign("GET", f"{HOST}/a", key_id=signer.name)
    assert gate.get("/a", forged).reason == "signature_algorithm_forbidden"
    unnamed = {**forged, "Signature-Input": forged["Signature-Input"].replace(';alg="hmac-sha256"', "")}
    assert gate.get("/a", unnamed).reason == "signature_invalid"
    assert service.saw_nothing()
