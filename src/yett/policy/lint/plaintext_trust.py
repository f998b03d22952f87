"""Something that decides about callers is asked over plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from yett.config.base import Location
from yett.config.providers import Provider
from yett.config.providers.introspection import Introspection
from yett.config.providers.jwt import JwksUrl, Jwt
from yett.config.providers.oidc import Oidc
from yett.policy.linter.context import Context, remote
from yett.policy.linter.rule import Hit, Rule, Severity


def check(context: Context) -> Iterator[Hit]:
    """Keys, introspection, external checks, tokens for services and Redis without TLS, on other machines."""
    for at, url, what in _asked(context):
        if url and url.startswith(("http://", "redis://")) and remote(url):
            message = f"{what} over the network in plain text, where anyone on the way can answer in its place; use TLS"
            yield Hit(at, message, context.grave)


def _asked(context: Context) -> Iterator[tuple[Location, str | None, str]]:
    for name, provider in context.gateway.identity_providers.items():
        yield from _of_provider(("identity_providers", name), name, provider)
    for kind, name, item in context.parts():
        if item.external_authorization:
            here = (kind, name, "external_authorization", "url")
            yield here, item.external_authorization.url, "whether a request may pass is asked"
    for name, service in context.gateway.services.items():
        if service.token:
            key = "endpoint" if service.token.endpoint else "issuer"
            asked = service.token.endpoint or service.token.issuer
            yield ("services", name, "token", key), asked, f"tokens for `{name}` are fetched"
    redis = context.gateway.state.redis if context.gateway.state else None
    if redis:
        yield ("state", "redis", "url"), redis.url, "sessions and revocations are kept"


def _of_provider(at: Location, name: str, provider: Provider) -> Iterator[tuple[Location, str | None, str]]:
    if isinstance(provider, Jwt):
        url = (
            provider.jwks.url if isinstance(provider.jwks, JwksUrl) and provider.jwks.url else provider.issuer
        )
        key = "jwks" if isinstance(provider.jwks, JwksUrl) and provider.jwks.url else "issuer"
        if provider.shared_secret is None and (provider.jwks is None or isinstance(provider.jwks, JwksUrl)):
            yield (*at, key), url, f"the keys of `{name}` are fetched"
        if provider.discovery and provider.discovery.url:
            yield (
                (*at, "discovery", "url"),
                provider.discovery.url,
                f"the metadata of `{name}` is fetched",
            )
        if provider.introspection:
            yield (
                (*at, "introspection", "endpoint"),
                provider.introspection.endpoint,
                f"tokens of `{name}` are checked",
            )
    elif isinstance(provider, Introspection):
        key = "endpoint" if provider.endpoint else "issuer"
        yield (*at, key), provider.endpoint or provider.issuer, f"tokens of `{name}` are checked"
    elif isinstance(provider, Oidc):
        yield (*at, "issuer"), provider.issuer, f"people log in at `{name}`"
        for place, url in provider.urls():
            if place[0] == "endpoints":
                yield (*at, *place), url, f"`{place[-1]}` of `{name}`, where people log in, is reached"


RULE = Rule(
    id="plaintext-trust", severity=Severity.ERROR, title="what decides about callers is asked without TLS", check=check,
    references=("API2:2023", "API8:2023", "SP 800-204 4.3", "CWE-319"),
)  # fmt: skip
