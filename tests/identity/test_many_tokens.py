"""A million callers with a token each: what is remembered stays within `process.verdict_cache`.

`pytest tests/identity/test_many_tokens.py --tokens 1000000` asks with a million; by default it is a hundredth.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import configs
from tests.support.issuer import b64

REMEMBERED = 1000
BOUND = 12 << 20
"""Bytes that memory may grow by: 1,000 verdicts are 1 MiB at most, the rest is the allocator's."""


def resident(pid: int) -> int:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) << 10


def test_memory_stays_within_the_bound(run, origin, tmp_path, pytestconfig):
    service = origin()
    key = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(key.public_key().public_bytes_raw())}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    config: dict[str, Any] = {
        "process": {"verdict_cache": REMEMBERED},
        "identity_providers": {
            "id": {"type": "jwt", "issuer": "https://id.example", "audience": "shop", "jwks": str(tmp_path / "jwks.json")}
        },
        "services": {"origin": configs.service(service)},
        "routes": {
            "fixed": configs.route("/fixed", authenticate="id", access="authenticated", service=None, respond={"status": 204})
        },
    }  # fmt: skip
    gate = run(config)
    header, until = b64(b'{"alg":"EdDSA","kid":"k"}'), int(time.time()) + 36_000

    def token(number: int) -> str:
        claims = {
            "iss": "https://id.example",
            "aud": "shop",
            "sub": f"person-{number}",
            "exp": until,
            "scope": "a b c",
        }
        signed = f"{header}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(key.sign(signed.encode()))}"

    wire = gate.connect()

    def ask(first: int, last: int) -> None:
        for number in range(first, last):
            answer = wire.ask(target="/fixed", headers={"Authorization": f"Bearer {token(number)}"})
            assert answer.status == 204, answer

    total = int(pytestconfig.getoption("--tokens"))
    ask(0, 3 * REMEMBERED)
    warm = resident(gate.process.pid)
    ask(3 * REMEMBERED, total)
    grown = resident(gate.process.pid) - warm
    wire.close()
    assert grown < BOUND, f"{grown >> 20} MiB for {total} tokens"
