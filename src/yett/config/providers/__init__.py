"""What vouches for callers. Each type is one module here, one in the data plane, one test, one page, one example."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from yett.config.providers.api_key import ApiKey
from yett.config.providers.client_assertion import ClientAssertion
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import Jwt
from yett.config.providers.mtls import Mtls
from yett.config.providers.oidc import Oidc
from yett.config.providers.signed_request import SignedRequest

PROVIDERS = (Jwt, ApiKey, ClientAssertion, Introspection, Mtls, Oidc, SignedRequest)
"""All types."""

Provider = Annotated[
    Jwt | ApiKey | ClientAssertion | Introspection | Mtls | Oidc | SignedRequest, Field(discriminator="type")
]
