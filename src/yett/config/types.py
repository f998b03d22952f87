"""Types that many parts of the configuration share: names, one-or-many, files, secrets, addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from yett.config.base import Location, Model, refuse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_TEXT_BAD = re.compile(r"[\x00-\x1f\x7f]")


def _name(value: Any) -> Any:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise refuse(
            "name_invalid",
            f"`{value}` is not a name; use up to 64 letters, digits, `-`, `_` and `.`, starting with a letter or digit",
        )
    return value


def _reason(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        raise refuse("plaintext_reason", 'say why plain text is fine here: `plaintext: "same host"`')
    if len(value) > 200 or _TEXT_BAD.search(value):
        raise refuse("plaintext_reason", "the reason has to be one line of at most 200 characters")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str) and (not value or _TEXT_BAD.search(value)):
        raise refuse("text_invalid", "the text is empty or has control characters; write one line of text")
    return value


Name = Annotated[str, BeforeValidator(_name)]
"""The name of something in the configuration."""
Text = Annotated[str, BeforeValidator(_text)]
"""One line of text, not empty."""
Plaintext = Annotated[str, BeforeValidator(_reason)]
"""Why plain text is fine here."""


SenderConstrained = Literal["dpop", "mtls", "any"]
"""What a token is bound to: `dpop`, a key (RFC 9449); `mtls`, the client's certificate (RFC 8705); `any`, either."""


# one item, or several with a quantifier


def _strings(value: Any, at: Location, allow_empty: bool = False) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise refuse(
            "list_expected",
            f"`{at[-1]}` needs a list, such as `[a, b]`" if at else "write a list, such as `[a, b]`",
            at,
        )
    if not value and not allow_empty:
        raise refuse("list_empty", "the list is empty; name at least one, or leave the key out", at)
    seen: set[str] = set()
    for index, item in enumerate(value):
        _string(item, (*at, index))
        if item in seen:
            raise refuse("listed_twice", f"`{item}` is listed twice; remove one", (*at, index))
        seen.add(item)
    return tuple(value)


def _string(item: Any, at: Location) -> str:
    if not isinstance(item, str) or not item or _TEXT_BAD.search(item):
        raise refuse("text_expected", f"`{item}` is not text; put it in quotes", at)
    return item


Judge = Callable[[str], None]
"""Raises what `refuse` makes where an item is none."""


def _judged(items: tuple[str, ...], at: Callable[[int], Location], judge: Judge | None) -> tuple[str, ...]:
    if judge is None:
        return items
    for index, item in enumerate(items):
        try:
            judge(item)
        except PydanticCustomError as error:
            raise refuse(error.type, error.message(), at(index)) from None
    return items


def quantified(
    value: Any, quantifiers: tuple[str, ...], judge: Judge | None = None
) -> tuple[str, tuple[str, ...]]:
    """The quantifier and the items. A wrong item is told at its place, and before what is wrong with the list that it stands in."""
    if isinstance(value, str):
        return quantifiers[0], _judged((_string(value, (0,)),), lambda _: (), judge)
    if isinstance(value, dict) and len(value) == 1:
        quantifier, items = next(iter(value.items()))
        if quantifier in quantifiers:
            found = _strings(items, (quantifier,))
            return quantifier, _judged(found, lambda index: (quantifier, index), judge)
    choice = " or ".join(f"`{{{name}: [a, b]}}`" for name in quantifiers)
    if isinstance(value, list | tuple):
        if len(value) == 1 and isinstance(value[0], dict):
            raise refuse("quantifier_missing", "it stands without a list around it; remove the brackets")
        _judged(_strings(value, (), allow_empty=True), lambda index: (index,), judge)
        if len(value) == 1:
            raise refuse("quantifier_missing", f"one item needs no list; write `{value[0]}`")
        raise refuse("quantifier_missing", f"a list has to say how it is meant; write {choice}")
    raise refuse("quantifier_missing", f"write one item, or {choice}")


def _any_of(value: Any) -> Any:
    return quantified(value, ("any_of",))[1]


def any_of(judge: Judge) -> BeforeValidator:
    """One item, or `{any_of: […]}`, each of which `judge` takes."""
    return BeforeValidator(lambda value: quantified(value, ("any_of",), judge)[1])


SEVERAL: dict[str, Any] = {
    "type": "object", "required": ["any_of"], "additionalProperties": False,
    "properties": {"any_of": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
}  # fmt: skip
"""JSON Schema of `{any_of: [a, b]}`."""
ONE_OR_SEVERAL: dict[str, Any] = {"anyOf": [{"type": "string"}, SEVERAL]}
"""JSON Schema of one item, or `{any_of: [a, b]}`."""

OneOrAny = Annotated[tuple[str, ...], BeforeValidator(_any_of), WithJsonSchema(ONE_OR_SEVERAL)]
"""One item, or `{any_of: [a, b]}`."""


@dataclass(frozen=True)
class Quantified:
    """Several items: `any_of` (one is enough) or `all_of`."""

    quantifier: Literal["any_of", "all_of"]
    items: tuple[str, ...]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        items = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        several = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
                   "properties": {"any_of": items, "all_of": items}}  # fmt: skip
        return {"anyOf": [{"type": "string"}, several]}

    @classmethod
    def validate(cls, value: Any) -> Quantified:
        if isinstance(value, Quantified):
            return value
        quantifier, items = quantified(value, ("all_of", "any_of"))
        return cls("all_of" if quantifier == "all_of" else "any_of", items)


