"""Security schemes as identity providers, and security requirements as what a route asks of its callers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from yett.config.filters.authorize import SCOPE
from yett.config.headers import owned, valid_name
from yett.config.url import url_fault
from yett.config.validation.translate import Faulty, resolved
from yett.config.words import Location, listed, nearest
from yett.policy.emit import plain

DISCOVERY = "/.well-known/openid-configuration"
TOKEN = ("oauth2", "openIdConnect", "http")
_CARRIERS = frozenset({"authorization", "proxy-authorization", "cookie", "dpop"})


@dataclass(frozen=True)
class Scheme:
    """A scheme as an identity provider."""

    name: str
    """Of the provider."""
    kind: str
    """`type` of the description."""
    provider: dict[str, Any]
    comments: tuple[str, ...]

    @property
    def is_key(self) -> bool:
        """Whether callers show an API key."""
        return self.kind == "apiKey"


@dataclass(frozen=True)
class Access:
    """What a route asks of its callers."""

    public: bool = False
    schemes: tuple[Scheme, ...] = ()
    all_of: bool = False
    scopes: tuple[str, tuple[str, ...]] | None = None
    """`any_of` or `all_of`, and which."""
    roles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Its part of a route."""
        if self.public:
            return {"access": "public"}
        names = [scheme.name for scheme in self.schemes]
        accepted: Any = names[0] if len(names) == 1 else {"all_of" if self.all_of else "any_of": names}
        rule: dict[str, Any] = {}
        if self.scopes:
            quantifier, items = self.scopes
            rule["scopes"] = items[0] if len(items) == 1 else {quantifier: list(items)}
        if self.roles:
            rule["roles"] = self.roles[0] if len(self.roles) == 1 else {"all_of": list(self.roles)}
        return {"authenticate": accepted, **({"authorize": rule} if rule else {"access": "authenticated"})}


