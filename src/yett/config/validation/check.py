"""What `request_validation` of groups and routes holds, checked and ready to compile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from yett.config import template
from yett.config.base import Location, listed
from yett.config.filters.request_validation import FORMS, RequestValidation
from yett.config.filters.response_validation import ResponseValidation, is_stream
from yett.config.gateway import Gateway
from yett.config.media_types import is_json
from yett.config.places import Places
from yett.config.resolve import Material
from yett.config.validation.document import Document, read
from yett.config.validation.openapi import Description, Operation
from yett.errors import ConfigError

if TYPE_CHECKING:
    from yett.config.merge import Policy
from yett.config.validation.schema import closes, compiled_faults, schema_errors


class Validations:
    """The `request_validation` of every group and route; each schema is read once."""

    def __init__(self, gateway: Gateway, places: Places, material: Material) -> None:
        self.places, self.material = places, material
        self.errors: list[ConfigError] = []
        self._documents: dict[Location, dict[str, Any]] = {}
        self._descriptions: dict[tuple[str, str], Description | None] = {}
        self.operations: dict[Location, Operation] = {}
        """By the `request_validation` or `response_validation` that names it."""
        for kind, items in (("groups", gateway.groups), ("routes", gateway.routes)):
            for name, item in items.items():
                if item.request_validation is not None and item.request_validation.none is None:
                    self._request((kind, name, "request_validation"), item.request_validation)
                if item.response_validation is not None:
                    self._response((kind, name, "response_validation"), item.response_validation)

    def _fault(self, location: Location, code: str, message: str, key: bool = False) -> None:
        self.errors.append(self.places.error(location, code, message, key))

    def _request(self, at: Location, found: RequestValidation) -> None:
        if found.openapi is not None or found.operation is not None:
            self._described(at, found)
            return
        schema = None
        if "unknown_properties" in found.model_fields_set:
            message = "without `openapi` `unknown_properties` has no effect; remove it"
            self._fault((*at, "unknown_properties"), "key_unused", message, True)
        if "form_limits" in found.model_fields_set and not set(FORMS) & set(found.content_types):
            message = f"no form is taken here, so `form_limits` has no effect; remove it, or add {listed(FORMS)} to `content_types`"
            self._fault((*at, "form_limits"), "key_unused", message, True)
        if found.graphql is not None:
            for key in ("body", "content_types", "json_schema", "formats"):
                if key in found.model_fields_set:
                    message = f"requests of GraphQL are of one kind; remove `{key}`, or `graphql`"
                    self._fault((*at, key), "key_unused", message, True)
        elif found.body == "refused":
            for key in ("content_types", "json_schema", "json_limits", "formats"):
                if key in found.model_fields_set:
                    message = f"there is never a body, so `{key}` has no effect; remove it"
                    self._fault((*at, key), "key_unused", message, True)
        elif found.json_schema is not None:
            others = [name for name in found.content_types if not is_json(name)]
            if others:
                self._fault(
                    (*at, "content_types"),
                    "schema_bypassed",
                    f"a body of {listed(others)} would pass without a look at the schema; take it out, or make a route of its own",
                )
            schema = self._schema((*at, "json_schema"), str(found.json_schema), found.formats)
        elif "formats" in found.model_fields_set:
            self._fault(
                (*at, "formats"), "key_unused", "without a schema `formats` has no effect; remove it", True
            )
        self._documents[at] = found.compiled(schema)

    def _described(self, at: Location, found: RequestValidation) -> None:
        """What an operation of a description asks for."""
        for key in ("body", "content_types", "json_schema", "graphql"):
            if key in found.model_fields_set:
                message = f"the description says that already; remove `{key}`, or `openapi`"
                self._fault((*at, key), "key_unused", message, True)
        description, operation = self._operation(at, found, found.unknown_properties == "refuse")
        if description is None or operation is None:
            return
        for one in operation.parameters:
            if one["in"] == "path":
                one["name"] = template.variable(one["name"])
        document = found.of_operation(operation)
        schemas = [*operation.parameters, *operation.bodies]
        self.errors += operation.errors or compiled_faults(
            description.document, operation, schemas, found.formats
        )
        if "form_limits" in found.model_fields_set and "form" not in document:
            message = "the operation takes no form, so `form_limits` has no effect; remove it"
            self._fault((*at, "form_limits"), "key_unused", message, True)
        self._documents[at], self.operations[at] = document, operation

    def _response(self, at: Location, found: ResponseValidation) -> None:
        if found.openapi is not None or found.operation is not None:
            self._described_answers(at, found)
            return
        if "unknown_properties" in found.model_fields_set:
            message = "without `openapi` `unknown_properties` has no effect; remove it"
            self._fault((*at, "unknown_properties"), "key_unused", message, True)
        schema = None
        if found.json_schema is not None:
            self._shape(at, found)
            schema = self._schema((*at, "json_schema"), str(found.json_schema), found.formats)
            if found.mode == "strip" and not closes(schema):
                message = "the schema knows every property, so nothing would be taken out; write `additionalProperties: false` into it"
                self._fault((*at, "mode"), "strip_nothing", message)
        elif found.mode == "strip":
            message = (
                "without a schema nothing is unknown; add `json_schema` or `openapi`, or write `enforce`"
            )
            self._fault((*at, "mode"), "strip_nothing", message)
        elif "formats" in found.model_fields_set:
            message = "without a schema `formats` has no effect; remove it"
            self._fault((*at, "formats"), "key_unused", message, True)
        self._streams(at, found, found.content_types)
        self._documents[at] = found.compiled(schema)

    def _unknown(self, at: Location, found: ResponseValidation) -> None:
        if found.mode == "strip" and "unknown_properties" in found.model_fields_set:
            message = "`strip` takes unknown properties out; remove this"
            self._fault((*at, "unknown_properties"), "key_unused", message, True)

    def _shape(self, at: Location, found: ResponseValidation) -> None:
        others = [name for name in found.content_types or () if not is_json(name)]
        if others:
            message = f"an answer of {listed(others)} would pass without a look at the schema; take it out"
            self._fault((*at, "content_types"), "schema_bypassed", message)
        if found.statuses and not any(status.startswith("2") for status in found.statuses):
            message = "no status of 2xx passes, so the schema is never looked at; remove it, or add one"
            self._fault((*at, "json_schema"), "key_unused", message, True)

    def _described_answers(self, at: Location, found: ResponseValidation) -> None:
        for key in ("content_types", "json_schema"):
            if key in found.model_fields_set:
                message = f"the description says that already; remove `{key}`, or `openapi`"
                self._fault((*at, key), "key_unused", message, True)
        self._unknown(at, found)
        refuse_unknown = found.mode == "strip" or found.unknown_properties == "refuse"
        description, operation = self._operation(at, found, refuse_unknown)
        if description is None or operation is None:
            return
        document = found.of_operation(operation)
        if not (document["answers"] or operation.response_errors):
            message = "the operation names no answer, so none would pass; describe them, or name `statuses`"
            self._fault((*at, "operation"), "operation_unknown", message)
        bodies = [body for one in operation.responses for body in one["bodies"]]
        if found.mode == "strip" and not (operation.response_errors or closes(bodies)):
            message = "no answer of the operation is JSON with known properties, so nothing would be taken out; describe one, or write `enforce`"
            self._fault((*at, "mode"), "strip_nothing", message)
        self.errors += operation.response_errors or compiled_faults(
            description.document, operation, bodies, found.formats
        )
        self._streams(at, found, [str(body["content_type"]) for body in bodies])
        self._documents[at], self.operations[at] = document, operation

    def _streams(self, at: Location, found: ResponseValidation, types: Iterable[str] | None) -> None:
        """Streams are declared in vain where their types do not pass, and the other way round."""
        if types is None or (found.statuses and found.openapi):
            return
        named = [name for name in types if is_stream(name)]
        if found.streams and not named and not any(name.endswith("/*") for name in types):
            message = "none of the types that pass is a stream, so this has no effect; remove it"
            self._fault((*at, "streams"), "key_unused", message, True)
        elif named and not found.streams:
            message = f"{listed(named)} has no end that could be waited for; write `streams: true`, and it passes unread"
            key = "content_types" if found.content_types else "operation"
            self._fault((*at, key), "stream_undeclared", message)

    def _operation(
        self, at: Location, found: RequestValidation | ResponseValidation, refuse_unknown: bool
    ) -> tuple[Description, Operation] | tuple[None, None]:
        """The operation that is named, and where it stands; what is wrong with that is told."""
        if found.openapi is None or found.operation is None:
            here = "openapi" if found.openapi is not None else "operation"
            self._fault(
                (*at, here),
                "operation_half",
                "`openapi` and `operation` belong together: a description, and the `operationId` in it",
                True,
            )
            return None, None
        description = self._description((*at, "openapi"), str(found.openapi))
        if description is None:
            return None, None
        operation = description.operation(found.operation, refuse_unknown)
        if isinstance(operation, str):
            self._fault((*at, "operation"), "operation_unknown", operation)
            return None, None
        return description, operation

    def _description(self, at: Location, file: str) -> Description | None:
        text = self.material.texts.get(at)
        path = self.places.base(at) / file
        key = (str(path), text or "")
        if key not in self._descriptions:
            document = self._document(at, file, "openapi_invalid")
            description = Description(document) if document else None
            fault = description.fault() if description else None
            if fault is not None:
                self.errors.append(fault)
            self._descriptions[key] = None if fault else description
        return self._descriptions[key]

    def check(self, policy: Policy) -> None:
        """Whether a route fits the operations that it is validated by."""
        self._graphql(policy)
        for found in (policy.request_validation, policy.response_validation):
            operation = self.operations.get(found[0]) if found else None
            if found and operation:
                self._fits(policy, found[0], operation)
        self._answers(policy)

    def _graphql(self, policy: Policy) -> None:
        found = policy.request_validation
        if not found or found[1].graphql is None:
            return
        others = sorted(set(policy.methods) - {"GET", "HEAD", "POST"})
        if others:
            message = f"`{policy.name}` takes {listed(others)}, and GraphQL is asked with GET and POST only; take it out of `methods`"
            self._fault(("routes", policy.name), "graphql_method", message, True)

    def _answers(self, policy: Policy) -> None:
        if policy.response_validation is None or (policy.action.get("forward") and not policy.websocket):
            return
        where, _ = policy.response_validation
        why = "opens WebSocket connections only" if policy.websocket else "has no service that answers"
        if where[0] == "routes":
            self._fault(where, "key_unused", f"`{policy.name}` {why}, so this has no effect; remove it", True)

    def _fits(self, policy: Policy, where: Location, operation: Operation) -> None:
        own = where[0] == "routes"
        place = (*where, "operation") if own else ("routes", policy.name)
        methods = set(policy.methods) - ({"HEAD"} if operation.method == "GET" else set())
        if methods != {operation.method}:
            self._fault(
                place,
                "operation_method",
                f"the operation is `{operation.method} {operation.path}`, and `{policy.name}` takes {listed(sorted(methods))}; "
                f"write `methods: {operation.method}`, and a route for each of the others",
                not own,
            )
        found = template.read(policy.path)
        variables = () if isinstance(found, str) else found.variables
        asked = operation.parameters if where[-1] == "request_validation" else []
        missing = [one["name"] for one in asked if one["in"] == "path" and one["name"] not in variables]
        if missing and not isinstance(found, str):
            self._fault(
                ("routes", policy.name, "match", "path"),
                "operation_path",
                f"the operation is `{operation.method} {operation.path}`, and the path has no {listed(f'{{{name}}}' for name in missing)}; "
                "name its variables as the description does",
            )

    def _schema(self, at: Location, file: str, formats: bool) -> Any:
        document = self._document(at, file, "schema_invalid")
        if document is None:
            return None
        self.errors += schema_errors(document, formats)
        return document.value

    def _document(self, at: Location, file: str, code: str) -> Document | None:
        text = self.material.texts.get(at)
        if text is None:
            return None  # what is wrong with the file has been said
        document = read(text, self.places.base(at) / file, code)
        if isinstance(document, ConfigError):
            self.errors.append(document)
            return None
        return document

    @property
    def readable(self) -> dict[Location, Any]:
        """The schema of bodies that rules may read, by the `request_validation` that asks for it."""
        found: dict[Location, Any] = {}
        for at, document in self._documents.items():
            if at[-1] != "request_validation":
                continue
            schemas = [body.get("schema") for body in document["bodies"]]
            if schemas and schemas[0] is not None and all(schema == schemas[0] for schema in schemas):
                found[at] = schemas[0]
        return found

    def compiled(self, policy: Policy) -> dict[str, Any]:
        """Its part of a route's document."""
        found = (policy.request_validation, policy.response_validation)
        return {str(one[0][-1]): self._documents[one[0]] for one in found if one}
