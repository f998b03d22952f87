"""Where a request names its tenant."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from yett.config.base import Model, refuse
from yett.config.headers import owned
from yett.config.types import Text

_PLACE = re.compile(
    r"path\.[a-z][a-z0-9_]*|query\.[A-Za-z0-9_.~-]+|header\.[A-Za-z0-9-]+|body(\.[A-Za-z0-9_-]+){1,8}|host",
    re.ASCII,
)
_HOST = re.compile(r"[a-z0-9-]*\{tenant\}[a-z0-9-]*(\.[a-z0-9-]+)+", re.ASCII)
_CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "host"}
EXAMPLES = "`path.tenant`, `host`, `header.x-tenant`, `query.tenant` or `body.tenant`"


def place(value: Any) -> Any:
    """Checks a bare place such as `path.tenant`."""
    if not isinstance(value, str) or not _PLACE.fullmatch(value):
        raise refuse("tenant_invalid", f"`{value}` is not a part of the request; write {EXAMPLES}")
    kind, _, name = value.partition(".")
    if kind == "header" and (owned(name.lower(), False) or name.lower() in _CREDENTIALS):
        raise refuse("tenant_invalid", f"`{name}` has another meaning; choose a field such as `x-tenant`")
    return value.lower() if kind == "header" else value


def _host(value: Any) -> Any:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise refuse(
            "tenant_invalid",
            f"`{value}` is not a host with one part left open; write one such as `{{tenant}}.example.com`",
        )
    return value


class Tenant(Model):
    """Where a request names its tenant, or why it names none."""

    place: Text | None = None
    """`path.NAME`, `header.NAME`, `query.NAME`, `body.NAME`, or `host` for the label that a wildcard stands for."""
    host: Annotated[str, BeforeValidator(_host)] | None = None
    """A host with its tenant: `{tenant}.example.com`."""
    none: Text | None = None
    """Why requests name no tenant here."""

    @model_validator(mode="after")
    def _one(self) -> Tenant:
        if sum(part is not None for part in (self.place, self.host, self.none)) != 1:
            raise refuse("tenant_invalid", f'write one of {EXAMPLES}, or `{{none: "reason"}}`')
        return self

    @property
    def shown(self) -> str:
        """As it stands in the configuration."""
        return self.place or self.host or "none"


def _tenant(value: Any) -> Any:
    if isinstance(value, str):
        return Tenant(place=place(value))
    if isinstance(value, dict) and value.get("place") is not None:
        raise refuse("tenant_invalid", f"write the place itself: `tenant: {value['place']}`")
    return value


TenantPlace = Annotated[
    Tenant,
    BeforeValidator(_tenant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(path\.|query\.|header\.|body\.|host$)"},
                {
                    "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
                    "properties": {"host": {"type": "string"}, "none": {"type": "string"}},
                },
            ]
        }
    ),
]  # fmt: skip
"""`path.NAME`, `host`, `{host: …}`, `header.NAME`, `query.NAME`, `body.NAME`, or `{none: "reason"}`."""


def _response_header(value: Any) -> Any:
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"[A-Za-z0-9-]+", value, re.ASCII)
        or owned(value.lower(), True)
    ):
        raise refuse("header_invalid", f"`{value}` is not a field of an answer; write one such as `X-Tenant`")
    return value


class ResponseTenant(Model):
    """What an answer says about whose it is."""

    header: Annotated[str, BeforeValidator(_response_header)]
    """A field of the service's answers that names the tenant; another one than the caller's is refused (502)."""


def templates(tenant: Tenant, hosts: tuple[str, ...] | None) -> list[dict[str, str]] | str:
    """Hosts with one label left open, for the data plane; or what is wrong."""
    if tenant.host is not None:
        before, _, after = tenant.host.partition("{tenant}")

        def fits(host: str) -> bool:
            if host.startswith("*."):
                return after.endswith(host[1:])
            return host.startswith(before) and host.endswith(after)

        outside = [host for host in hosts or () if not fits(host)]
        if hosts is None or outside:
            shown = "any host" if hosts is None else f"`{outside[0]}`"
            return f"the route takes {shown}, in which `{tenant.host}` finds no tenant; make them agree"
        return [{"before": before, "after": after}]
    if hosts is None or any(not host.startswith("*.") for host in hosts):
        return "`tenant: host` is the label that a wildcard stands for; give the route hosts such as `*.example.com` only"
    return [{"before": "", "after": host[1:]} for host in hosts]
