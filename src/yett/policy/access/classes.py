"""Caller classes: nobody, and for each provider those that the rules of routes tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from yett.policy.access.sample import TENANT
from yett.policy.needed import rules_of
from yett.policy.testing.principals import TOKENS, put

# Ways to satisfy the rules of one route that are told apart; and classes of all routes together.
MAX_WAYS = 64
MAX_CLASSES = 1_000


@dataclass(frozen=True)
class Class:
    """Callers that rules cannot tell apart by scopes, roles and names."""

    provider: str | None
    """Nothing for callers without a credential."""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    name: str | None = None
    """A user, a client, a key or a certificate that rules or providers name."""
    kind: str = ""
    """`user`, `client`, `key`, `certificate` or `signing key` of `name`."""
    also: tuple[Class, ...] = ()
    """What further providers vouch for, where each of several has to."""

    @property
    def label(self) -> str:
        """In words."""
        if self.provider is None:
            return "anyone"
        parts = [
            f"{self.kind} {self.name} of {self.provider}" if self.name else f"callers of {self.provider}"
        ]
        if self.scopes:
            parts.append(f"scope{'s' if len(self.scopes) > 1 else ''} {' '.join(sorted(self.scopes))}")
        if self.roles:
            parts.append(f"role{'s' if len(self.roles) > 1 else ''} {' '.join(sorted(self.roles))}")
        text = parts[0] if len(parts) == 1 else f"{parts[0]} with {' and '.join(parts[1:])}"
        return " and ".join([text, *(one.label for one in self.also)])

    def within(self, other: Class) -> bool:
        """Whether whoever is of this class has all that those of the other one have."""
        same = self.provider == other.provider and other.name in {None, self.name}
        return same and self.scopes >= other.scopes and self.roles >= other.roles and self.also == other.also


class Classes:
    """The classes of one document, or those that some of its routes tell apart."""

    def __init__(self, document: dict[str, Any], routes: list[dict[str, Any]] | None = None) -> None:
        self._providers = {provider["name"]: provider for provider in document["providers"]}
        self.truncated = False
        self.all: list[Class] = self._all(document["routes"] if routes is None else routes)

    def _all(self, routes: list[dict[str, Any]]) -> list[Class]:
        found: dict[Class, None] = {Class(None): None}
        for route in routes:
            access = route["access"]
            if not isinstance(access, dict):
                continue
            names = access["authenticated"]["providers"]
            if access["authenticated"].get("all_of"):
                first, *others = names
                rest = [next(iter(self._of(route, name)), Class(name)) for name in others]
                ways: Iterable[Class] = (
                    Class(one.provider, one.scopes, one.roles, one.name, one.kind, tuple(rest))
                    for one in self._of(route, first)
                )
            else:
                ways = itertools.chain.from_iterable(self._of(route, name) for name in names)
            for way in ways:
                if len(found) >= MAX_CLASSES:
                    self.truncated = True
                    return list(found)
                found[way] = None
        return list(found)

    def _of(self, route: dict[str, Any], name: str) -> Iterator[Class]:
        provider = self._providers[name]
        kind = provider["type"]
        if kind == "api_key":
            yield from (Class(name, name=key, kind="key") for key in _unique(provider["keys"], "name"))
        elif kind == "signed_request":
            yield from (Class(name, name=key, kind="signing key") for key in _unique(provider["keys"], "id"))
        elif kind == "client_assertion":
            yield from (Class(name, name=key, kind="client") for key in _unique(provider["clients"], "id"))
        elif kind == "mtls":
            for identity in provider["identities"]:
                yield Class(name, name=_written(identity["name"]), kind="certificate")
        else:
            yield Class(name)
            yield from self._ways(route, name)

    def _ways(self, route: dict[str, Any], provider: str) -> Iterator[Class]:
        """Every way in which scopes, roles and names can satisfy the rules of a route."""
        choices: list[list[tuple[str, frozenset[str]]]] = []
        for rule in rules_of(route)["rule"]:
            if rule.get("scopes"):
                choices += [[("scopes", one) for one in options] for options in _scopes(rule["scopes"])]
            for part in ("roles", "permissions"):
                if rule.get(part):
                    choices.append([("roles", one) for one in _sets(rule[part])])
            if rule.get("callers"):
                callers = rule["callers"]
                named = [("user", frozenset([one])) for one in callers.get("users", ())]
                choices.append(named + [("client", frozenset([one])) for one in callers.get("clients", ())])
        for way in itertools.islice(itertools.product(*choices), MAX_WAYS):
            names = {(kind, next(iter(values))) for kind, values in way if kind in {"user", "client"}}
            if len(names) > 1:
                continue
            kind, name = next(iter(names), ("", None))
            yield Class(
                provider,
                frozenset().union(*(values for what, values in way if what == "scopes")),
                frozenset().union(*(values for what, values in way if what == "roles")),
                name,
                kind,
            )

    def principals(self, one: Class, tenant: str = TENANT) -> tuple[dict[str, Any], ...]:
        """A caller of this class, as the engine takes it."""
        if one.provider is None:
            return ()
        own = self._principal(one, tenant)
        return (own, *(self._principal(other, tenant) for other in one.also))

    def _principal(self, one: Class, tenant: str) -> dict[str, Any]:
        provider = self._providers[str(one.provider)]
        if provider["type"] not in TOKENS:
            return {"provider": provider["name"], "name": one.name or ""}
        places = provider["claims"]
        claims: dict[str, Any] = {"sub": one.name if one.kind == "user" else "someone"}
        if one.kind == "client":
            claims.pop("sub")
            put(claims, places.get("client") or ["client_id"], one.name)
        for path, value in (
            (places.get("scopes"), " ".join(sorted(one.scopes)) or None),
            (places.get("roles"), sorted(one.roles) or None),
            (places.get("tenant"), tenant),
        ):
            if path and value:
                put(claims, path, value)
        return {"provider": provider["name"], "claims": claims, "proved": True}

    def tenant(self, one: Class) -> str:
        """The tenant of callers of this class, where it is said; else that of samples."""
        provider = self._providers.get(one.provider or "")
        if provider is None or provider["type"] in TOKENS:
            return TENANT
        entries = provider.get("keys") or provider.get("identities") or provider.get("clients") or []
        for entry in entries:
            tenant = {**entry, **entry.get("machine", {})}.get("tenant")
            if one.name in {entry.get("name"), entry.get("id")} and tenant:
                return str(tenant)
        return TENANT


def _unique(entries: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(entry[key]) for entry in entries))


def _written(pattern: str) -> str:
    """A name that a pattern takes."""
    for part in ("client", "partner"):
        pattern = pattern.replace(f"{{{part}}}", part)
    return pattern.replace("{tenant}", TENANT).replace("*", "any")


def _scopes(scopes: dict[str, Any]) -> Iterator[list[frozenset[str]]]:
    quantifier, names = next(iter(scopes.items()))
    if quantifier == "methods":
        # each method is a way of its own
        yield [option for each in names.values() for options in _scopes(each) for option in options]
    elif quantifier == "all_of":
        yield [frozenset(names)]
    else:
        yield [frozenset([name]) for name in names]


def _sets(sets: dict[str, Any]) -> list[frozenset[str]]:
    quantifier, items = next(iter(sets.items()))
    if quantifier == "any_of":
        return [frozenset([role]) for item in items for role in item]
    return [frozenset(chosen) for chosen in itertools.islice(itertools.product(*items), MAX_WAYS)]
