"""Keycloak: roles of the realm in `realm_access`, of clients in `resource_access`; the kind of a token in `typ`."""

from __future__ import annotations

import re

from yett.presets.preset import Preset

PRESET = Preset(
    name="keycloak",
    example="https://id.example.com/realms/shop",
    # before version 17 with `/auth`
    issuer=re.compile(r"https?://[^/]+(/.*)?/realms/[^/]+"),
    roles=(("realm_access", "roles"), ("resource_access", "{audience}", "roles")),
    client=("azp",),
    # the scope `service_account` adds it; a person's token has only `azp`
    kind={"from": ["client_id"], "present": "service"},
    # `ID`, `Refresh`, `Offline` and `Logout` are no access tokens; `DPoP` is one that is bound to a key
    required={"typ": ("Bearer", "DPoP")},
)
"""https://www.keycloak.org/docs/latest/server_admin/#_service_accounts"""
