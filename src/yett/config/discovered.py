"""An issuer whose metadata says where its endpoints are (OpenID Connect Discovery 1.0, RFC 8414)."""

from __future__ import annotations

from typing import Any

FRESH = {"refresh_ms": 3_600_000, "stale_ms": 86_400_000, "min_interval_ms": 10_000}
"""Fetched again every hour, used for a day where that fails, asked at most every ten seconds."""


def discovered(issuer: str, plaintext: bool, ca: str | None, hosts: tuple[str, ...]) -> dict[str, Any]:
    """How the metadata is fetched (`ir::Discovery`)."""
    return {
        "issuer": issuer, "plaintext": plaintext, **({"ca": ca} if ca else {}),
        **({"hosts": list(hosts)} if hosts else {}), **FRESH,
    }  # fmt: skip
