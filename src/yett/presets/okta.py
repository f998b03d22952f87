"""Okta: custom authorization servers, scopes as a list in `scp`, the client in `cid`."""

from __future__ import annotations

import re

from yett.presets.preset import Preset


def _fault(issuer: str) -> str | None:
    if "/oauth2/" in issuer:
        return None
    return (
        "tokens of Okta's own authorization server are for Okta alone and may not be verified by others; "
        "use a custom one, such as `https://shop.okta.com/oauth2/default`"
    )


PRESET = Preset(
    name="okta",
    example="https://shop.okta.com/oauth2/default",
    issuer=re.compile(r"https://[^/]+(/oauth2/[A-Za-z0-9_-]+)?"),
    issuer_fault=_fault,
    scopes=("scp",),
    roles=(("groups",),),
    client=("cid",),
    at_jwt=False,
    opaque="the token is no signed JWT; only a custom authorization server of Okta gives tokens for an API",
)
"""https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/"""
