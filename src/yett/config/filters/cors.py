"""Pages of other origins (CORS): which may use a route, how, and what they may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from yett.config import units
from yett.config.base import Model, refuse
from yett.config.headers import plain_names
from yett.config.match import Methods
from yett.config.origin import origin_fault, pattern_fault
from yett.config.types import ONE_OR_SEVERAL, quantified

MAX_AGE = "24h"
"""Browsers remember a preflight for at most so long."""
PREFIX = "access-control-"
"""What the fields of this protocol begin with."""
# Fields that browsers write themselves, or send without asking.
_FORBIDDEN = {
    "accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method", "connection",
    "content-length", "cookie", "cookie2", "date", "dnt", "expect", "host", "keep-alive", "origin", "referer", "set-cookie", "te",
    "trailer", "transfer-encoding", "upgrade", "via",
}  # fmt: skip
_UNREADABLE = {"set-cookie", "set-cookie2"}


def _origins(value: Any) -> Any:
    items = quantified(value, ("any_of",), _origin)[1]
    if "any" in items and set(items) - {"any", "null"}:
        raise refuse("origin_invalid", "`any` covers every origin; keep `any`, or the list without it")
    return items


def _origin(item: str) -> None:
    if item == "*":
        raise refuse("origin_invalid", "write `any` for pages of every origin, so that it is plain")
    if item in {"any", "null"}:
        return
    fault = pattern_fault(item) if "*" in item else origin_fault(item)
    if fault:
        raise refuse("origin_invalid", fault)


def _sent(name: str) -> str | None:
    if name in _FORBIDDEN or name.startswith(("sec-", "proxy-")):
        return "is written by browsers, never by pages; remove it"
    return None


def _read(name: str) -> str | None:
    if name in _UNREADABLE:
        return "is never shown to pages; remove it"
    return "belongs to the gateway, which sets it itself; remove it" if name.startswith(PREFIX) else None


def _names(value: Any, what: str, why_not: Callable[[str], str | None]) -> tuple[str, ...]:
    names: list[str] = []

    def judge(item: str) -> None:
        if item == "*":
            raise refuse("header_name_invalid", f"`*` is not taken; name the header fields that pages {what}")
        names.extend(plain_names((item,), why_not))

    quantified(value, ("any_of",), judge)
    return tuple(names)


def _sent_names(value: Any) -> Any:
    return _names(value, "may send", _sent)


def _read_names(value: Any) -> Any:
    return _names(value, "may read", _read)


def _max_age(value: str) -> str:
    if units.milliseconds(value) > units.milliseconds(MAX_AGE):
        raise refuse(
            "duration_invalid", f"`{value}` is longer than browsers remember; write at most `{MAX_AGE}`"
        )
    if units.milliseconds(value) % 1000:
        raise refuse("duration_invalid", f"`{value}` is no whole number of seconds; write one")
    return value


_SCHEMA = WithJsonSchema(ONE_OR_SEVERAL)


class Cors(Model):
    """What pages of other origins may do."""

    origins: Annotated[tuple[str, ...], BeforeValidator(_origins), _SCHEMA]
    """Whose pages: `https://shop.example.com`; `https://*.example.com` for one label; `"null"` for pages without an origin; `any` for all but those."""
    methods: Methods | None = None
    """Methods that these pages may use (those of the route)."""
    headers: Annotated[tuple[str, ...], BeforeValidator(_sent_names), _SCHEMA] = ()
    """Header fields that they may send beside those that need no asking, such as `content-type` and `authorization`."""
    expose: Annotated[tuple[str, ...], BeforeValidator(_read_names), _SCHEMA] = ()
    """Header fields of answers that they may read beside the gateway's own."""
    credentials: bool = False
    """Whether browsers send cookies and client certificates along; for named origins only."""
    max_age: Annotated[units.AnyDuration, AfterValidator(_max_age)] = "10m"
    """How long browsers may remember what a preflight said, at most 24h."""
    private_network: bool = False
    """Whether pages of public networks may reach the gateway in a private one."""

    @model_validator(mode="after")
    def _credentials(self) -> Cors:
        for name in ("any", "null"):
            if self.credentials and name in self.origins:
                raise refuse(
                    "cors_credentials",
                    f"with `credentials` every page would act as whoever looks at it; name the origins, not `{name}`",
                )
        return self

    def compiled(self, methods: tuple[str, ...]) -> dict[str, Any]:
        """Its part of the intermediate representation, on a route with these methods."""
        return {
            "origins": sorted(self.origins),
            "methods": sorted(methods),
            "headers": sorted(self.headers),
            "expose": sorted(self.expose),
            "credentials": self.credentials,
            "max_age_s": units.milliseconds(self.max_age) // 1000,
            "private_network": self.private_network,
        }
