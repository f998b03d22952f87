"""Revocations through the admin listener: with a token only, and never for a web page or another host (THREATS 35)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.wire import Wire

Make = Callable[..., Any]
TOKEN = b"an admin token of some length"


def ask(gate: Any, method: str, target: str, body: Any = None, **headers: str) -> Any:
    address, _, port = gate.status()["admin"]["address"].rpartition(":")
    fields = {"authorization": f"Bearer {TOKEN.decode()}", "content-type": "application/json", **headers}
    fields = {name.replace("_", "-"): value for name, value in fields.items() if value}
    host = fields.pop("host", f"{address}:{port}")
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    with Wire((address.strip("[]"), int(port))) as wire:
        return wire.ask(method, target, fields, data, host=host)


def test_it_revokes_lists_and_ends(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    admin = {"address": "127.0.0.1:0", "token": {"file": configs.write_secret(tmp_path, "admin", TOKEN)}}
    gate = gateway({**configs.protected(service, provider, tmp_path), "admin": admin})
    mine = provider.bearer(sub="ann")
    assert gate.get("/a", mine).status == 200
    made = ask(gate, "POST", "/revocations", {"subject": "ann"})
    assert made.status == 201 and made.json()["revocation"]["by"] == "admin"
    assert gate.get("/a", mine).reason == "token_revoked"
    listed = ask(gate, "GET", "/revocations").json()
    assert [one["id"] for one in listed["revocations"]] == [made.json()["id"]]
    assert ask(gate, "DELETE", f"/revocations/{made.json()['id']}").status == 200
    assert gate.get("/a", mine).status == 200
    assert ask(gate, "DELETE", f"/revocations/{made.json()['id']}").status == 404
    assert ask(gate, "POST", "/revocations", {"subjects": "ann"}).status == 400
    assert ask(gate, "POST", "/revocations", b"{").status == 400
    assert ask(gate, "PUT", "/revocations", {}).status == 405
    token = provider.token()
    assert token not in ask(gate, "POST", "/revocations", {"token": token}).body.decode()


def test_strangers_are_refused(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    admin = {"address": "127.0.0.1:0", "token": {"file": configs.write_secret(tmp_path, "admin", TOKEN)}}
    gate = gateway({**configs.protected(service, provider, tmp_path), "admin": admin})
    mine = provider.bearer(sub="ann")
    wanted = {"subject": "ann"}
    for headers, status in (
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer another token of some length"}, 401),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"host": "evil.test"}, 421),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ):
        fields = dict(headers)
        if "content_type" in fields:
            fields["content-type"] = fields.pop("content_type")
        assert ask(gate, "POST", "/revocations", wanted, **fields).status == status, headers
    assert ask(gate, "POST", "/revocations", b'"' + b"x" * 100_000 + b'"').status == 413
    assert ask(gate, "GET", "/revocations", authorization="").status == 401
    assert gate.get("/a", mine).status == 200
    assert gate.get("/revocations", mine).status == 200, "a path like any other on the data port"


def test_without_a_token_nothing_is_served(gateway: Make, origin: Make, issuer: Make, tmp_path: Path) -> None:
    service, provider = origin(), issuer()
    gate = gateway(configs.protected(service, provider, tmp_path))
    for authorization in ("", f"Bearer {TOKEN.decode()}"):
        assert (
            ask(gate, "POST", "/revocations", {"subject": "ann"}, authorization=authorization).status == 403
        )
    assert gate.get("/a", provider.bearer(sub="ann")).status == 200
