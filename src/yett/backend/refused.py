"""Why a service refuses a request."""

from __future__ import annotations

import json

TITLES = {
    "assertion_missing": (401, "this service is reached through the gateway only"),
    "assertion_invalid": (401, "the assertion of identity cannot be read"),
    "assertion_key_unknown": (401, "the assertion is signed with an unknown key"),
    "assertion_signature_invalid": (401, "the assertion's signature is not valid"),
    "assertion_stale": (401, "the assertion is over, or not valid yet"),
    "assertion_issuer_mismatch": (401, "the assertion was made by another gateway"),
    "assertion_audience_mismatch": (401, "the assertion was made for another service"),
    "assertion_request_mismatch": (401, "the assertion was made for another request"),
    "assertion_body_mismatch": (401, "the assertion was made for another body"),
    "assertion_replayed": (401, "the assertion was used before"),
    "caller_missing": (401, "this needs a caller who is known"),
    "scope_missing": (403, "the caller lacks a scope"),
    "tenant_missing": (403, "the caller or the request names no tenant"),
    "tenant_mismatch": (403, "the caller belongs to another tenant"),
    "body_incomplete": (400, "the body broke off"),
    "length_required": (411, "the length of the body has to be announced"),
    "body_too_large": (413, "the body is too large to be looked at"),
    "keys_unavailable": (503, "the gateway's keys cannot be had"),
    "replays_full": (503, "too many assertions are remembered"),
}
"""Status and sentence by code."""


class Refused(Exception):
    """A request that a service refuses. `code` is stable; `status` is that of HTTP."""

    def __init__(self, code: str) -> None:
        self.status, self.title = TITLES[code]
        self.code = code
        super().__init__(code)

    def problem(self) -> bytes:
        """The answer's body (RFC 9457), without anything of the inside."""
        said = {"type": "about:blank", "status": self.status, "title": self.title, "reason": self.code}
        return json.dumps(said).encode()

    def headers(self) -> list[tuple[str, str]]:
        """The answer's fields."""
        return [
            ("content-type", "application/problem+json"),
            ("content-length", str(len(self.problem()))),
            ("cache-control", "no-store"),
        ]
