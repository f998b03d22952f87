"""Any other provider with metadata (OpenID Connect Discovery 1.0, RFC 8414) and tokens as RFC 9068 has them."""

from __future__ import annotations

from yett.presets.preset import Preset

PRESET = Preset(name="oidc", example="https://id.example.com")
"""RFC 9068 section 2.2: `scope`, `roles`, `client_id`."""
