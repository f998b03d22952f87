"""signed_request: what an independent signer signed comes in once, as it was signed; anything else is refused."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import configs
from tests.support.signing import ALGORITHMS, Signer, sha256
from tests.support.waiting import eventually

HOST = "http://gateway.test"


def configured(service, *signers, provider=None, **route):
    keys = {signer.name: signer.registered(scopes=["read"], tenant="acme") for signer in signers}
    if not {"access", "authorize"} & set(route):
        route["access"] = "authenticated"
    route.setdefault("tenant", {"none": "test"})
    return {
        "identity_providers": {"partners": {"type": "signed_request", "keys": keys, **(provider or {})}},
        "services": {"origin": configs.service(service)},
        "routes": {
            "open": configs.route("/open/{rest...}"),
            "closed": configs.route(authenticate="partners", **route),
        },
    }


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_signed_request_comes_in(gateway, origin, tmp_path, algorithm):
    service, signer = origin(), Signer(tmp_path, algorithm)
    gate = gateway(configured(service, signer, authorize={"scopes": "read"}))
    fields = signer.sign("GET", f"{HOST}/orders?from=1")
    assert gate.get("/orders?from=1", fields).status == 200
    body = b'{"amount": 1}'
    assert gate.post("/orders", body, signer.sign("POST", f"{HOST}/orders", body)).status == 200
    seen = service.requests[-1]
    assert seen.body == body
    assert not {"signature", "signature-input"} & {name.lower() for name, _ in seen.headers}
    line = gate.log_line(path="/orders", method="POST")
    assert (line["subject"], line["kind"], line["authentication"], line["tenant"]) == (
        "robot", "service", "signed_request", "acme"
    )  # fmt: skip


def test_what_was_signed_for_something_else_does_not_count(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    sign = signer.sign
    for fields, method, target in [
        (sign("GET", f"{HOST}/orders"), "POST", "/orders"),
        (sign("GET", f"{HOST}/orders"), "GET", "/other"),
        (sign("GET", f"{HOST}/orders?a=1"), "GET", "/orders?a=2"),
        (sign("GET", f"{HOST}/orders"), "GET", "/orders?"),
        (sign("GET", "http://other.test/orders"), "GET", "/orders"),
        (sign("GET", "https://gateway.test/orders"), "GET", "/orders"),
    ]:
        answer = gate.request(method, target, fields)
        assert (answer.status, answer.reason) == (401, "signature_invalid"), target
        assert "Signature realm=" in answer["www-authenticate"]
    assert service.saw_nothing()


def test_a_nonce_counts_once(gateway, origin, tmp_path, workers):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer), workers=workers)
    fields = signer.sign("GET", f"{HOST}/a")
    assert gate.get("/a", fields).status == 200
    for _ in range(4):
        answer = gate.get("/a", fields)
        assert (answer.status, answer.reason) == (401, "signature_replayed")
    again = signer.sign("GET", f"{HOST}/a", nonce="chosen")
    assert [gate.get("/a", signer.sign("GET", f"{HOST}/a", nonce="chosen")).status, gate.get("/a", again).status] == [
        200, 401,
    ]  # fmt: skip
    assert len(service.requests) == 2


def test_without_a_nonce(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    strict = gateway(configured(service, signer))
    fields = signer.sign("GET", f"{HOST}/a", nonce=None)
    assert strict.get("/a", fields).reason == "signature_incomplete"
    assert service.saw_nothing()
    lax = gateway(configured(service, signer, provider={"nonce": "optional"}))
    assert [lax.get("/a", fields).status for _ in range(2)] == [200, 200]


def test_a_signature_has_its_time(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(
        configured(service, signer, provider={"max_age": "1m", "leeway": "5s", "nonce": "optional"})
    )
    for age, reason in [
        (0, None),
        (50, None),
        (70, "signature_expired"),
        (-4, None),
        (-30, "signature_not_yet_valid"),
    ]:
        assert gate.get("/a", signer.sign("GET", f"{HOST}/a", nonce=None, age=age)).reason == reason, age
    assert (
        gate.get("/a", signer.sign("GET", f"{HOST}/a", nonce=None, age=10, lasts=5)).reason
        == "signature_expired"
    )
    assert len(service.requests) == 3


def test_a_signature_from_before_the_start_is_not_believed(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    assert gate.get("/a", signer.sign("GET", f"{HOST}/a", age=60)).reason == "signature_replayed"
    assert service.saw_nothing()


def test_another_body_never_reaches_the_service(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    signed = signer.sign("POST", f"{HOST}/a", b"one")
    answer = gate.post("/a", b"two", signed)
    assert (answer.status, answer.reason) == (400, "content_digest_mismatch")
    unsigned = signer.sign("POST", f"{HOST}/a")
    assert gate.post("/a", b"one", unsigned).reason == "signature_incomplete"
    assert (
        gate.post("/a", b"one", {**unsigned, "Content-Digest": sha256(b"one")}).reason
        == "signature_incomplete"
    )
    swapped = {**signer.sign("POST", f"{HOST}/a", b"one"), "Content-Digest": sha256(b"two")}
    assert gate.post("/a", b"two", swapped).reason == "signature_invalid"
    none = signer.sign("GET", f"{HOST}/a", digest=b"x" * 32)
    assert gate.get("/a", none).reason == "content_digest_mismatch"
    assert service.saw_nothing()


def test_a_chunked_body_is_held_and_checked(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    body = bytes(range(256)) * 400
    fields = {**signer.sign("POST", f"{HOST}/a", body), "Transfer-Encoding": "chunked"}

    def chunked(data: bytes) -> bytes:
        parts = [data[at : at + 7000] for at in range(0, len(data), 7000)]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    head = "POST /a HTTP/1.1\r\nHost: gateway.test\r\n"
    with gate.connect() as wire:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        wire.send((head + lines + "\r\n").encode() + chunked(body))
        assert wire.reply().status == 200
        # the connection goes on, and the next request on it is another one
        again = {**signer.sign("POST", f"{HOST}/a", body), "Transfer-Encoding": "chunked"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in again.items())
        wire.send((head + lines + "\r\n").encode() + chunked(body[:-1] + b"!"))
        assert wire.reply().reason == "content_digest_mismatch"
    assert [request.body for request in service.requests] == [body]


def test_a_body_beyond_the_bound_is_refused(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer, provider={"body": "1KiB"}))
    fits, large = b"x" * 1024, b"x" * 1025
    assert gate.post("/a", fits, signer.sign("POST", f"{HOST}/a", fits)).status == 200
    answer = gate.post("/a", large, signer.sign("POST", f"{HOST}/a", large))
    assert (answer.status, answer.reason) == (413, "body_too_large")
    assert len(service.requests) == 1


def test_a_held_body_is_retried(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    config = configured(service, signer)
    config["services"]["origin"]["retry"] = {"retries": 1, "budget": "100%"}
    gate = gateway(config)
    body = b"y" * 5000
    fields = signer.sign("PUT", f"{HOST}/a", body)
    assert gate.request("PUT", "/a", fields, body).status == 200
    assert service.only.body == body


def test_of_several_signatures_ours_counts(gateway, origin, tmp_path):
    service, signer, other = origin(), Signer(tmp_path), Signer(tmp_path, name="other")

    def both(first, second):
        return {
            "Signature-Input": f"{first['Signature-Input']}, {second['Signature-Input']}",
            "Signature": f"{first['Signature']}, {second['Signature']}",
        }

    gate = gateway(configured(service, signer))
    foreign = other.sign("GET", f"{HOST}/a", label="proxy")
    assert gate.get("/a", both(signer.sign("GET", f"{HOST}/a"), foreign)).status == 200
    assert gate.get("/a", foreign).reason == "signature_key_unknown"
    two = both(signer.sign("GET", f"{HOST}/a"), signer.sign("GET", f"{HOST}/a", label="sig2"))
    assert gate.get("/a", two).reason == "credential_ambiguous"
    tagged = gateway(configured(service, signer, provider={"tag": "orders"}))
    ours = signer.sign("GET", f"{HOST}/a", label="sig2", tag="orders")
    assert tagged.get("/a", both(signer.sign("GET", f"{HOST}/a"), ours)).status == 200
    assert tagged.get("/a", signer.sign("GET", f"{HOST}/a")).reason == "signature_key_unknown"
    assert len(service.requests) == 2


def test_a_signature_beside_a_bearer_is_one_too_many(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    fields = {**signer.sign("GET", f"{HOST}/a"), "Authorization": "Bearer x"}
    assert gate.get("/a", fields).reason == "credential_ambiguous"
    assert gate.get("/a").reason == "credential_missing"
    assert service.saw_nothing()


def test_http2(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    config = configured(service, signer)
    config["listeners"] = configs.listener(http2={"prior_knowledge": True})
    gate = gateway(config)
    host, port = gate.address()

    def curl(fields: dict[str, str], body: bytes) -> tuple[str, bytes]:
        options = [option for name, value in fields.items() for option in ("-H", f"{name}: {value}")]
        url = f"http://gateway.test:{port}/a"
        resolve = f"gateway.test:{port}:{host}"
        done = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--resolve", resolve, *options, "--data-binary", "@-",
             "-H", "Content-Type:", "-w", "\n%{http_version} %{http_code}", url],
            input=body, capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        text, _, status = done.stdout.rpartition(b"\n")
        return status.decode(), text

    url = f"http://gateway.test:{port}/a"
    assert curl(signer.sign("POST", url, b"body"), b"body")[0] == "2 200"
    status, text = curl(signer.sign("POST", url, b"body"), b"bodY")
    assert (status, b"content_digest_mismatch" in text) == ("2 400", True)
    assert [request.body for request in service.requests] == [b"body"]


def test_failures_are_counted(gateway, origin, tmp_path):
    service, signer = origin(), Signer(tmp_path)
    gate = gateway(configured(service, signer))
    gate.get("/a", signer.sign("GET", f"{HOST}/b"))
    eventually(lambda: gate.metric("yett_refusals_total", reason="signature_invalid") == 1)
    assert service.saw_nothing()


@pytest.mark.parametrize(
    "change",
    [
        {"keys": {}},
        {"keys": {"robot": {"algorithm": "ed25519"}}},
        {"components": ["@status"]},
        {"components": ["Date"]},
        {"body": "1GiB"},
    ],
)
def test_what_does_not_load(gateway, origin, tmp_path, change):
    with pytest.raises(Exception):
        gateway(configured(origin(), Signer(tmp_path), provider=change))
