"""What an OpenAPI description asks of requests, judged in the service by the code that the gateway judges with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote_to_bytes

from yett.backend.refused import Refused

if TYPE_CHECKING:
    from yett._core import RequestContract

Fields = Iterable[tuple[str, str] | tuple[bytes, bytes]]
Unknown = Literal["refuse", "allow"]

JSON_LIMITS = {"depth": 32, "keys": 10_000, "items": 100_000, "string": 64 * 1024, "number": 40}
"""Bounds of JSON, those of the gateway where nothing is said: `string` in bytes, `number` in characters."""
FORM_LIMITS = {"fields": 100, "field": 64 * 1024, "file": 2**63 - 1}
"""Bounds of forms, likewise; `field` and `file` in bytes."""
_VARIABLE = re.compile(r"\{([^{}/]+)\}")


class InvalidDescription(ValueError):
    """An OpenAPI description that cannot be used: each line is `file:line:column: what is wrong`."""


class RequestInvalid(Refused):
    """A request that is not what the description asks for. `errors` say where, and hold no value of the request."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.status, self.title, self.code = int(said["status"]), str(said["title"]), str(said["reason"])
        self.detail: str | None = said.get("detail")
        self.errors: list[dict[str, str]] = list(said.get("errors", ()))
        Exception.__init__(self, self.code)

    def problem(self) -> bytes:
        """The answer's body (RFC 9457), as the gateway's."""
        said: dict[str, Any] = {
            "type": f"urn:yett:reason:{self.code}", "title": self.title, "status": self.status, "reason": self.code,
        }  # fmt: skip
        if self.detail:
            said["detail"] = self.detail
        if self.errors:
            said["errors"] = self.errors
        return json.dumps(said).encode()


@dataclass(frozen=True)
class Operation:
    """One operation of a description. `name` is its `operationId`, or method and path where it has none."""

    name: str
    method: str
    path: str
    contract: RequestContract


class OpenApi:
    """An OpenAPI description (3.0 or 3.1), such as the one that the gateway's `request_validation` names.

    `prefix` stands before its paths in requests. `outside` says what becomes of a request that is none of its operations.
    The other parameters are those of `request_validation`. Everything is compiled here: a request parses no schema.

    Raises:
        InvalidDescription: it cannot be used, with all that is wrong.
        OSError: the file cannot be read.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        prefix: str = "",
        outside: Unknown = "refuse",
        unknown_properties: Unknown = "allow",
        unknown_parameters: Unknown = "allow",
        formats: bool = True,
        json_limits: dict[str, int] | None = None,
        form_limits: dict[str, int] | None = None,
    ) -> None:
        from yett.config.validation.document import read
        from yett.config.validation.openapi import Description
        from yett.errors import ConfigError

        path = Path(file)
        document = read(path.read_text(encoding="utf-8"), path, "openapi_invalid")
        if isinstance(document, ConfigError):
            raise InvalidDescription(str(document))
        description = Description(document)
        fault = description.fault()
        if fault is not None:
            raise InvalidDescription(str(fault))
        self.prefix, self.outside = prefix.rstrip("/"), outside
        bounds = {
            "json": {**JSON_LIMITS, **(json_limits or {})},
            "form": {**FORM_LIMITS, **(form_limits or {})},
            "formats": formats,
        }
        errors: list[str] = []
        found = []
        for given in description.operations():
            one = description.read(given, unknown_properties == "refuse")
            errors += [str(error) for error in one.errors]
            if not one.errors:
                name = given[0] or f"{one.method} {one.path}"
                try:
                    found.append(_compiled(name, one, bounds, unknown_parameters == "refuse"))
                except ValueError as error:
                    errors.append(str(document.error(one.at, "openapi_invalid", str(error))))
        if errors:
            raise InvalidDescription("\n".join(errors))
        # Literal segments before variables, as OpenAPI has it.
        self._operations = sorted(
            found, key=lambda one: [bool(_VARIABLE.search(part)) for part in one[1].path.split("/")]
        )

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them."""
        return tuple(one for _, one in self._operations)

    def check(
        self, method: str, path: str, query: bytes | str = b"", headers: Fields = (), body: bytes = b""
    ) -> Operation | None:
        """The operation of a request that is what it has to be; nothing where it is none and that is allowed.

        `path` is percent-decoded once, as ASGI's `path`, `query` as it was sent; `body` is the whole one.

        Raises:
            RequestInvalid: it is not; what is wrong with it.
        """
        # Frameworks read `post` as POST.
        method = method.upper()
        found = self._find(method, path)
        if found is None:
            if self.outside == "allow":
                return None
            title = "the description has no such operation"
            raise RequestInvalid({"reason": "operation_unknown", "status": 404, "title": title})
        operation, variables = found
        raw = query.encode("latin-1") if isinstance(query, str) else query
        said = operation.contract.refusal(method, raw, variables, list(map(_field, headers)), body)
        if said is not None:
            raise RequestInvalid(json.loads(said))
        return operation

    def _find(self, method: str, path: str) -> tuple[Operation, list[str]] | None:
        if not path.startswith(self.prefix):
            return None
        below = path[len(self.prefix) :]
        wanted = "GET" if method == "HEAD" else method
        for pattern, operation in self._operations:
            match = pattern.fullmatch(below) if operation.method in {wanted, method} else None
            if match is not None:
                return operation, list(match.groups())
        return None


def _compiled(
    name: str, one: Any, bounds: dict[str, Any], refuse_unknown: bool
) -> tuple[re.Pattern[str], Operation]:
    from yett import _core

    document = {
        "body": one.body,
        "bodies": one.bodies,
        "parameters": one.parameters,
        "json": bounds["json"],
        "formats": bounds["formats"],
        **({"form": bounds["form"]} if any("fields" in body for body in one.bodies) else {}),
    }
    if refuse_unknown:
        document["query"] = sorted(
            parameter["name"] for parameter in one.parameters if parameter["in"] == "query"
        )
    variables: Sequence[str] = _VARIABLE.findall(one.path)
    contract = _core.RequestContract(json.dumps(document).encode(), list(variables))
    pattern = "".join(
        "([^/]+)" if index % 2 else re.escape(_decoded(text))
        for index, text in enumerate(_VARIABLE.split(one.path))
    )
    return re.compile(pattern, re.DOTALL), Operation(name, one.method, one.path, contract)


def _decoded(text: str) -> str:
    """Literal text of a template as paths have it once they are decoded."""
    return unquote_to_bytes(quote(text, safe="/%")).decode("utf-8", "surrogateescape")


def _field(field: tuple[str, str] | tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    return (
        name if isinstance(name, bytes) else name.encode("latin-1"),
        value if isinstance(value, bytes) else value.encode("latin-1"),
    )
