"""A hostile page in a real Chromium: forms, scripts, frames and sockets write nothing; the host's own pages do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import configs
from tests.support.chromium import chromium
from tests.support.gateway import Gateway
from tests.support.origin import Origin, Stage
from tests.support.waiting import eventually

FORM = """<!doctype html><title>{title}</title>{meta}
<form id="form" method="post" action="{target}"><input name="amount" value="100"><button id="send">Send</button></form>"""
NO_REFERRER = '<meta name="referrer" content="no-referrer">'
WRITE = """
const [url, done] = arguments;
fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body: 'amount=100'}).then(
  answer => done(answer.type), error => done(String(error)));
"""
FRAME = """
const frame = document.createElement('iframe');
frame.sandbox = 'allow-scripts allow-forms';
frame.srcdoc = `<form id=f method=post action='${arguments[0]}'><input name=amount value=1></form><script>f.submit()</` + `script>`;
document.body.append(frame);
"""


class Bank:
    """A service with a cookie of its own, and a hostile page on another host."""

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.target = ""

    def __call__(self, stage: Stage) -> None:
        body = stage.read_body()
        host, target = stage.request["x-forwarded-host"], stage.request.target
        if stage.request.method == "POST" or "_method" in target:
            self.paid.append(f"{host} {target} {body.decode()} {stage.request.all('cookie')}")
            self.answer(stage, "<!doctype html><title>Paid</title>")
            return
        own = host.startswith("gateway.test")
        meta = NO_REFERRER if target.startswith("/quiet") else ""
        form = FORM.format(
            title="Bank" if own else "Prizes", meta=meta, target="/pay" if own else self.target
        )
        self.answer(
            stage, form, "Set-Cookie: who=ann; Secure; HttpOnly; SameSite=None; Path=/\r\n" if own else ""
        )

    def answer(self, stage: Stage, text: str, extra: str = "") -> None:
        head = f"HTTP/1.1 200 OK\r\n{extra}Content-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n"
        stage.send((head + text).encode())


def test_a_bank_in_chromium(
    gateway: Callable[..., Gateway],
    origin: Callable[..., Origin],
    listener_tls: dict[str, Any],
    tmp_path: Path,
) -> None:
    bank = Bank()
    service = origin(behaviour=bank)
    methods = {"any_of": ["GET", "POST"]}
    gate = gateway(
        {
            "listeners": {"main": {"address": "127.0.0.1:0", "tls": listener_tls}},
            "services": {"origin": configs.service(service, host="preserve")},
            "routes": {
                "bank": configs.route("/{rest...}", methods, "gateway.test", csrf={}),
                "prizes": configs.route(
                    "/{rest...}", "GET", {"any_of": ["sister.gateway.test", "evil.example"]}
                ),
            },
        }
    )
    base = f"https://gateway.test:{gate.port}"
    bank.target = f"{base}/pay"
    hosts = dict.fromkeys(["gateway.test", "sister.gateway.test", "evil.example"], "127.0.0.1")

    def refused(count: int, what: str) -> None:
        eventually(lambda: gate.metric("yett_refusals_total", reason="csrf_refused") == count, 60, what)

    with chromium(tmp_path, hosts) as page:
        page.go(f"{base}/account")
        page.click("#send")
        eventually(lambda: page.title == "Paid", 60, "the answer")
        assert len(bank.paid) == 1 and "who=ann" in bank.paid[0]
        # A page that sends no referrer says `Origin: null`.
        page.go(f"{base}/quiet")
        page.click("#send")
        eventually(lambda: page.title == "Paid", 60, "the answer")
        assert len(bank.paid) == 2
        bank.paid.clear()

        for number, foreign in enumerate(["sister.gateway.test", "evil.example"]):
            before = 5 * number
            there = f"https://{foreign}:{gate.port}/quiet"
            page.go(there)
            assert page.await_(WRITE, f"{base}/pay") == "opaque"
            refused(before + 1, "a script refused")
            page.run(FRAME, f"{base}/pay")
            refused(before + 2, "a frame refused")
            page.run("document.getElementById('form').submit()")
            refused(before + 3, "a form refused")
            assert "csrf_refused" in page.text
            page.go(there.replace("quiet", "loud"))
            page.run("document.getElementById('form').submit()")
            refused(before + 4, "a form that says where it is from refused")
            # A link that some frameworks take for another method.
            page.go(there)
            page.run(f"location.href = '{base}/pay?_method=POST'")
            refused(before + 5, "a link refused")
        assert bank.paid == []
        page.go(f"{base}/account")
        assert page.title == "Bank"
