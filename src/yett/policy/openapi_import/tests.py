"""Policy tests of what was imported: the description's examples get in, and nobody without what a route asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yett.config.validation.document import Document
from yett.errors import ConfigError
from yett.policy import emit
from yett.policy.openapi_import.config import Built
from yett.policy.openapi_import.examples import Example, Examples, Unknown
from yett.policy.openapi_import.plan import CODE, Plan, Planned

NOT_THERE = "/this-is-not-described"


@dataclass
class PolicyTests:
    """The tree of a file of tests. `shown` says which test shows which example."""

    principals: dict[str, Any] = field(default_factory=dict)
    tests: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Planned] = field(default_factory=dict)
    notes: list[ConfigError] = field(default_factory=list)
    base: str = ""

    def tree(self) -> dict[str, Any]:
        """The document."""
        return {
            "version": 1,
            "base": self.base,
            **({"principals": self.principals} if self.principals else {}),
            "tests": self.tests,
        }

    def text(self, head: list[str]) -> str:
        """As a file."""
        return emit.written(self.tree(), {}, head)


class Writer:
    """Writes tests for a plan."""

    def __init__(self, document: Document, plan: Plan, built: Built) -> None:
        self.document, self.plan, self.built = document, plan, built
        self.examples = Examples(document.value)
        hosts = sorted(built.hosts, key=lambda host: sum(one.server.host == host for one in plan.routes))
        self.host = hosts[-1]
        self.result = PolicyTests(base=self._url(self.host))

    @staticmethod
    def _url(host: str) -> str:
        return f"http://{'localhost' if host == 'any' else host}"

    def write(self) -> PolicyTests:
        """All of them."""
        for route in self.plan.routes:
            self._route(route)
        self.result.tests["what is not described is not there"] = {
            "request": f"GET {NOT_THERE}",
            "expect": "route_not_found",
        }
        return self.result

    def _route(self, route: Planned) -> None:
        method = route.found[1].upper()
        try:
            example: Example | None = self.examples.request(route.found, route.operation)
        except Unknown as unknown:
            example = None
            message = f"{method} {route.found[2]}: no test shows that it gets in: {unknown}"
            self.result.notes.append(self.document.error(unknown.at, CODE, message))
        if not route.access.public:
            self._refused(route)
        if example is not None:
            self._allowed(route, example)

    def _request(self, route: Planned, path: str) -> str:
        prefix = "" if route.server.host == self.host else self._url(route.server.host)
        return f"{route.found[1].upper()} {prefix}{route.server.base}{path}"

    def _refused(self, route: Planned) -> None:
        """Whoever has no credential, or not what the route asks for; whatever else the request is."""
        path = re.sub(r"\{[^{}/]*\}", "1", route.found[2])
        table: dict[str, Any] = {"nobody": "credential_missing"}
        access = route.access
        if access.scopes or access.roles:
            for scheme in access.schemes:
                if not scheme.is_key and not access.all_of:
                    table[self._principal(scheme.name, ())] = (
                        "scope_missing" if access.scopes else "role_missing"
                    )
        self.result.tests[f"{route.name} is not for everyone"] = {
            "request": self._request(route, path),
            "principals": table,
        }

    def _allowed(self, route: Planned, example: Example) -> None:
        access = route.access
        said: dict[str, Any] = {"request": self._request(route, example.path)}
        if not access.public:
            token = next((one for one in access.schemes if not one.is_key), None)
            if token is None or (access.all_of and len(access.schemes) > 1):
                return  # who has a key is not known before the first one is made
            scopes = access.scopes[1] if access.scopes else ()
            wanted = scopes[:1] if access.scopes and access.scopes[0] == "any_of" else scopes
            said["principal"] = self._principal(token.name, wanted, access.roles)
        if example.headers:
            said["headers"] = example.headers
        if example.has_body:
            said["body"] = example.body
        said["expect"] = {"outcome": "allow", "route": route.name}
        name = f"{route.name} takes the example of the description"
        try:
            emit.written({name: said}, {})
        except ValueError:
            at = ("paths", route.found[2], route.found[1])
            message = (
                f"{route.found[1].upper()} {route.found[2]}: its example cannot stand in a file of tests"
            )
            self.result.notes.append(self.document.error(at, CODE, message))
            return
        self.result.tests[name] = said
        self.result.shown[name] = route

    def _principal(self, provider: str, scopes: tuple[str, ...], roles: tuple[str, ...] = ()) -> str:
        what = " ".join((*scopes, *roles))
        name = f"{provider} with {what}" if what else f"{provider} with nothing"
        self.result.principals[name] = {
            "provider": provider,
            **({"scopes": " ".join(scopes)} if scopes else {}),
            **({"roles": list(roles)} if roles else {}),
        }
        return name
