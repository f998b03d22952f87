"""Which requests a route takes: host, path, methods, headers and query parameters."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from yett.config import template
from yett.config.base import Model, nearest, refuse
from yett.config.headers import FieldName, FieldValue
from yett.config.types import ONE_OR_SEVERAL, SEVERAL, any_of, quantified

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


def host_fault(host: str) -> str | None:
    """Why a host cannot be matched, or nothing."""
    if host == "*":
        return "`*` is not a host; write `any`, so that it is plain that every host is meant"
    if host != host.lower():
        return f"hosts are lower case; write `{host.lower()}`"
    if "://" in host or "/" in host:
        return f"`{host}` is not a host; write the name alone, such as `api.example.com`"
    name = host[2:] if host.startswith("*.") else host
    if "*" in name:
        return f"`{host}`: a wildcard is the whole first label, such as `*.example.com`"
    if re.search(r":\d+$", name):
        return f"`{host}` names a port; write the name alone, listeners decide ports"
    if name.endswith("."):
        return f"`{host}` ends with a dot; write `{host[:-1]}`"
    if host.startswith("*.") and "." not in name:
        return f"`{host}` covers a whole top-level domain; write one such as `*.example.com`"
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return f"`{host}` is not a host name; international names are written as `xn--…`"
    return None


def _hosts(value: Any) -> Any:
    if value == "any":
        return "any"
    return quantified(value, ("any_of",), _host)[1]


def _host(host: str) -> None:
    if host == "any":
        raise refuse("host_invalid", "`any` stands alone: `hosts: any`")
    fault = host_fault(host)
    if fault:
        raise refuse("host_invalid", fault)


def _method(method: str) -> None:
    if method in {"CONNECT", "TRACE"}:
        raise refuse("method_refused", f"`{method}` is never let through; remove it")
    if method.upper() in METHODS and method != method.upper():
        raise refuse("method_invalid", f"methods are upper case; write `{method.upper()}`")
    if method not in METHODS:
        raise refuse(
            "method_invalid",
            f"`{method}` is not a method{nearest(method, METHODS) or '; write one of ' + ', '.join(METHODS)}",
        )


def _path(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse("path_template_invalid", f"`{value}` is not a path; write one such as `/orders/{{id}}`")
    found = template.read(value)
    if isinstance(found, str):
        raise refuse("path_template_invalid", found)
    return value


Hosts = Annotated[
    tuple[str, ...] | Literal["any"],
    BeforeValidator(_hosts),
    WithJsonSchema(ONE_OR_SEVERAL),
]
"""`any`, one host, or `{any_of: […]}`; exact, or `*.example.com`."""
Methods = Annotated[
    tuple[str, ...],
    any_of(_method),
    WithJsonSchema({"anyOf": [{"enum": list(METHODS)}, SEVERAL]}),
]
"""One method, or `{any_of: […]}`."""
PathTemplate = Annotated[str, BeforeValidator(_path), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""Literal segments, `{name}`, and `{name...}` at the end."""


class Match(Model):
    """Which requests a route takes."""

    path: PathTemplate
    """A template: `/orders/{id}`; `{rest...}` at the end takes one segment or more."""
    methods: Methods
    """One method, or `{any_of: [GET, POST]}`; GET brings HEAD with it."""
    hosts: Hosts | None = None
    """Host names; `any` is spelt out. May stand in the group instead."""
    headers: dict[FieldName, FieldValue] = Field(default_factory=dict)
    """Headers that have to be there exactly once, with exactly this value."""
    query: dict[str, FieldValue] = Field(default_factory=dict)
    """Query parameters that have to be there exactly once, with exactly this value."""
