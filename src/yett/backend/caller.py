"""Who calls, as a verified assertion says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Caller:
    """Who calls, and through which request. Everything here was signed by the gateway."""

    subject: str
    """`sub`: unique within `provider`; `anonymous` where nobody is known."""
    kind: str
    """`user`, `service`, `device` or `anonymous`."""
    provider: str | None = None
    """`idp`: the identity provider that vouched, as the gateway's configuration names it."""
    client: str | None = None
    """`client_id`: the application."""
    tenant: str | None = None
    """The tenant that the caller belongs to."""
    scopes: frozenset[str] = frozenset()
    """Granted scopes."""
    roles: frozenset[str] = frozenset()
    """Roles, where the gateway was asked for them."""
    methods: tuple[str, ...] = ()
    """`amr`: how the caller was authenticated, such as `jwt` or `api_key`."""
    authenticated: int | None = None
    """`auth_time`: when a person logged in, Unix seconds, where the provider says it."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Declared claims, where the gateway was asked for them."""
    actor: Mapping[str, Any] | None = None
    """`act`: who acts for the subject (RFC 8693 section 4.1)."""
    request_id: str | None = None
    """The request's id at the gateway."""
    revision: str | None = None
    """`rev`: the first digits of the gateway's configuration."""
    body: str | None = None
    """The digest of the body, where the gateway was asked for it."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known: the route is public."""
        return self.kind == "anonymous"
