"""Decision records hold no token, key, cookie or personal value, whatever a client sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.api_keys import KeyFile
from tests.support.configs import service

SECRET = "hunter2hunter2hunter2"


def test_whatever_is_sent(gateway: Any, origin: Any, issuer: Any, tmp_path: Path) -> None:
    identity, keys = issuer(), KeyFile(tmp_path)
    key = keys.add("feed")
    hash_key = "0123456789abcdef0123456789abcdef"
    (tmp_path / "hash.key").write_text(hash_key)
    records = tmp_path / "decisions.jsonl"
    config = {
        "decision_log": {
            "file": str(records), "hash_key": {"file": str(tmp_path / "hash.key")}, "addresses": "hashed",
            "headers": ["x-note", "referer"], "query": ["access_token", "q"],
        },
        "identity_providers": {
            "id": {**identity.inline(tmp_path), "claims": {"mail": "mail"}},
            "keys": {"type": "api_key", "keys": str(keys.path)},
        },
        "services": {"origin": service(origin())},
        "routes": {
            "all": {
                "match": {"hosts": "any", "path": "/{rest...}", "methods": "GET"},
                "authenticate": {"any_of": ["id", "keys"]}, "tenant": {"none": "test"},
                "authorize": {"when": "request.headers['x-note'] != 'x'", "headers": "x-note"},
                "service": "origin",
            },
        },
    }  # fmt: skip
    gate = gateway(config)
    good = identity.token(sub=f"{SECRET}@example.com", mail=f"{SECRET}@example.org", jti=SECRET)
    bearer = {"Authorization": f"Bearer {good}"}
    statuses = [
        gate.get(
            "/a", {**bearer, "X-Note": SECRET, "Cookie": f"session={SECRET}", "Referer": f"/{SECRET}"}
        ).status,
        gate.get(f"/a?q={SECRET}&access_token={SECRET}", bearer).status,
        gate.get("/a", {"X-API-Key": key}).status,
        gate.get("/a", {"X-API-Key": f"{key}x"}).status,
        gate.get("/a", {"Authorization": f"Bearer {SECRET}"}).status,
        gate.get(f"/reset/{good}", bearer).status,
        gate.get(f"/reset/{key}", bearer).status,
    ]
    assert statuses == [200, 400, 403, 401, 401, 403, 403]
    gate.stop()
    text = records.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == len(statuses)
    for secret in (SECRET, good, key, hash_key, "eyJ", "yett_", '"client":"127'):
        assert secret not in text, secret
    assert ["path" in line for line in lines] == [True] * 5 + [False] * 2
    assert len({line["client"] for line in lines}) == 1
