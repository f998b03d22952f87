"""What pydantic found, in our own words and at its place."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from yett.config.base import Location, listed, nearest
from yett.config.places import Places
from yett.errors import ConfigError

_AS = re.compile(r"[Aa][Ss]\d{1,10}")
_SKIPPED = ("literal[", "function-plain[")
_KINDS = {
    "string_type": "text is needed here; put the value in quotes",
    "int_type": "a whole number is needed here",
    "int_from_float": "a whole number is needed here",
    "bool_type": "write `true` or `false`",
    "dict_type": "a mapping is needed here, such as `{name: …}`",
    "tuple_type": "a list is needed here, such as `[a, b]`",
    "list_type": "a list is needed here, such as `[a, b]`",
}


def translate(
    error: ValidationError, model: type[BaseModel], places: Places, prefix: Location = ()
) -> list[ConfigError]:
    """All faults that pydantic found, each at its place."""
    details = error.errors(include_url=False)
    kept = [
        item
        for item in details
        if not any(isinstance(s, str) and s.startswith(_SKIPPED) for s in item["loc"])
    ]
    return [_one(item, model, places, prefix) for item in kept or details]


def _one(item: ErrorDetails, model: type[BaseModel], places: Places, prefix: Location) -> ConfigError:
    kind, context = item["type"], item.get("ctx", {})
    location: Location = tuple(item["loc"])
    on_key = location[-1:] == ("[key]",)
    location = location[:-1] if on_key else location
    given = item.get("input")
    if "at" in context and "message" in context:
        return places.error((*prefix, *location, *context["at"]), kind, context["message"], on_key)
    where = (*prefix, *location)
    if kind == "missing":
        return places.error(where, "key_missing", _missing(location, model), True)
    if kind == "extra_forbidden":
        return places.error(where, "key_unknown", _unknown(location, model), True)
    if kind == "literal_error":
        return places.error(where, "value_unknown", _literal(given, str(context.get("expected", ""))))
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        tags = [tag.strip("' ") for tag in str(context.get("expected_tags", "'jwt', 'api_key'")).split(",")]
        if kind == "union_tag_not_found":
            return places.error(where, "key_missing", f"`type` is missing; write {_choice(tags)}", True)
        tag = str(context.get("tag"))
        return places.error(
            (*where, "type"),
            "value_unknown",
            f"`{tag}` is not a type{nearest(tag, tags) or '; write ' + _choice(tags)}",
        )
    if kind in {"model_type", "model_attributes_type"}:
        return places.error(where, "type_wrong", _mapping(location, model))
    if kind == "int_type" and isinstance(given, str) and _AS.fullmatch(given):
        return places.error(
            where, "type_wrong", f"`{given}` is no number; write the number alone: `{given[2:]}`"
        )
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return places.error(where, "out_of_range", f"`{given}` is out of range; write {bound}")
    if kind == "too_long" and "max_length" in context:
        message = f"there are more than {context['max_length']} here; name fewer"
        return places.error(where, "out_of_range", message)
    return places.error(where, "type_wrong", _KINDS.get(kind, "this value cannot stand here"))


def _choice(names: list[str]) -> str:
    return " or ".join(", ".join(f"`{name}`" for name in names).rsplit(", ", 1))


def _literal(given: Any, expected: str) -> str:
    names = [part.strip("' ") for part in expected.replace(" or ", ", ").split(", ")]
    if isinstance(given, bool):
        said = {"True": "true", "False": "false"}
        wanted = _choice([said.get(name, name) for name in names])
        return f"`{said[str(given)]}` is not known here; write {wanted}"
    shown = given if isinstance(given, str | int) else "this"
    if isinstance(given, str) and given in names:
        return f"`{given}` is a number here; write it without quotes"
    near = nearest(given, names) if isinstance(given, str) else ""
    return f"`{shown}` is not known here{near or '; write ' + _choice(names)}"


def _missing(location: Location, model: type[BaseModel]) -> str:
    name = str(location[-1])
    parent = next(iter(_models(model, location[:-1])), None)
    from yett.config.described import descriptions

    said = descriptions(parent) if parent else {}
    names = [field for field in said if parent and (parent.model_fields[field].alias or field) == name]
    text = said[names[0]].strip().removesuffix(".") if names else ""
    return f"`{name}` is missing{': ' + _lower(text) if text else ''}"


def _lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _mapping(location: Location, model: type[BaseModel]) -> str:
    """What is needed in place of a plain value or a list: with the keys that are known there."""
    found = next(iter(_models(model, location)), None)
    known = _keys(found) if found else []
    if not known:
        return "a mapping is needed here, such as `{key: …}`"
    if len(known) == 1:
        return f"a mapping is needed here: `{{{known[0]}: …}}`"
    return f"a mapping is needed here, with some of {listed(known)}"


def _route() -> type[BaseModel]:
    from yett.config.route import Route

    return Route


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or key for key, field in model.model_fields.items()]


def _unknown(location: Location, model: type[BaseModel]) -> str:
    name = str(location[-1])
    parent = next(iter(_models(model, location[:-1])), None)
    known = _keys(parent) if parent else []
    if parent and parent.__name__ == "Group" and name in _keys(_route()):
        return f"unknown key `{name}`: it stands on a route only"
    hint = _elsewhere(name, known) or nearest(name, known)
    return f"unknown key `{name}`{hint or (f'; known here: {listed(known, 24)}' if known else '')}"


# What other gateways call something that has another name here, where that name is known.
_ELSEWHERE = {
    "service": ("backend", "backends", "cluster", "destination", "proxy_pass", "target", "to", "upstream", "upstreams"),
    "endpoints": ("address", "addresses", "hosts", "nodes", "servers", "targets", "upstream", "upstreams", "url", "urls"),
    "services": ("backends", "clusters", "upstreams"),
    "identity_providers": ("authenticators", "consumers", "providers", "security"),
    "match": ("matches", "matchers", "paths", "prefix", "rule", "uri", "url"),
    "authenticate": ("auth", "authentication", "authn", "jwt", "key_auth", "oidc"),
    "authorize": ("acl", "authorization", "authz", "permissions", "policies", "policy", "rbac", "roles", "rules"),
    "when": ("cel", "condition", "expression", "if"),
    "rate_limit": ("limit_req", "ratelimit", "throttle", "throttling"),
    "jwks": ("jwks_uri", "jwks_url", "keys", "remote_jwks"),
    "audience": ("aud", "audiences"),
    "certificates": ("cert", "cert_file", "certificate", "key_file", "tls_certificates"),
    "retry": ("retries", "retry_policy"),
    "request_headers": ("add_headers", "proxy_set_header", "request_transformer"),
}  # fmt: skip
_FILTERS = ("filters", "http_filters", "middleware", "middlewares", "plugins")


def _elsewhere(name: str, known: list[str]) -> str:
    """The name here of what a person knows from another gateway."""
    lower = name.lower().replace("-", "_")
    for ours, theirs in _ELSEWHERE.items():
        if ours in known and lower in theirs:
            return f"; did you mean `{ours}`?"
    if lower in _FILTERS and "rate_limit" in known:
        return "; there is no list of them: each is a key of the route, such as `rate_limit`, and their order is fixed"
    return ""


def _models(model: Any, location: Location) -> Iterator[type[BaseModel]]:
    """The models that a location may lead to."""
    for plain in _plain(model):
        if not location:
            if isinstance(plain, type) and issubclass(plain, BaseModel):
                yield plain
            continue
        step, rest = location[0], location[1:]
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            if step in {plain.__name__, *_tags(plain)}:
                yield from _models(plain, rest)
            for key, field in plain.model_fields.items():
                if (field.alias or key) == step:
                    yield from _models(field.annotation, rest)
        elif get_origin(plain) is dict:
            yield from _models(get_args(plain)[1], rest)
        elif get_origin(plain) is tuple:
            yield from _models(get_args(plain)[0], rest)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


def _plain(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for part in get_args(annotation):
            yield from _plain(part)
    else:
        yield annotation
