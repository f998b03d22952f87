"""What of a description becomes a route, what stays out of reach, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from yett.config import template
from yett.config.match import METHODS
from yett.config.validation.document import Document
from yett.config.validation.openapi import Description, Found, Operation
from yett.config.validation.schema import compiled_faults
from yett.config.validation.translate import Budget, Faulty, resolved
from yett.config.words import Location, listed
from yett.errors import ConfigError
from yett.policy.openapi_import import costs
from yett.policy.openapi_import.security import Access, Security
from yett.policy.openapi_import.servers import Server, Servers

CODE = "openapi_import"
MAX_OPERATIONS = 2_000
MAX_PARTS = 300_000
"""Parts of schemas, over all operations."""


@dataclass(frozen=True)
class Planned:
    """An operation that becomes a route."""

    name: str
    path: str
    """As the route has it: with the path of the server, and the names of variables as they are written here."""
    found: Found
    operation: Operation
    answers: Operation
    """What it says of answers, read without refusing what they have beyond their schemas."""
    access: Access
    server: Server
    notes: tuple[str, ...]
    judged: bool
    """Whether answers can be held against the description."""
    cost: Any = None
    """What a request costs, as a configuration has it; nothing where nothing is said."""

    @property
    def id(self) -> str:
        """What `operation:` names."""
        return self.found[0] or f"{self.found[1].upper()} {self.found[2]}"


@dataclass
class Plan:
    """All of a description."""

    routes: list[Planned] = field(default_factory=list)
    denied: list[ConfigError] = field(default_factory=list)
    """Operations that nobody reaches, and why; places are those of the description."""
    faults: list[ConfigError] = field(default_factory=list)
    """What cannot be imported."""
    notes: list[ConfigError] = field(default_factory=list)
    """What a person should know of the rest."""


class Planner:
    """Reads a description. `partial`: what cannot be imported is denied, and the rest goes on."""

    def __init__(self, document: Document, servers: Servers, partial: bool) -> None:
        self.document, self.servers, self.partial = document, servers, partial
        self.description = Description(document, Budget(MAX_PARTS))
        self.root: dict[str, Any] = document.value
        self.security = Security(self.root)
        self.plan = Plan()
        self._seen: dict[tuple[str, str, str], Location] = {}
        self._names: set[str] = set()

    def read(self) -> Plan:
        """What becomes of each operation."""
        by_path: dict[str, list[Found]] = {}
        for number, found in enumerate(self.description.operations()):
            if number >= MAX_OPERATIONS:
                text = f"there are more than {MAX_OPERATIONS:,} operations; split the description"
                self.plan.faults.append(self.document.error(("paths", *found[2:0:-1]), CODE, text))
                return self.plan
            by_path.setdefault(found[2], []).append(found)
        for path, item in self.root["paths"].items():
            if not str(path).startswith("x-"):
                self._paths(path, item, by_path.get(path, []))
        try:
            costs.misplaced(self.root, ())
        except Faulty as fault:
            self.plan.faults.append(self.document.error(fault.at, CODE, fault.message))
        if self.root.get("webhooks"):
            self._note(("webhooks",), "`webhooks` are requests that the service sends; they need no route")
        return self.plan

    def _paths(self, path: str, item: Any, operations: list[Found]) -> None:
        at: Location = ("paths", path)
        try:
            if not isinstance(item, dict):
                raise Faulty(at, "a path has a mapping of methods")
            if "$ref" in item:
                resolved(self.root, item, at)
        except Faulty as fault:
            self._refused(fault, path)
            return
        for found in operations:
            self._operation(found)

    def _operation(self, found: Found) -> None:
        _, method, path, operation, item = found
        at: Location = ("paths", path, method)
        shown = f"{method.upper()} {path}"
        try:
            if method.upper() not in METHODS:
                self._deny(at, shown, f"`{method.upper()}` is never let through")
                return
            access = self.security.access(operation, at, self.partial)
            if isinstance(access, str):
                self._deny(at, shown, access)
                return
            other = item.get({"head": "get", "get": "head"}.get(method, ""))
            if isinstance(other, dict) and (method == "head" or self.partial):
                self._head(access, other, at)
            if isinstance(other, dict) and method == "head":
                return
            planned = self._planned(found, access, at)
        except Faulty as fault:
            self._refused(fault, shown)
            return
        except (AttributeError, TypeError, KeyError, IndexError, RecursionError):
            message = (
                "this operation is not written as OpenAPI has it; look at it with a validator of descriptions"
            )
            self._refused(Faulty(at, message), shown)
            return
        if planned is not None:
            self.plan.routes.append(planned)
            if operation.get("callbacks"):
                self._note(
                    (*at, "callbacks"),
                    f"{shown}: `callbacks` are requests that the service sends; they need no route",
                )
            for note in (*access.notes, *planned.notes):
                self._note(at, f"{shown}: {note}")

    def _head(self, access: Access, twin: dict[str, Any], at: Location) -> None:
        """The route of GET takes HEAD as well, so both have to ask for the same."""
        other = self.security.access(twin, (*at[:2], "get" if at[2] == "head" else "head"), self.partial)
        if isinstance(other, str) or other.document() != access.document():
            message = "GET and HEAD share a route and ask for different things; give both the same `security`"
            raise Faulty(at, message)

    def _planned(self, found: Found, access: Access, at: Location) -> Planned | None:
        operation_id, method, path, operation, item = found
        price = costs.cost(operation, at)
        costs.misplaced(item, at[:2])
        server, path_here = self._place(operation, item, path, at)
        self._once(server.host, path_here, method, at)
        read = self.description.read(found, True)
        answers = self.description.read(found, False)
        schemas = [*read.parameters, *read.bodies]
        errors = read.errors or compiled_faults(self.document, read, schemas, True)
        if errors:
            for error in errors:
                self._refused(error, f"{method.upper()} {path}")
            return None
        self._variables(path, read, at)
        notes: list[str] = []
        if operation.get("deprecated") is True:
            notes.append("deprecated")
        if price is not None and access.public:
            notes.append(
                f"`{costs.KEY}` counts for callers, and this route has none; write a limit by address"
            )
            price = None
        judged, why = self._judged(answers)
        if why:
            notes.append(f"answers pass as they come: {why}")
        name = self._name(operation_id, method, path)
        return Planned(name, path_here, found, read, answers, access, server, tuple(notes), judged, price)

    def _place(
        self, operation: dict[str, Any], item: dict[str, Any], path: str, at: Location
    ) -> tuple[Server, str]:
        for holder, where in ((operation, at), (item, at[:2]), (self.root, ())):
            if holder.get("servers"):
                server = self.servers.read(holder["servers"], (*where, "servers"))
                for note in server.notes:
                    self._note((*where, "servers"), note)
                break
        else:
            server = self.servers.read(None, ())
        for variable in re.findall(r"\{([^{}/]*)\}", path):
            if f"/{{{variable}}}/" not in f"{path}/":
                message = (
                    f"`{{{variable}}}` is a part of a segment, and a route takes whole segments only, so that it would take more "
                    "than is described; make it a segment of its own"
                )
                raise Faulty(at[:2], message)
        full = server.base + re.sub(r"\{([^{}/]*)\}", lambda one: f"{{{template.variable(one[1])}}}", path)
        fault = template.read(full)
        if isinstance(fault, str):
            raise Faulty(at[:2], fault)
        return server, full

    def _once(self, host: str, path: str, method: str, at: Location) -> None:
        found = template.read(path)
        shape = path if isinstance(found, str) else found.shape
        other = self._seen.setdefault((host, shape, method), at)
        if other != at:
            raise Faulty(at, f"`{method.upper()} {other[1]}` takes the same requests; keep one of them")

    def _variables(self, path: str, read: Operation, at: Location) -> None:
        asked = {str(one["name"]) for one in read.parameters if one["in"] == "path"}
        there = set(re.findall(r"\{([^{}/]*)\}", path))
        if there - asked:
            names = listed(f"{{{name}}}" for name in sorted(there - asked))
            raise Faulty(
                at,
                f"{names} of the path is not described; add it to `parameters`, with `in: path` and a `schema`",
            )
        if asked - there:
            raise Faulty(
                at,
                f"the path has no {listed(f'{{{name}}}' for name in sorted(asked - there))}; remove the parameter",
            )

    def _judged(self, answers: Operation) -> tuple[bool, str]:
        if not answers.responses and not answers.response_errors:
            return False, "none is described"
        bodies = [body for one in answers.responses for body in one["bodies"]]
        errors = answers.response_errors or compiled_faults(self.document, answers, bodies, True)
        return not errors, "; ".join(error.message for error in errors)

    def _name(self, operation_id: str, method: str, path: str) -> str:
        raw = operation_id or f"{method} {path}"
        base = re.sub(r"[^A-Za-z0-9_.]+", "-", raw).strip("-_.")[:58] or method
        name, number = base, 2
        while name in self._names:
            name, number = f"{base}-{number}", number + 1
        self._names.add(name)
        return name

    # what is told

    def _refused(self, fault: Faulty | ConfigError, shown: str) -> None:
        error = (
            fault if isinstance(fault, ConfigError) else self.document.error(fault.at, CODE, fault.message)
        )
        if self.partial:
            self.plan.denied.append(replace(error, message=f"{shown}: {error.message}"))
        elif error not in self.plan.faults:
            self.plan.faults.append(error)

    def _deny(self, at: Location, shown: str, why: str) -> None:
        self.plan.denied.append(self.document.error(at, CODE, f"{shown}: {why}"))

    def _note(self, at: Location, message: str) -> None:
        note = self.document.error(at, CODE, message)
        if note not in self.plan.notes:
            self.plan.notes.append(note)
