"""Pages of other origins in a real Chromium: what a listed one can do and read, and that a hostile one reaches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.chromium import Chromium, chromium
from tests.support.gateway import Gateway
from tests.support.origin import Origin, Stage
from tests.support.waiting import eventually

PAGE = "<!doctype html><title>A page</title>"
FETCH = """
const [url, options, done] = arguments;
fetch(url, options).then(
  async answer => done({status: answer.status, type: answer.type, body: await answer.text(), headers: [...answer.headers]}),
  error => done({failed: String(error)}));
"""
SANDBOX = """
const frame = document.createElement('iframe');
frame.sandbox = 'allow-scripts';
frame.srcdoc = `<script>fetch('${arguments[0]}', {method: 'POST', mode: 'no-cors', body: 'x'})</` + `script>`;
document.body.append(frame);
"""


def serve(stage: Stage) -> None:
    """Pages for some hosts; for the others orders, in the name of whoever the cookie says."""
    body = stage.read_body()
    kind, text = "application/json", json.dumps({"method": stage.request.method, "body": body.decode()})
    extra = "Set-Cookie: who=ann; Secure; HttpOnly; Path=/\r\n"
    if stage.request.target == "/page":
        kind, text, extra = "text/html", PAGE, ""
    elif stage.request.all("cookie"):
        text = json.dumps({"who": stage.request["cookie"], "method": stage.request.method})
        extra = "ETag: 1\r\nX-Inner: 2\r\nAccess-Control-Allow-Origin: *\r\n"
    head = f"HTTP/1.1 200 OK\r\n{extra}Content-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n"
    stage.send((head + text).encode())


def ask(page: Chromium, url: str, **options: Any) -> dict[str, Any]:
    return dict(page.await_(FETCH, url, {"credentials": "include", **options}))


def test_pages_in_chromium(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    listener_tls: dict[str, Any],
    tmp_path: Path,
) -> None:
    service = origin(behaviour=serve)
    limit = {"few": {"rate": "1/h", "burst": 3}}

    def config(port: int) -> dict[str, Any]:
        rules = {
            "origins": f"https://sister.gateway.test:{port}",
            "headers": {"any_of": ["content-type", "authorization"]},
            "expose": "etag",
            "credentials": True,
        }
        methods = {"any_of": ["GET", "POST", "PUT"]}
        keys = str(Path(__file__).parents[1] / "config/cases/files/partners.keys.yaml")
        return {
            "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
            "services": {"origin": configs.service(service)},
            "identity_providers": {"keys": {"type": "api_key", "keys": keys}},
            "routes": {
                "page": configs.route("/page", "GET"),
                "orders": configs.route("/orders", methods, "gateway.test", cors=rules),
                "private": configs.route(
                    "/private", methods, "gateway.test", cors=rules, access="authenticated", authenticate="keys",
                    address_limit=limit, tenant={"none": "a test"},
                ),
            },
        }  # fmt: skip

    gate = gateway(config(1))
    gate.reload(config(gate.port))
    base = f"https://gateway.test:{gate.port}"
    hosts = dict.fromkeys(["gateway.test", "sister.gateway.test", "evil.example"], "127.0.0.1")
    with chromium(tmp_path, hosts) as page:
        page.go(f"{base}/orders")
        page.go(f"https://sister.gateway.test:{gate.port}/page")
        read = ask(page, f"{base}/orders")
        assert json.loads(read["body"]) == {"who": "who=ann", "method": "GET"}, read
        names = {name for name, _ in read["headers"]}
        assert {"etag", "x-request-id"} <= names and "x-inner" not in names
        written = ask(
            page, f"{base}/orders", method="PUT", body="{}", headers={"content-type": "application/json"}
        )
        assert json.loads(written["body"]) == {"who": "who=ann", "method": "PUT"}, written
        assert gate.log_line(method="OPTIONS", status=204)["route"] == "orders"
        # What it may not send is said before it is sent.
        assert "failed" in ask(page, f"{base}/orders", headers={"x-other": "1"})
        assert gate.log_line(method="OPTIONS", status=403)["reason"] == "cors_refused"
        # Refusals of the gateway can be read: without a credential, and with no requests left.
        first = ask(page, f"{base}/private")
        assert (first["status"], json.loads(first["body"])["reason"]) == (401, "credential_missing")
        assert "www-authenticate" in {name for name, _ in first["headers"]}
        eventually(lambda: ask(page, f"{base}/private")["status"] == 429, 60, "the end of the limit")
        last = ask(page, f"{base}/private")
        assert json.loads(last["body"])["reason"] == "address_limited"
        assert "retry-after" in {name for name, _ in last["headers"]}

        page.go(f"https://evil.example:{gate.port}/page")
        service.forget()
        assert "failed" in ask(page, f"{base}/orders")
        assert "failed" in ask(page, f"{base}/orders", method="PUT", body="{}")
        opaque = ask(page, f"{base}/orders", method="POST", mode="no-cors", body="stolen")
        assert opaque["type"] == "opaque"
        page.run(SANDBOX, f"{base}/orders")
        # A GET, a preflight, a POST that needs none, and one of a page without an origin.
        eventually(lambda: gate.metric("yett_refusals_total", reason="cors_refused") == 5, 60, "refusals")
        assert service.saw_nothing()
