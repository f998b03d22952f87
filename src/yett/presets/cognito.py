"""Amazon Cognito: no `aud` in access tokens, so the client says whom they are for; groups in `cognito:groups`."""

from __future__ import annotations

import re

from yett.presets.preset import Preset

PRESET = Preset(
    name="cognito",
    example="https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a1B2c3D4e",
    issuer=re.compile(
        r"https://cognito-idp(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P=region)_[A-Za-z0-9]+"
    ),
    roles=(("cognito:groups",),),
    client=("client_id",),
    # ID tokens have `aud` and `token_use: id`
    required={"token_use": ("access",)},
    audience=False,
    at_jwt=False,
)
"""https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html"""
