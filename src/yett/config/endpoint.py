"""Endpoints of a service, and how one of several is chosen."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from yett.config.base import Location, Model, refuse
from yett.config.headers import FieldName, owned, valid_name
from yett.config.types import Name, forbidden_host
from yett.config.units import Duration, milliseconds
from yett.config.url import url_fault

MAX_ENDPOINTS = 256


class Endpoint(Model):
    """One address of a service."""

    url: str
    """`https://host:port`; `http://` needs `plaintext` at the service."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Its share among endpoints of the same priority."""
    priority: Annotated[int, Field(ge=0, le=255)] = 0
    """Used only when no endpoint of a smaller one is healthy."""
    zone: Name | None = None
    """Where it stands; see `zone` of the gateway."""


_LEAST_REFRESH_MS = 100


def _refresh(value: Any) -> Any:
    if milliseconds(value) < _LEAST_REFRESH_MS:
        raise refuse(
            "duration_zero",
            f"`{value}` is too often; at least {_LEAST_REFRESH_MS} ms lie between two questions",
        )
    return value


class Dns(Model):
    """How names of endpoints are kept fresh."""

    refresh: Annotated[Duration, AfterValidator(_refresh)] = "10s"
    """From one answer to the next question, or up to a tenth earlier."""
    stale: Duration = "10m"
    """How long the last answer is used on while the resolver fails."""

    def compiled(self) -> dict[str, Any]:
        """Its part of the IR."""
        return {"refresh_ms": milliseconds(self.refresh), "stale_ms": milliseconds(self.stale)}


def is_name(url: str) -> bool:
    """Whether its host has to be resolved."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return True
    return False


def _url(item: Any) -> tuple[Any, Location]:
    if isinstance(item, Endpoint):
        return item.url, ()
    return (item.get("url"), ("url",)) if isinstance(item, dict) else (item, ())


def _endpoints(value: Any) -> Any:
    items = value if isinstance(value, list | tuple) else [value]
    if not isinstance(value, str | dict | list | tuple | Endpoint):
        raise refuse(
            "endpoint_invalid",
            "write an address such as `https://billing-1.internal:8443`, or a list of them",
        )
    if not items:
        raise refuse("list_empty", "the list is empty; name at least one, or leave the key out")
    if len(items) > MAX_ENDPOINTS:
        raise refuse("endpoint_invalid", f"a service has at most {MAX_ENDPOINTS} endpoints")
    seen: set[str] = set()
    for index, item in enumerate(items):
        url, below = _url(item)
        at: Location = (*((index,) if isinstance(value, list | tuple) else ()), *below)
        _check(url, seen, at)
        seen.add(url)
    return tuple({"url": item} if isinstance(item, str) else item for item in items)


def _check(url: Any, seen: set[str], at: Location) -> None:
    fault = url_fault(url)
    if fault:
        bare = isinstance(url, str) and "://" not in url and url_fault(f"https://{url}") is None
        hint = f"`{url}` says no scheme; write `https://{url}`, or `http://{url}` beside a `plaintext` reason"
        raise refuse("endpoint_invalid", hint if bare else fault, at)
    parts = urlsplit(url)
    if parts.path not in {"", "/"} or parts.query:
        raise refuse(
            "endpoint_invalid",
            f"`{url}` has a path; an endpoint is scheme, host and port (`rewrite` changes paths)",
            at,
        )
    why = forbidden_host(parts.hostname or "")
    if why:
        raise refuse("address_forbidden", f"`{parts.hostname}` {why}; it is never contacted", at)
    if url in seen:
        raise refuse("listed_twice", f"`{url}` is listed twice; remove one", at)


_URL_SCHEMA = {"type": "string", "examples": ["https://billing-1.internal:8443"]}


class _Several:
    """For editors: one, or a list. Made when somebody asks: what stands under the fields is read from the source."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        from yett.config.described import Described

        del schema, handler
        one = [_URL_SCHEMA, Endpoint.model_json_schema(schema_generator=Described)]
        several = {"type": "array", "items": {"anyOf": one}, "minItems": 1, "maxItems": MAX_ENDPOINTS}
        return {"anyOf": [*one, several]}


Endpoints = Annotated[tuple[Endpoint, ...], BeforeValidator(_endpoints), _Several()]
"""One endpoint or a list; each is an address, or a map with an address, weight, priority and zone."""


def _seen_field(value: Any) -> Any:
    if isinstance(value, str) and owned(value, False):
        raise refuse("header_owned", f"`{value.lower()}` is not what a client says; choose another field")
    return value


def _cookie_name(value: Any) -> Any:
    if not isinstance(value, str) or not valid_name(value):
        raise refuse("cookie_invalid", f"`{value}` is not the name of a cookie")
    return value


class HashKey(Model):
    """A header or a cookie: requests with the same value of it belong together."""

    header: Annotated[FieldName, BeforeValidator(_seen_field)] | None = None
    """A header's name; the field as the service sees it."""
    cookie: Annotated[str, BeforeValidator(_cookie_name)] | None = None
    """A cookie's name, in its own case."""


def _hash_key(value: Any) -> Any:
    if isinstance(value, str) and value not in {"principal", "address", "path"}:
        raise refuse(
            "hash_invalid",
            "write `principal`, `address`, `path`, `{header: x-session}` or `{cookie: session}`",
        )
    if isinstance(value, dict) and len([key for key in ("header", "cookie") if key in value]) != 1:
        raise refuse("hash_invalid", "write exactly one of `{header: x-session}` and `{cookie: session}`")
    return value


class ConsistentHash(Model):
    """The same endpoint for requests that belong together, as long as it is healthy."""

    consistent_hash: Annotated[Literal["principal", "address", "path"] | HashKey, BeforeValidator(_hash_key)]
    """By what they belong together: `principal`, `address`, `path`, a header or a cookie; those without it take turns."""


def _balance(value: Any) -> Any:
    if isinstance(value, str) and value not in {"round_robin", "least_requests"}:
        raise refuse(
            "balance_invalid",
            "write `round_robin`, `least_requests`, or `{consistent_hash: …}` with what requests go by",
        )
    return value


Balance = Annotated[Literal["round_robin", "least_requests"] | ConsistentHash, BeforeValidator(_balance)]
"""How one of several endpoints is chosen."""


def compiled(endpoint: Endpoint) -> dict[str, Any]:
    """Its part of the IR."""
    parts = urlsplit(endpoint.url)
    secure = parts.scheme == "https"
    document: dict[str, Any] = {
        "tls": secure,
        "host": parts.hostname or "",
        "port": parts.port or (443 if secure else 80),
    }
    for key, default in (("weight", 1), ("priority", 0), ("zone", None)):
        if getattr(endpoint, key) != default:
            document[key] = getattr(endpoint, key)
    return document


def compiled_balance(balance: str | ConsistentHash) -> Any:
    """Its part of the IR."""
    if isinstance(balance, str):
        return balance
    key = balance.consistent_hash
    return {"consistent_hash": key if isinstance(key, str) else key.model_dump(exclude_none=True)}
