"""No field is forgotten by `yett diff`: every key of every compiled configuration, and every field of every model."""

from __future__ import annotations

import copy
import functools
import json
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.config.test_cases import GOOD
from yett.config.gateway import Gateway
from yett.config.load import Loaded, read_path
from yett.policy.diff import change, document, providers, routes
from yett.policy.diff.change import Kind

Document = dict[str, Any]
Place = tuple[str | int, ...]
EXAMPLES = Path(__file__).parents[2] / "examples"
# Objects whose keys are names that people choose: another one is no unknown key, and is told for what it is.
MAPS = (
    "secrets",
    "match.headers",
    "match.query",
    "response_headers.set",
    "response_headers.add",
    "cost.methods",
)


def documents() -> list[Document]:
    """The compiled forms of all good cases."""
    return [json.loads(path.with_suffix(".ir.json").read_text()) for path in GOOD]


def walk(value: Any, at: Place = (), kind: str = "") -> Iterator[tuple[Place, str, Any]]:
    """Every value with its place, and the place without names and numbers, by which equal ones are known."""
    yield at, kind, value
    if isinstance(value, dict):
        own = f"{kind}<{value['type']}>" if isinstance(value.get("type"), str) else kind
        for key, inner in value.items():
            yield from walk(inner, (*at, key), f"{own}.{key}" if own else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, (*at, index), f"{kind}[]")


def test_a_route_that_is_the_same_has_no_difference() -> None:
    """So equal ones are passed over, which most routes of most changes are."""
    seen = 0
    for one in documents():
        compared = routes.Routes(one, copy.deepcopy(one))
        for route in one["routes"]:
            seen += 1
            assert list(compared._route(route, copy.deepcopy(route))) == [], route["name"]
    assert seen > 100


def each(wanted: type | tuple[type, ...]) -> dict[str, tuple[Document, Place]]:
    """One instance of each kind of place, with the document that it is of."""
    found: dict[str, tuple[Document, Place]] = {}
    for one in documents():
        for at, kind, value in walk(one):
            if isinstance(value, wanted):
                found.setdefault(kind, (one, at))
    return found


def put(whole: Document, at: Place, change: Any) -> Document:
    """A copy in which `change` has been applied to what stands at the place."""
    made = copy.deepcopy(whole)
    if not at:
        return typing.cast("Document", change(made))
    here: Any = made
    for key in at[:-1]:
        here = here[key]
    here[at[-1]] = change(here[at[-1]])
    return made


OBJECTS = each(dict)
LEAVES = each((str, int, bool, type(None)))


def parts(kinds: Iterable[str]) -> dict[str, list[str]]:
    """Kinds by what they belong to: `routes[].access`, `providers[]<jwt>` …"""
    found: dict[str, list[str]] = {}
    for kind in sorted(kinds):
        found.setdefault(".".join(kind.split(".")[:2]) or "all", []).append(kind)
    return found


def with_key(whole: Document, at: Place, value: Any) -> Document:
    """A copy with a key that nobody knows."""
    return put(whole, at, lambda here: {**here, "another_key": value})


@pytest.mark.parametrize("part", sorted(parts(OBJECTS)))
def test_an_unknown_key_widens(part: str) -> None:
    """New, gone or with another value: wherever it stands."""
    for kind in parts(OBJECTS)[part]:
        whole, at = OBJECTS[kind]
        one, other = with_key(whole, at, 1), with_key(whole, at, 2)
        for old, new in ((whole, one), (one, whole), (one, other), (with_key(whole, at, 0), whole)):
            found = document.compare(old, new)
            assert found, kind
            told = any(change.kind is Kind.WIDENS for change in found)
            assert told or kind.endswith(MAPS), (kind, [change.text for change in found])


def another(kind: str, value: Any) -> Any:
    """A value in place of another one, which need not load."""
    if kind.endswith(("addresses[]", "allow[]")):
        return "203.0.113.0/24"
    if kind == "admin":
        return {"address": "0.0.0.0:1", "token": None}
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else "another" if value is None else f"{value}x"


