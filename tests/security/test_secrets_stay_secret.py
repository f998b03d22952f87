"""Secrets never stand in logs, errors, metrics, status, events or a crash: tokens, keys, pepper, private keys."""

from __future__ import annotations

import pytest

from tests.support import configs
from tests.support.api_keys import KeyFile


def assert_absent(places, secrets):
    for place, text in places.items():
        data = text if isinstance(text, bytes) else str(text).encode()
        for name, secret in secrets.items():
            assert secret not in data, f"the {name} stands in the {place}"


def test_a_run_with_failures_says_no_secret(
    gateway, origin, issuer, tmp_path, listener_tls, client_tls, capfd
):
    identity, service = issuer(), origin()
    pepper = b"pepper-0f3a9c4e77d1"
    keys = KeyFile(tmp_path, pepper=pepper)
    key, expired = keys.add("partner"), keys.add("old", expires="2020-01-01T00:00:00Z")
    config = configs.protected(service, identity)
    config["identity_providers"]["partners"] = {
        "type": "api_key",
        "keys": str(keys.path),
        "pepper": {"file": configs.write_secret(tmp_path, "pepper", pepper)},
    }
    config["routes"]["closed"].update(
        authenticate={"any_of": ["id", "partners"]}, authorize={"scopes": "read"}
    )
    del config["routes"]["closed"]["access"]
    config["listeners"] = {**configs.listener(), "secure": {"address": "127.0.0.1:0", "tls": listener_tls}}
    for route in config["routes"].values():
        route["listeners"] = {"any_of": ["main", "secure"]}
    gate = gateway(config)
    good, bad = identity.token(scope="read"), identity.token(exp=1)
    answers = [
        gate.get("/closed", {"Authorization": f"Bearer {good}"}),
        gate.get("/closed", {"Authorization": f"Bearer {bad}"}),
        gate.get("/closed", {"Authorization": f"Bearer {good}x"}),
        gate.get("/closed", {"Authorization": f"Bearer {good} {good}"}),
        gate.get("/closed", {"Authorization": f"Basic {good}"}),
        gate.get("/closed", {"X-Api-Key": key}),
        gate.get("/closed", {"X-Api-Key": expired}),
        gate.get("/closed", {"X-Api-Key": key + "x"}),
        gate.get("/closed", {"X-Api-Key": key, "Authorization": f"Bearer {good}"}),
        gate.get(f"/closed?access_token={good}"),
        gate.get(f"/closed?api_key={key}"),
        gate.get(f"/open/{good}"),
        gate.get("/open/a", {"Cookie": f"session={good}", "Referer": f"https://x.test/?t={good}"}),
        gate.request(
            "GET",
            "/closed",
            {"Authorization": f"Bearer {good}"},
            listener="secure",
            tls=client_tls,
            server_name="gateway.test",
        ),
    ]
    assert [answer.status for answer in answers[:3]] == [200, 401, 401]
    service.stop_listening()
    service.drop_connections()
    answers.append(gate.get("/closed", {"Authorization": f"Bearer {good}"}))
    lines = gate.wait_log(len(answers))
    private = (tmp_path / "key.pem").read_bytes().split(b"\n")[1]
    secrets = {
        "token": good.encode(),
        "signature": good.rsplit(".", 1)[1].encode(),
        "spoilt token": bad.encode(),
        "key": key.encode(),
        "end of the key": key.split("_")[2].encode(),
        "expired key": expired.encode(),
        "pepper": pepper,
        "pepper in hex": pepper.hex().encode(),
        "private key": private,
        "salt": keys.salt.hex().encode(),
        "hash": keys.keys["partner"]["hash"].encode(),
    }
    metrics = bytes(gate.core.metrics())
    places = {
        "metrics": metrics,
        "status": gate.core.status(),
        "events": gate.events(),
        "scrape": gate.admin("/metrics").body,
        "answers": b"".join(answer.head + answer.body for answer in answers[1:]),
    }
    without_path = [{k: v for k, v in line.items() if k not in ("path", "target")} for line in lines]
    places["log"] = without_path
    if any(good in str(line.get("path", "")) for line in lines):
        assert any(
            "/open/" in str(line.get("path")) for line in lines
        )  # a path is what it is; queries are not logged
    assert not any(good in str(line) for line in lines if "/open/ey" not in str(line.get("path")))
    gate.stop()
    captured = capfd.readouterr()
    places.update(stdout=captured.out, stderr=captured.err)
    assert_absent(places, secrets)
    assert_absent(
        {"service": b"".join(bytes(d) for d in service.received if b"/open/" not in d)}, {"key": key.encode()}
    )


def test_load_errors_say_no_secret(gateway, origin, issuer, tmp_path, listener_tls, monkeypatch):
    service, identity = origin(), issuer()
    secret = "s3cr3t-9d8f7a6b5c4e"
    monkeypatch.setenv("TEST_SECRET", secret)
    config = configs.protected(service, identity, tmp_path)
    bad_key = configs.write_secret(
        tmp_path, "bad.key", f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n".encode()
    )
    listener_tls["certificates"][0]["key"] = {"file": bad_key}
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    with pytest.raises(Exception) as caught:
        gateway(config)
    assert secret not in repr(caught.value) + str(caught.value)
    listener_tls["certificates"][0]["key"] = {"env": "TEST_SECRET"}
    with pytest.raises(Exception) as caught:
        gateway(config)
    assert secret not in repr(caught.value) + str(caught.value)


def test_the_ir_holds_no_secret(gateway, origin, issuer, tmp_path, listener_tls):
    from tests.support.gateway import compiled

    service, identity = origin(), issuer()
    pepper = b"pepper-0f3a9c4e77d1"
    keys = KeyFile(tmp_path, pepper=pepper)
    key = keys.add("partner")
    config = configs.with_keys(
        service, keys, {"pepper": {"file": configs.write_secret(tmp_path, "pepper", pepper)}}
    )
    config["listeners"] = {"main": {"address": "127.0.0.1:0", "tls": listener_tls}}
    config["identity_providers"]["id"] = identity.inline(tmp_path)
    gate = gateway(config)
    ir, secrets = compiled(gate.write(config))
    assert pepper in secrets.values()
    assert_absent(
        {"IR": ir},
        {"pepper": pepper, "key": key.encode(), "pem": (tmp_path / "key.pem").read_bytes().split(b"\n")[1]},
    )


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_the_credential_stays_at_the_gate(gateway, origin, issuer, tmp_path, header):
    service, identity, keys = origin(), issuer(), KeyFile(tmp_path)
    key = keys.add("partner")
    config = configs.protected(service, identity, tmp_path)
    config["identity_providers"]["partners"] = {"type": "api_key", "keys": str(keys.path)}
    config["routes"]["closed"]["authenticate"] = {"any_of": ["id", "partners"]}
    gate = gateway(config)
    headers = identity.bearer() if header == "Authorization" else {header: key}
    assert gate.get("/closed", headers).status == 200
    assert header not in service.only
    assert headers[header].encode() not in bytes(service.received[0])
    config["services"]["origin"]["forward_credential"] = True
    gate.reload(config)
    assert gate.get("/closed", headers).status == 200
    assert service.last[header] == headers[header]


def test_a_credential_is_not_forwarded_on_public_routes_either(gateway, origin, issuer, tmp_path):
    service, identity = origin(), issuer()
    gate = gateway(configs.protected(service, identity, tmp_path))
    assert gate.get("/open/a", identity.bearer()).status == 200
    assert "authorization" not in service.only
