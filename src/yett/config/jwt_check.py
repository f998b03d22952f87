"""What does not fit together in a provider of signed tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from yett.config.base import Location, listed
from yett.config.jwt_document import RESERVED, algorithms, issuers, preset_of
from yett.config.merge import Merger
from yett.config.places import Places
from yett.config.providers.jwt import SHARED, JwksUrl, Jwt
from yett.config.resolve import Material, secret_name
from yett.config.units import milliseconds
from yett.errors import ConfigError
from yett.presets import PRESETS
from yett.presets.preset import Preset

_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NAMESPACE = re.compile(r"https?://[!-~]+", re.ASCII)
MAX_TENANTS = 1000

Fault = tuple[Location, str, str, bool]
"""Place below the provider, code, message, and whether it is the key that is wrong and not its value."""


def check_jwt(merger: Merger, at: Location, provider: Jwt) -> None:
    """Everything that one provider says."""
    preset = preset_of(provider)
    for faults in (
        _preset(provider, preset), _whom(provider, preset), _secret(provider), _keys(provider), _plaintext(provider),
        _times(provider), _claims(provider), _tenants(provider),
    ):  # fmt: skip
        for place, code, message, key in faults:
            merger.fault((*at, *place), code, message, key)


def _preset(provider: Jwt, preset: Preset) -> Iterator[Fault]:
    for option in ("namespace", "tenants"):
        if getattr(provider, option) and option not in preset.options:
            owner = next(name for name, known in PRESETS.items() if option in known.options)
            yield (
                (option,),
                "key_unused",
                f"only tokens of `preset: {owner}` have that; remove `{option}`",
                True,
            )
    if provider.namespace and not _NAMESPACE.fullmatch(provider.namespace):
        yield (
            ("namespace",),
            "claim_invalid",
            f"`{provider.namespace}` begins no claim of Auth0; write one such as `https://shop.example/`",
            False,
        )
    if provider.at_jwt_only and not preset.at_jwt:
        yield (
            ("token_type",),
            "token_type_unknown",
            f"tokens of `{preset.name}` never say `at+jwt`, so all would be refused; remove `token_type`",
            True,
        )
    if preset.issuer is None:
        return
    if not preset.issuer.fullmatch(provider.issuer):
        yield (
            ("issuer",),
            "issuer_unlikely",
            f"`{provider.issuer}` is no issuer of `{preset.name}`; it looks like `{preset.example}`",
            False,
        )
    elif preset.issuer_fault and (fault := preset.issuer_fault(provider.issuer)):
        yield ("issuer",), "issuer_unlikely", fault, False


def _whom(provider: Jwt, preset: Preset) -> Iterator[Fault]:
    if not preset.audience and not provider.clients:
        yield (
            (),
            "key_missing",
            f"`clients` is missing: access tokens of `{preset.name}` have no `aud`, so only the client says whom they are for",
            True,
        )
    elif not provider.audience and not provider.clients:
        yield (
            (),
            "key_missing",
            "`audience` is missing: one of these has to be in `aud`; where tokens have none, name the `clients`",
            True,
        )
    elif not provider.audience and provider.preset and preset.audience:
        yield (
            (),
            "key_missing",
            f"`audience` is missing: tokens of `{preset.name}` have an `aud`, and one for somebody else would be accepted without it",
            True,
        )


def _secret(provider: Jwt) -> Iterator[Fault]:
    for index, name in enumerate(provider.algorithms or ()):
        if provider.shared_secret and name not in SHARED:
            yield (
                ("algorithms", index),
                "algorithm_refused",
                f"`{name}` needs a public key, which never stands beside a `shared_secret`; write {', '.join(SHARED)}, or another provider",
                False,
            )
        if not provider.shared_secret and name in SHARED:
            yield (
                ("algorithms", index),
                "algorithm_refused",
                f"`{name}` uses one shared secret, which every party that checks could also forge with; use RS256, ES256 or EdDSA",
                False,
            )
    if provider.shared_secret:
        for key in ("jwks", "jwks_hosts", "discovery", "preset"):
            if getattr(provider, key):
                yield (
                    (key,),
                    "key_unused",
                    f"a `shared_secret` stands in place of public keys, never beside them; remove `{key}`",
                    True,
                )


def _keys(provider: Jwt) -> Iterator[Fault]:
    jwks, discovery = provider.jwks, provider.discovery
    issuer = urlsplit(provider.issuer).hostname or ""
    fixed = jwks is not None and not isinstance(jwks, JwksUrl)
    if discovery and (fixed or (isinstance(jwks, JwksUrl) and jwks.url)):
        yield (
            ("discovery",),
            "key_unused",
            "`jwks` says where the keys are, so no metadata is fetched; remove one of them",
            True,
        )
    if fixed and provider.jwks_hosts:
        yield (
            ("jwks_hosts",),
            "key_unused",
            "`jwks` is a file, so `jwks_hosts` has no effect; remove it",
            True,
        )
    for key, where in (("jwks", jwks), ("discovery", discovery)):
        url = None if where is None or isinstance(where, str) else where.url
        host = urlsplit(url or "").hostname or ""
        if url and host != issuer and host not in provider.jwks_hosts:
            yield (
                (key, "url"),
                "jwks_host",
                f"`{host}` is not the issuer's host, `{issuer}`; add it to `jwks_hosts` if it is meant",
                False,
            )


def _plaintext(provider: Jwt) -> Iterator[Fault]:
    places: list[tuple[Location, str | None]] = [(("issuer",), provider.issuer)]
    if isinstance(provider.jwks, JwksUrl):
        places.append((("jwks", "url"), provider.jwks.url))
    if provider.discovery:
        places.append((("discovery", "url"), provider.discovery.url))
    insecure = [(place, url) for place, url in places if url and url.startswith("http://")]
    if provider.plaintext is None:
        for place, url in insecure:
            yield (
                place,
                "plaintext_reason",
                f"`{url}` is plain HTTP, where anyone on the way could put in keys; use https, or add `plaintext:` with a reason",
                False,
            )
    elif not insecure and not ((provider.introspection and provider.introspection.endpoint) or "").startswith(
        "http://"
    ):
        yield ("plaintext",), "plaintext_unused", "nothing here is plain HTTP; remove `plaintext`", True


def _times(provider: Jwt) -> Iterator[Fault]:
    leeway = milliseconds(provider.leeway)
    if leeway > 300_000 or leeway % 1000:
        yield (
            ("leeway",),
            "out_of_range",
            f"`{provider.leeway}` is out of range; write whole seconds, at most `5m`",
            False,
        )
    if provider.max_age and milliseconds(provider.max_age) % 1000:
        yield (
            ("max_age",),
            "out_of_range",
            f"`{provider.max_age}` is out of range; write whole seconds",
            False,
        )


def _claims(provider: Jwt) -> Iterator[Fault]:
    for name, claim in provider.claims.items():
        if name in RESERVED and "type" in claim.model_fields_set:
            yield (
                ("claims", name, "type"),
                "claim_invalid",
                f"the type of `{name}` is fixed; remove `type`",
                True,
            )
        if name == "assurance" and claim.type not in {"string", "int"}:
            yield (
                ("claims", name, "type"),
                "claim_invalid",
                "`assurance` is a `string` or an `int`",
                False,
            )
        if name != "kind" and claim.values is not None:
            yield (
                ("claims", name, "values"),
                "claim_invalid",
                "only `kind` says what values mean; remove `values`",
                True,
            )
    if provider.namespace and "roles" in provider.claims:
        yield (
            ("namespace",),
            "key_unused",
            "`claims` says where roles are, and nothing else is read there; remove one of them",
            True,
        )


def _tenants(provider: Jwt) -> Iterator[Fault]:
    several = "{tenant}" in provider.issuer
    if several and not provider.tenants and provider.preset == "entra":
        yield (
            ("issuer",),
            "tenants_missing",
            "`{tenant}` stands for several tenants; list them in `tenants`, else anybody's would do",
            False,
        )
    if provider.tenants and not several:
        yield (
            ("tenants",),
            "key_unused",
            "the issuer is that of one tenant; write `{tenant}` in its place, or remove `tenants`",
            True,
        )
    if ("{" in provider.issuer or "}" in provider.issuer) and provider.preset != "entra":
        yield (
            ("issuer",),
            "url_invalid",
            f"the issuer is compared as it stands in `iss`: `{provider.issuer}` is not an address; only `preset: entra` knows `{{tenant}}`",
            False,
        )
    for index, tenant in enumerate(provider.tenants):
        if not _TENANT.fullmatch(tenant):
            yield (
                ("tenants", index),
                "tenant_invalid",
                f"`{tenant}` is no tenant's id; write 32 hexadecimal digits in lower case, as in `tid`",
                False,
            )
    if len(provider.tenants) > MAX_TENANTS:
        yield ("tenants",), "out_of_range", f"at most {MAX_TENANTS} tenants stand here", False


def secret_errors(providers: Mapping[str, object], material: Material, places: Places) -> list[ConfigError]:
    """Shared secrets that are shorter than their algorithms need (RFC 7518 section 3.2)."""
    errors: list[ConfigError] = []
    for name, provider in providers.items():
        if not isinstance(provider, Jwt) or provider.shared_secret is None:
            continue
        at: Location = ("identity_providers", name, "shared_secret")
        secret = material.secrets.get(secret_name(at))
        chosen = [one for one in algorithms(provider) if one in SHARED]
        least = max((SHARED[one] for one in chosen), default=32)
        if secret is not None and len(secret) < least:
            message = f"{listed(chosen)}: a secret of at least {least} bytes is needed; make one with `openssl rand -hex {least}`"
            errors.append(places.error(at, "secret_weak", message))
    return errors


def issuers_of(provider: object) -> tuple[str, ...]:
    """Every `iss` that leads to a provider of signed tokens."""
    return tuple(issuers(provider)) if isinstance(provider, Jwt) else ()
