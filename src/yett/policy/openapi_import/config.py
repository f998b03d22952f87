"""The configuration of a plan: a listener to try it on, providers, services, and a route for each operation."""

from __future__ import annotations

import re
from typing import Any

from yett.config.filters.response_validation import is_stream
from yett.config.words import Location
from yett.policy import emit
from yett.policy.openapi_import import costs
from yett.policy.openapi_import.plan import Plan, Planned
from yett.policy.openapi_import.security import Scheme
from yett.policy.openapi_import.servers import UNSAID, Server, is_loopback

GROUP = "api"
LIMIT = "per-caller"
_TODO_LISTENER = "TODO: for others to reach it, `0.0.0.0:8443` and `tls: {certificates: {chain: edge.pem, key: {file: edge.key}}}`"
_TODO_RATE = "TODO: a guess. `yett limits suggest` says from an access log what callers need"


class Built:
    """The tree of a configuration and its comments."""

    def __init__(self, plan: Plan, title: str, description: str, tests: str) -> None:
        self.plan, self.title, self.description = plan, title, description
        self.comments: dict[Location, list[str]] = {}
        self.services: dict[Server, str] = {}
        self.schemes: dict[str, Scheme] = {}
        routes = plan.routes
        for route in routes:
            self.schemes |= {scheme.name: scheme for scheme in route.access.schemes}
        self._name_services(title)
        self.tree: dict[str, Any] = {
            "version": 1,
            "tests": tests,
            "defaults": {"limits": {"body": "1MiB"}, "timeouts": {"total": "30s"}},
            "listeners": self._listeners(),
        }
        if self.schemes:
            self.tree["identity_providers"] = self._providers()
        self.tree["services"] = self._service_part()
        guarded = [route for route in routes if not route.access.public]
        self.hosts = {route.server.host for route in routes}
        if guarded:
            self.tree["groups"] = {GROUP: self._group(guarded)}
        self.tree["routes"] = {route.name: self._route(route) for route in routes}
        self._comment_routes()

    def text(self, head: list[str]) -> str:
        """As a file; raises ValueError where it would be read otherwise."""
        return emit.written(self.tree, self.comments, head)

    def _name_services(self, title: str) -> None:
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "service"
        for route in self.plan.routes:
            # the same service, whatever was said of how it was found
            twin = next((one for one in self.services if one.endpoint == route.server.endpoint), None)
            if twin is not None:
                self.services.setdefault(route.server, self.services[twin])
                continue
            host = re.sub(r"[^a-z0-9]+", "-", route.server.endpoint.partition("://")[2].lower()).strip("-")
            name = base if not self.services else host[:50]
            number, first = 2, name
            while name in self.services.values():
                name, number = f"{first}-{number}", number + 1
            self.services[route.server] = name

    def _listeners(self) -> dict[str, Any]:
        self.comments[("listeners",)] = [_TODO_LISTENER]
        return {
            "public": {
                "address": "127.0.0.1:8080",
                "plaintext": "first try on one machine",
                "address_limit": {"per-address": {"rate": "50/s", "burst": 100}},
            }
        }

    def _providers(self) -> dict[str, Any]:
        for name, scheme in self.schemes.items():
            self.comments["identity_providers", name] = list(scheme.comments)
        return {name: scheme.provider for name, scheme in self.schemes.items()}

    def _service_part(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for server, name in self.services.items():
            found[name] = {"endpoints": server.endpoint}
            notes = self.comments.setdefault(("services", name), [])
            notes += [note for note in server.notes if note not in notes]
            if server.plaintext:
                where = "same machine" if is_loopback(server.endpoint) else "the description says http"
                found[name]["plaintext"] = where
                if where != "same machine":
                    notes.append(
                        "TODO: requests and answers go over the network in plain text; give the service a certificate"
                    )
        return found

    def _group(self, guarded: list[Planned]) -> dict[str, Any]:
        group: dict[str, Any] = {}
        hosts = {route.server.host for route in guarded}
        if len(hosts) == 1:
            group["hosts"] = next(iter(hosts))
        services = {self.services[route.server] for route in guarded}
        burst = costs.burst([route.cost for route in guarded])
        group["rate_limit"] = {LIMIT: {"rate": "20/s", "burst": burst, "key": "principal"}}
        if len(services) == 1:
            group["service"] = next(iter(services))
        self.comments["groups", GROUP, "rate_limit"] = [_TODO_RATE]
        return group

    def _route(self, route: Planned) -> dict[str, Any]:
        method = route.found[1].upper()
        group = {} if route.access.public else self.tree["groups"][GROUP]
        match: dict[str, Any] = {"path": route.path, "methods": method}
        if group.get("hosts") != route.server.host:
            match = {"hosts": route.server.host, **match}
        asked = {
            "openapi": self.description,
            "operation": route.id,
            "unknown_properties": "refuse",
            "unknown_parameters": "refuse",
        }
        found: dict[str, Any] = {
            **({} if route.access.public else {"group": GROUP}),
            "match": match,
            **route.access.document(),
            **({} if route.cost is None else {"rate_limit": {LIMIT: {"cost": route.cost}}}),
            "request_validation": asked,
        }
        if route.judged:
            found["response_validation"] = self._answers(route)
            if "streams" in found["response_validation"]:
                found["timeouts"] = {"total": "0s"}
        if "service" not in group:
            found["service"] = self.services[route.server]
        return found

    def _answers(self, route: Planned) -> dict[str, Any]:
        said: dict[str, Any] = {"openapi": self.description, "operation": route.id}
        statuses = {str(one["status"]) for one in route.answers.responses}
        if not {"4xx", "default"} & statuses:
            said["statuses"] = "4XX"
        bodies = [body for one in route.answers.responses for body in one["bodies"]]
        if any(is_stream(str(body["content_type"])) for body in bodies):
            said["streams"] = True
        return said

    def _comment_routes(self) -> None:
        first = self.comments.setdefault(("routes",), [])
        first.append("What is described, and who may. Everything else is 404.")
        if self.plan.denied:
            first.append("Denied, at these places of the description:")
            first += [f"  {one.line}:{one.column}: {one.message}" for one in self.plan.denied]
        for route in self.plan.routes:
            operation = route.found[3]
            notes = [
                str(operation.get("summary") or "").strip(),
                *(["anyone may, as `security: []` says"] if route.access.public else []),
                *route.access.notes,
                *route.notes,
            ]
            self.comments["routes", route.name] = [note for note in notes if note]

    @property
    def placeholders(self) -> list[str]:
        """What has to be written by a person before anybody gets in, or out of here."""
        found = [f"identity_providers.{name}" for name, scheme in self.schemes.items() if not scheme.is_key]
        found += [
            f"services.{name}" for server, name in self.services.items() if server.endpoint.endswith(UNSAID)
        ]
        return found
