"""Microsoft Entra: issuers of version 1 and 2, applications in several tenants, `roles` and `scp`, keys with an issuer."""

from __future__ import annotations

import re

from yett.presets.preset import Preset

_V1 = "https://sts.windows.net/"
_V2 = "https://login.microsoftonline.com/"


def _fault(issuer: str) -> str | None:
    tenant = issuer.removeprefix(_V1).removeprefix(_V2).split("/")[0]
    if tenant in {"common", "organizations", "consumers"}:
        return f"`{tenant}` is no tenant: no token names it. Write `{{tenant}}` in its place, and list the `tenants`"
    return None


def _metadata(issuer: str) -> tuple[str | None, str]:
    """Version 1 has its metadata on the host of version 2; `{tenant}` stands for all, and is `{tenantid}` in the metadata."""
    several = "{tenant}" in issuer
    named = issuer.replace("{tenant}", "{tenantid}")
    tenant = "common" if several else issuer.removeprefix(_V1).removeprefix(_V2).split("/")[0]
    if issuer.startswith(_V1):
        return f"{_V2}{tenant}/.well-known/openid-configuration", named
    return f"{_V2}{tenant}/v2.0/.well-known/openid-configuration" if several else None, named


def _client(issuer: str) -> tuple[str, ...]:
    return ("appid",) if issuer.startswith(_V1) else ("azp",)


PRESET = Preset(
    name="entra",
    example="https://login.microsoftonline.com/8a4a1e2c-3b5d-4c6e-9f70-112233445566/v2.0",
    issuer=re.compile(
        r"https://(?:sts\.windows\.net/(?:[0-9a-f-]{36}|\{tenant\}|common|organizations|consumers)/"
        r"|login\.microsoftonline\.com/(?:[0-9a-f-]{36}|\{tenant\}|common|organizations|consumers)/v2\.0)"
    ),
    issuer_fault=_fault,
    metadata=_metadata,
    scopes=("scp",),
    tenant=("tid",),
    client_of=_client,
    # a token that an application got for itself has no `scp`
    kind={"from": ["idtyp"], "values": {"app": "service", "user": "user", "device": "device"}, "service_without": ["scp"]},
    key_issuer=True,
    at_jwt=False,
    options=frozenset({"tenants"}),
)  # fmt: skip
"""https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference"""