class Security:
    """The security of one description. `refused` has schemes that cannot be taken, and why."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.old = str(root["openapi"]).startswith("3.0")
        self.schemes: dict[str, Scheme] = {}
        self.refused: dict[str, Faulty] = {}
        components = root.get("components")
        found = components.get("securitySchemes") if isinstance(components, dict) else None
        for name, raw in found.items() if isinstance(found, dict) else ():
            try:
                self.schemes[name] = self._scheme(name, raw, ("components", "securitySchemes", name))
            except Faulty as fault:
                self.refused[name] = fault

    # schemes

    def _scheme(self, name: str, raw: Any, at: Location) -> Scheme:
        scheme, at = resolved(self.root, raw, at)
        kind = scheme.get("type")
        known = self._slug(name)
        if kind == "apiKey":
            return self._key(known, name, scheme, at)
        if kind == "oauth2":
            return Scheme(known, kind, *self._token(known, "", _oauth_notes(scheme)))
        if kind == "openIdConnect":
            return Scheme(known, kind, *self._discovered(known, scheme, at))
        if kind == "http":
            how = str(scheme.get("scheme", "")).lower()
            if how == "bearer":
                shape = str(scheme.get("bearerFormat", "")).strip()
                notes = [] if shape.lower() in {"", "jwt"} else [_opaque(shape)]
                return Scheme(known, kind, *self._token(known, "", notes))
            if how == "basic":
                message = (
                    f"`{name}` sends a password with every request (HTTP Basic), which is not taken here; "
                    "use `type: http, scheme: bearer`, or an API key in a header"
                )
                raise Faulty(at, message)
            raise Faulty(
                at, f"`{name}` is HTTP `{plain(how)}`, which is not taken here; use `scheme: bearer`"
            )
        if kind == "mutualTLS":
            message = (
                f"`{name}` is a client certificate, and the description does not say of which authority; leave it out, "
                "and add `client_certificate: required` and a provider of type `mtls` to what is written"
            )
            raise Faulty(at, message)
        message = (
            f"`{plain(kind)}` is no type of a security scheme; write oauth2, openIdConnect, http or apiKey"
        )
        raise Faulty((*at, "type"), message)

    def _slug(self, name: str) -> str:
        found = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(name)).strip("-_.")[:60] or "callers"
        taken = {scheme.name for scheme in self.schemes.values()}
        number, base = 2, found
        while found in taken:
            found, number = f"{base}-{number}", number + 1
        return found

    def _key(self, known: str, name: str, scheme: dict[str, Any], at: Location) -> Scheme:
        place, header = scheme.get("in"), scheme.get("name")
        if place in ("query", "cookie"):
            what = (
                "ends up in logs, links and histories"
                if place == "query"
                else "is sent by browsers on behalf of any page"
            )
            message = f"`{name}` is an API key in the {place}, which {what}, and is not taken here; use `in: header`"
            raise Faulty((*at, "in"), message)
        if place != "header" or not isinstance(header, str) or not valid_name(header):
            raise Faulty(at, f"`{name}` needs `in: header` and the `name` of the header")
        if header.lower() in _CARRIERS:
            message = f"`{header}` carries tokens and not keys; for `Bearer` tokens write `type: http, scheme: bearer`"
            raise Faulty((*at, "name"), message)
        if owned(header.lower(), False):
            raise Faulty(
                (*at, "name"), f"`{header}` belongs to the gateway; use another header, such as `X-API-Key`"
            )
        twin = next(
            (
                one
                for one in self.schemes.values()
                if one.provider.get("header", "").lower() == header.lower()
            ),
            None,
        )
        if twin is not None:
            message = f"`{header}` carries the key of `{twin.name}` already, and the two cannot be told apart"
            raise Faulty((*at, "name"), message)
        provider = {"type": "api_key", "keys": f"{known}.keys.yaml", "header": header}
        todo = f"nobody has a key yet: `yett keys create --file {known}.keys.yaml --name NAME`"
        return Scheme(known, "apiKey", provider, (todo,))

    @staticmethod
    def _token(known: str, issuer: str, notes: list[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
        what = "its audience" if issuer else "its issuer (`iss`) and audience (`aud`)"
        todo = f"TODO: the description does not say whose tokens these are; write {what}. Until then nobody gets in"
        if issuer:
            todo = f"TODO: write {what}, which the description does not say. Until then nobody gets in"
        provider = {
            "type": "jwt",
            "issuer": issuer or f"https://{known.lower().replace('_', '-')}.invalid",
            "audience": "TODO-audience",
        }
        return provider, (todo, *notes)

    def _discovered(
        self, known: str, scheme: dict[str, Any], at: Location
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        url = scheme.get("openIdConnectUrl")
        if not isinstance(url, str) or not url:
            raise Faulty(at, "`openIdConnectUrl` is missing")
        if url_fault(url) or not url.startswith("https://") or not url.endswith(DISCOVERY):
            return self._token(known, "", [f"`openIdConnectUrl` is {_shown(url)}, which names no issuer"])
        return self._token(known, url.removesuffix(DISCOVERY), [])

    # requirements

    def access(self, operation: dict[str, Any], at: Location, partial: bool) -> Access | str:
        """What an operation asks for, or why nobody may have it. `partial`: without schemes that cannot be taken.

        Raises:
            Faulty: it cannot be said here.
        """
        own = "security" in operation
        raw = operation["security"] if own else self.root.get("security")
        where: Location = (*at, "security") if own else ("security",)
        if raw is None:
            return "the description does not say who may; give it `security`"
        if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
            raise Faulty(where, "`security` is a list of mappings, such as `[{oauth: [orders.read]}]`")
        notes: list[str] = []
        choices = [one for one in raw if one]
        if not choices:
            if own:
                return Access(public=True)
            return "`security` at the top opens every operation; write `security: []` at each that is meant to be public"
        if len(choices) < len(raw):
            notes.append("the description takes callers without a credential as well; here they are refused")
        read: list[list[tuple[Scheme, tuple[str, ...]]]] = []
        for index, choice in enumerate(raw):
            try:
                if choice:
                    read.append(self._choice(choice, (*where, index)))
            except Faulty as fault:
                if not partial:
                    raise
                notes.append(f"left out: {fault.message}")
        if not read:
            raise Faulty(where, notes[-1])
        return self._met(read, where, notes)

    def _choice(self, choice: dict[str, Any], at: Location) -> list[tuple[Scheme, tuple[str, ...]]]:
        found = []
        for name, scopes in choice.items():
            if name in self.refused:
                raise self.refused[name]
            if name not in self.schemes:
                hint = nearest(name, self.schemes) or "; describe it in `components.securitySchemes`"
                raise Faulty((*at, name), f"there is no security scheme `{name}`{hint}")
            if not isinstance(scopes, list) or not all(isinstance(one, str) and one for one in scopes):
                raise Faulty((*at, name), "the scopes are a list of texts, `[]` where there are none")
            scheme = self.schemes[name]
            if scheme.kind not in {"oauth2", "openIdConnect"} and scopes and self.old:
                message = f"in 3.0 only oauth2 and openIdConnect have scopes, and `{name}` is {scheme.kind}; remove them"
                raise Faulty((*at, name), message)
            for scope in scopes:
                if not SCOPE.fullmatch(scope):
                    raise Faulty(
                        (*at, name), f"`{scope}` is no scope; it has blanks, quotes or other characters"
                    )
            found.append((scheme, tuple(dict.fromkeys(scopes))))
        return found

    def _met(
        self, choices: list[list[tuple[Scheme, tuple[str, ...]]]], at: Location, notes: list[str]
    ) -> Access:
        if len(choices) == 1 and len(choices[0]) > 1:
            return self._together(choices[0], at, notes)
        if any(len(choice) > 1 for choice in choices):
            message = (
                "one of several combinations of credentials is not said in one route; keep one requirement with several "
                "schemes, or several requirements with one scheme each"
            )
            raise Faulty(at, message)
        pairs = [choice[0] for choice in choices]
        schemes = _unique(pairs)
        scoped = [(scheme, scopes) for scheme, scopes in pairs if not _roles(scheme)]
        roles = {scopes for scheme, scopes in pairs if _roles(scheme)}
        wanted = {scopes for _, scopes in scoped if scopes}
        if any(roles):
            if wanted or len(roles) > 1 or scoped:
                raise Faulty(
                    at,
                    "roles for some callers and scopes for others are not said in one route; ask all of them for the same",
                )
            return Access(schemes=schemes, roles=next(iter(roles)), notes=tuple(notes))
        if not wanted:
            return Access(schemes=schemes, notes=tuple(notes))
        unscoped = [scheme.name for scheme, scopes in pairs if not scopes]
        if unscoped:
            names = listed(dict.fromkeys(unscoped))
            notes.append(
                f"the description asks for no scopes of callers of {names}; here all callers need them"
            )
        if len(wanted) == 1:
            return Access(schemes=schemes, scopes=("all_of", next(iter(wanted))), notes=tuple(notes))
        if len(schemes) == 1 and all(len(scopes) == 1 for scopes in wanted) and not unscoped:
            items = tuple(dict.fromkeys(scopes[0] for _, scopes in scoped))
            return Access(schemes=schemes, scopes=("any_of", items), notes=tuple(notes))
        raise Faulty(
            at,
            "different scopes for different callers are not said in one route; ask all of them for the same",
        )

    def _together(
        self, choice: list[tuple[Scheme, tuple[str, ...]]], at: Location, notes: list[str]
    ) -> Access:
        """Several credentials at once; the caller is whom the token names."""
        tokens = [(scheme, scopes) for scheme, scopes in choice if not scheme.is_key]
        if len(tokens) > 1:
            names = listed(scheme.name for scheme, _ in tokens)
            raise Faulty(
                at, f"{names} share the `Authorization` header, so no request could bring all; keep one"
            )
        ordered = [*tokens, *((scheme, scopes) for scheme, scopes in choice if scheme.is_key)]
        if any(scopes for _, scopes in ordered[1:]):
            raise Faulty(
                at, "the scopes or roles are asked of the first credential only; remove those of the others"
            )
        first, scopes = ordered[0]
        schemes = tuple(scheme for scheme, _ in ordered)
        if _roles(first):
            return Access(schemes=schemes, all_of=True, roles=scopes, notes=tuple(notes))
        wanted = ("all_of", scopes) if scopes else None
        return Access(schemes=schemes, all_of=True, scopes=wanted, notes=tuple(notes))


def _unique(pairs: list[tuple[Scheme, tuple[str, ...]]]) -> tuple[Scheme, ...]:
    return tuple({scheme.name: scheme for scheme, _ in pairs}.values())


def _roles(scheme: Scheme) -> bool:
    """Whether what a requirement lists are names of roles (OpenAPI 3.1.1 section 4.8.30.1)."""
    return scheme.kind not in {"oauth2", "openIdConnect"}


def _oauth_notes(scheme: dict[str, Any]) -> list[str]:
    flows = scheme.get("flows")
    urls = [
        flow[key]
        for flow in (flows.values() if isinstance(flows, dict) else ())
        for key in ("tokenUrl", "authorizationUrl")
        if isinstance(flow, dict) and isinstance(flow.get(key), str)
    ]
    return [f"the description gets tokens from {_shown(urls[0])}"] if urls else []


def _shown(url: str) -> str:
    """An address without what may be a password in it."""
    return "an address with a user" if "@" in url else f"`{plain(url)}`"


def _opaque(shape: str) -> str:
    return f"the description calls them `{plain(shape)}`; where they are no JWTs, use `type: introspection`"
