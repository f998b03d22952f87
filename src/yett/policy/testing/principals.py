"""From a caller in a test to what the engine takes as verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yett.config.base import listed, nearest
from yett.config.messages import translate
from yett.config.places import Places
from yett.errors import ConfigurationError
from yett.policy.testing.model import NOBODY, Principal

TOKENS = ("jwt", "introspection", "oidc")


class Unknown(ValueError):
    """A caller that no configuration could know; `at` is the key that is wrong."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


def read(value: Any, shown: str) -> Principal:
    """A principal that stands in no file; `shown` is what it is called.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    try:
        return Principal.model_validate(value)
    except ValidationError as error:
        raise ConfigurationError(translate(error, Principal, Places(None, shown, Path()))) from None


class Principals:
    """The providers of a configuration, and the named callers of a file."""

    def __init__(self, document: dict[str, Any], named: dict[str, Principal]) -> None:
        self._providers = {provider["name"]: provider for provider in document["providers"]}
        self._named = named

    def assumed(self, principal: Principal) -> dict[str, Any] | None:
        """As the engine takes it; nothing for `nobody`.

        Raises:
            Unknown: a name that is not there, or a key that its provider has no place for.
        """
        if principal.same_as == NOBODY and principal.model_fields_set == {"same_as"}:
            return None
        whole = self._whole(principal, ())
        if whole.provider is None:
            raise Unknown("`provider` is missing: which identity provider verified it")
        provider = self._providers.get(whole.provider)
        if provider is None:
            hint = nearest(whole.provider, self._providers) or f"; known here: {listed(self._providers)}"
            raise Unknown(f"there is no identity provider `{whole.provider}`{hint}", "provider")
        return _token(whole, provider) if provider["type"] in TOKENS else _machine(whole, provider)

    def _whole(self, principal: Principal, seen: tuple[str, ...]) -> Principal:
        """With everything that it takes from the one that it is like."""
        if principal.same_as is None:
            return principal
        base = self._named.get(principal.same_as)
        if base is None:
            hint = nearest(principal.same_as, [*self._named, NOBODY]) or (
                f"; known here: {listed([*self._named, NOBODY])}"
            )
            raise Unknown(f"there is no principal `{principal.same_as}`{hint}", "same_as")
        if principal.same_as in seen:
            raise Unknown(f"`{principal.same_as}` is like itself; write out what it has", "same_as")
        below = self._whole(base, (*seen, principal.same_as))
        own = {key: getattr(principal, key) for key in principal.model_fields_set - {"same_as"}}
        merged = {key: getattr(below, key) for key in below.model_fields_set - {"same_as"}} | own
        if "claims" in own:
            merged["claims"] = {**below.claims, **own["claims"]}
        return Principal.model_validate(merged)


def _token(principal: Principal, provider: dict[str, Any]) -> dict[str, Any]:
    name = provider["name"]
    if principal.name is not None:
        raise Unknown(f"tokens of `{name}` have no `name`; write `subject` or `client`", "name")
    claims = {key: value for key, value in principal.claims.items() if value is not None}
    places = provider["claims"]
    wanted: list[tuple[str, list[str] | None, Any]] = [
        ("subject", ["sub"], principal.subject),
        ("client", places.get("client") or ["client_id"], principal.client),
        ("scopes", places.get("scopes"), None if principal.scopes is None else " ".join(principal.scopes)),
        ("roles", places.get("roles"), None if principal.roles is None else list(principal.roles)),
        ("tenant", places.get("tenant"), principal.tenant),
    ]
    for key, path, value in wanted:
        if value is None:
            continue
        if not path:
            raise Unknown(f"`{name}` maps no {key} from its tokens; write `claims`", key)
        put(claims, path, value)
    if not {"sub", "client_id", "azp"} & set(claims):
        claims["sub"] = "test"
    return {"provider": name, "claims": claims, "proved": principal.proved}


def put(claims: dict[str, Any], path: list[str], value: Any) -> None:
    """Writes a claim to its place, unless something stands there."""
    here = claims
    for step in path[:-1]:
        inner = here.get(step)
        here[step] = dict(inner) if isinstance(inner, dict) else {}
        here = here[step]
    here.setdefault(path[-1], value)


def _machine(principal: Principal, provider: dict[str, Any]) -> dict[str, Any]:
    name, kind = provider["name"], provider["type"]
    for key in ("subject", "client", "scopes", "roles", "tenant", "claims"):
        if key in principal.model_fields_set:
            raise Unknown(f"what a caller of `{name}` has stands with its provider; write its `name`", key)
    if principal.name is None:
        raise Unknown(f"`name` is missing: which caller of `{name}` it is")
    known = {
        "api_key": [key["name"] for key in provider.get("keys", ())],
        "signed_request": [key["id"] for key in provider.get("keys", ())],
        "client_assertion": [client["id"] for client in provider.get("clients", ())],
    }.get(kind)
    if known is not None and principal.name not in known:
        hint = nearest(principal.name, known) or f"; known here: {listed(known)}"
        raise Unknown(f"`{name}` has no key `{principal.name}`{hint}", "name")
    return {"provider": name, "name": principal.name}