def _items(value: Any) -> Any:
    return _strings([value] if isinstance(value, str) else value, ())


_LIST_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

Items = Annotated[tuple[str, ...], BeforeValidator(_items), WithJsonSchema(_LIST_SCHEMA)]
"""One item, or a list where only one meaning is possible (endpoints, networks)."""


def one_or_list(value: Any) -> Any:
    """A single mapping stands for a list of one."""
    if isinstance(value, list):
        if not value:
            raise refuse("list_empty", "the list is empty; name at least one, or leave the key out")
        return tuple(value)
    return value if isinstance(value, tuple) else (value,)


class OrOne:
    """For editors: one may stand without its list."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], {**several, "minItems": 1}]}


# files and secrets


class PublicFile(str):
    """A path to something public; its text becomes part of the compiled configuration. Relative to the file that names it."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

    @classmethod
    def validate(cls, value: Any) -> PublicFile:
        if isinstance(value, dict) and ("file" in value or "env" in value):
            raise refuse(
                "secret_not_expected", "this is public: write the path itself, without `file:` or `env:`"
            )
        if not isinstance(value, str) or not value or _TEXT_BAD.search(value):
            raise refuse("path_expected", "write the path of a file")
        return cls(value)


class Secret(Model):
    """Where a secret comes from: `{file: path}` or `{env: NAME}`. Never written into the file itself."""

    file: Text | None = None
    """Path of a file, relative to the file that names it; one line end at its end is not part of the secret."""
    env: Text | None = None
    """Name of an environment variable."""

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, value: Any) -> Any:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, dict):
            raise refuse(
                "secret_inline",
                "a secret does not stand in the configuration; write `{file: path}` or `{env: NAME}`",
            )
        if len([key for key in ("file", "env") if value.get(key) is not None]) != 1 and not set(value) - {
            "file",
            "env",
        }:
            raise refuse("secret_source", "write exactly one of `file` and `env`")
        return value


# addresses


def socket_address(value: str) -> tuple[str, int] | None:
    """Host (an address) and port of `127.0.0.1:8080` or `[::1]:8080`."""
    host, _, port = value.rpartition(":")
    if (
        not (port.isascii() and port.isdigit())
        or int(port) > 65535
        or (":" in host) != (host[:1] == "[" and host[-1:] == "]")
    ):
        return None
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        return None


def _address(value: Any) -> Any:
    if not isinstance(value, str) or socket_address(value) is None:
        raise refuse(
            "address_invalid",
            f"`{value}` is not an address; write an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
        )
    return value


def _networks(value: Any) -> Any:
    items = _items(value)
    result = []
    for index, item in enumerate(items):
        at: Location = (index,) if isinstance(value, list | tuple) else ()
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise refuse(
                "network_invalid",
                f"`{item}` is not a network; write one such as `10.0.0.0/8` or `2001:db8::/32`",
                at,
            ) from None
        if "/" in item and str(network) != str(ipaddress.ip_interface(item).ip) + f"/{network.prefixlen}":
            raise refuse("network_invalid", f"`{item}` has bits beyond its prefix; write `{network}`", at)
        if network.prefixlen == 0:
            raise refuse(
                "network_everyone", f"`{item}` is every address; name the networks that you run yourself", at
            )
        result.append(str(network))
    return tuple(result)


Address = Annotated[
    str, BeforeValidator(_address), WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080"]})
]
"""An IP address and a port."""
Networks = Annotated[tuple[str, ...], BeforeValidator(_networks), WithJsonSchema(_LIST_SCHEMA)]
"""One network or a list of networks."""


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a socket address."""
    found = socket_address(address)
    return found is not None and ipaddress.ip_address(found[0]).is_loopback


def forbidden_host(host: str) -> str | None:
    """Why a host is never contacted: link-local and metadata addresses (RFC 3927, RFC 4291 section 2.5.6)."""
    if host.lower().rstrip(".") in {"metadata.google.internal", "metadata"}:
        return "is a cloud's metadata service"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address in ipaddress.ip_network("fd00:ec2::/32") or str(address) in {
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd20:ce::254",
    }:
        return "is a cloud's metadata service"
    if address.is_link_local:
        return "is a link-local address"
    if address.is_unspecified or address.is_multicast:
        return "is not the address of one machine"
    return None
