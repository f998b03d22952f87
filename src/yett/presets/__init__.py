"""What is particular about the tokens of well-known identity providers."""

from __future__ import annotations

from yett.presets import auth0, cognito, entra, keycloak, oidc, okta
from yett.presets.preset import Preset

PRESETS: dict[str, Preset] = {
    module.PRESET.name: module.PRESET for module in (auth0, okta, cognito, keycloak, entra, oidc)
}
"""By name."""