@pytest.mark.parametrize("part", sorted(parts(LEAVES)))
def test_no_value_is_ignored(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without the backstop that looks whether anything has been said of what is different."""
    for module in (change, document, providers, routes):
        monkeypatch.setattr(module, "accounted", lambda where, what, old, new, changes: changes)
    for kind in parts(LEAVES)[part]:
        whole, at = LEAVES[kind]
        changed = functools.partial(another, kind)
        assert document.compare(whole, put(whole, at, changed)), kind


# models


def models(annotation: Any, seen: dict[type[BaseModel], None]) -> None:
    """All models that an annotation leads to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        seen[annotation] = None
        for field in annotation.model_fields.values():
            models(field.annotation, seen)
        return
    for inner in typing.get_args(annotation):
        models(inner, seen)


def instances(value: Any, at: Place = ()) -> Iterator[tuple[Place, BaseModel]]:
    """Every model in a configuration with its place."""
    if isinstance(value, BaseModel):
        yield at, value
        for name in value.model_fields_set:
            yield from instances(getattr(value, name), (*at, name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from instances(inner, (*at, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from instances(inner, (*at, index))


@functools.cache
def configurations() -> list[Loaded]:
    """All good cases and examples, read."""
    return [
        read_path(path) for path in (*GOOD, *sorted(EXAMPLES.glob("*.yaml")), EXAMPLES / "shop/gateway.yaml")
    ]


def fields() -> dict[tuple[str, str], list[tuple[Loaded, Place]]]:
    """Where each field of each model is set."""
    found: dict[tuple[str, str], list[tuple[Loaded, Place]]] = {}
    for loaded in configurations():
        for at, one in instances(loaded.gateway):
            for name in one.model_fields_set:
                found.setdefault((type(one).__name__, name), []).append((loaded, (*at, name)))
    return found


# Fields that no good case sets. Their models are in the cases, so the objects that they are compiled into are above,
# with keys that nobody knows; what compares those objects knows these keys, or calls a difference of them a widening.
UNSEEN = """
Claim values; ClientCertificates crl; Cookies http_only secure; DefaultLimits connections connections_per_address handshakes
header_bytes request_line; DefaultTimeouts body connect head idle keep_alive total; Deny addresses callers clearance device headers
permissions scopes; Discovery ca min_interval refresh stale url; ExternalAuthorization ca protocol; Gateway owner; Group csrf
client_certificate early_hints priority request_headers response_headers sender_constrained split; Identity publish;
Introspection ca leeway; IntrospectionEndpoint ca concurrency queue timeout; JwksUrl ca; Jwt discovery max_age shared_secret;
LimitClass addresses claims clearance device headers permissions roles scopes times windows; Listener timeouts; ListenerLimits header_bytes headers; ListenerTimeouts body handshake head keep_alive; Machine tenant; OauthClient
certificate key; Oidc ca plaintext; Passthrough connect; Redis ca plaintext; ResponseHeaders add; Role description; Route
response_tenant; RouteTimeouts connect; SecurityEvents listeners; SecurityHeaders content_type_options
cross_origin_embedder_policy cross_origin_opener_policy cross_origin_resource_policy referrer_policy; ServiceToken ca hosts;
SignedRequest body label leeway nonce; SigningKey partner roles; WebSocket message
"""


def test_every_field_of_every_model_is_in_some_configuration() -> None:
    """So the tests above have seen what it is compiled to; a new field needs a good case."""
    seen: dict[type[BaseModel], None] = {}
    models(Gateway, seen)
    assert len(seen) > 80
    wanted = {(model.__name__, name) for model in seen for name in model.model_fields}
    unseen = {(words[0], name) for words in map(str.split, UNSEEN.split(";")) for name in words[1:]}
    assert wanted - fields().keys() <= unseen
    # what these two are compiled into is always there, or in a case
    elsewhere = {"ListenerTimeouts", "Discovery"}
    assert {model for model, _ in unseen} - elsewhere <= {model for model, _ in fields()}
