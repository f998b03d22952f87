"""Questions that nobody outside may hear of."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support import configs
from tests.support.gateway import compiled, complete
from tests.support.origin import reply
from yett.policy.engine import Engine, Question

TOKEN = (("Authorization", "Bearer e30.e30.e30"),)
PAGE = (("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"))


@pytest.mark.parametrize("offline", [True, False], ids=["offline", "asking"])
@pytest.mark.parametrize("kind", ["login", "introspection"])
def test_nobody_is_asked(origin, listener_tls, tmp_path, kind, offline):
    provider = origin()
    provider.behaviour = reply(404)
    for name, size in (("session.key", 32), ("client.secret", 32)):
        (tmp_path / name).write_bytes(base64.b64encode(bytes(size)))
    client = {"id": "gateway", "secret": {"file": str(tmp_path / "client.secret")}}
    told = {"plaintext": "test", "issuer": provider.url}
    providers = {
        "login": {"type": "oidc", **told, "client": client, "session": {"keys": [{"file": str(tmp_path / "session.key")}]}},
        "introspection": {"type": "introspection", **told, "client": client, "audience": "shop"},
    }  # fmt: skip
    config = {
        "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
        "identity_providers": {"id": providers[kind]},
        "services": {"origin": {"endpoints": "http://127.0.0.1:9", "plaintext": "test"}},
        "routes": {"closed": configs.route("/a", "GET", authenticate="id", access="authenticated")},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(complete(config, tmp_path)))
    engine = Engine(*compiled(file), offline=offline)
    decided = engine.decide(Question("GET", "https://gateway.test/a", PAGE if kind == "login" else TOKEN))
    assert decided["refusal"]["reason"] == "identity_provider_unavailable"
    if offline:
        assert provider.saw_nothing()
    else:
        assert provider.requests
