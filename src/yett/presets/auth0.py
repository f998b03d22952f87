"""Auth0: namespaced claims, a list of audiences, opaque tokens where no audience was asked for."""

from __future__ import annotations

import re

from yett.presets.preset import Preset


def _fault(issuer: str) -> str | None:
    return None if issuer.endswith("/") else f"Auth0 writes its issuer with a slash at the end: `{issuer}/`"


PRESET = Preset(
    name="auth0",
    example="https://shop.eu.auth0.com/",
    # also a custom domain
    issuer=re.compile(r"https://[^/]+/?"),
    issuer_fault=_fault,
    tenant=("org_id",),
    # only in tokens of Auth0's own profile; `azp` there, `client_id` in those of RFC 9068
    kind={"from": ["gty"], "values": {"client-credentials": "service"}, "other": "user"},
    client_suffix="@clients",
    opaque="the token is no signed JWT; Auth0 gives such tokens where none of this API's audiences is asked for",
    options=frozenset({"namespace"}),
)
"""https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles"""
