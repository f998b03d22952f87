"""Public files and secrets of a configuration, read."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from yett.config.acme import Ordered, ordered
from yett.config.base import Location
from yett.config.gateway import Gateway
from yett.config.messages import translate
from yett.config.places import Places, dotted
from yett.config.providers.api_key import KeysFile
from yett.config.reading import Unreadable, parse
from yett.config.spiffe import Waiting, Workloads, resolved
from yett.config.types import PublicFile, Secret
from yett.errors import ConfigError

MAX_SECRET = 1 << 20
MAX_PUBLIC = 16 << 20
MIN_CHOSEN = 16


@dataclass
class Material:
    """What the files and secrets hold, by the place that names them."""

    texts: dict[Location, str] = field(default_factory=dict)
    keys_files: dict[Location, KeysFile] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    watched: list[Path] = field(default_factory=list)
    ordered: list[Ordered] = field(default_factory=list)
    sockets: set[Path] = field(default_factory=set)
    """Of Workload APIs."""
    waiting: list[Waiting] = field(default_factory=list)


def secret_name(location: Location) -> str:
    """The name under which a secret travels: its place in the configuration."""
    return dotted(location)


def resolve(
    gateway: Gateway, places: Places, workloads: Workloads | None = None
) -> tuple[Material, list[ConfigError]]:
    """Reads everything that the configuration names. Errors carry places, never contents. `workloads`: see `Workloads`."""
    material = Material()
    errors: list[ConfigError] = []
    for location, item in _references(gateway):
        if isinstance(item, Secret):
            value = _secret(item, location, places, material, errors)
            if value is not None:
                name = secret_name(location)
                material.secrets[name] = value
                material.fingerprints[name] = fingerprint(name, value)
        else:
            _public(item, location, places, material, errors)
    for one in ordered(gateway, places, material.texts):
        _ordered(one, material)
    errors.extend(resolved(gateway, places, material, workloads))
    return material, errors


def _ordered(one: Ordered, material: Material) -> None:
    """What is stored of a certificate stands beside those that files hold."""
    material.ordered.append(one)
    material.watched.append(one.file)
    if one.stored:
        at: Location = ("listeners", one.listener, "tls", "acme")
        name = secret_name((*at, "key"))
        material.texts[(*at, "chain")] = one.stored.chain
        material.secrets[name] = one.stored.key
        material.fingerprints[name] = fingerprint(name, one.stored.key)


def _references(gateway: Gateway) -> Iterator[tuple[Location, PublicFile | Secret]]:
    """Wherever one may stand: a part that is passed over here is ignored without a word."""
    yield from _walk(gateway, ())


def _walk(value: Any, at: Location) -> Iterator[tuple[Location, PublicFile | Secret]]:
    if isinstance(value, PublicFile | Secret):
        yield at, value
    elif isinstance(value, BaseModel):
        for name, key in _holders(type(value)):
            part = getattr(value, name)
            if part:  # what is empty names nothing
                yield from _walk(part, (*at, key))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _walk(part, (*at, name))
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from _walk(part, (*at, index))


@cache
def _holders(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Fields that a reference may stand in or below, and their keys: most of a route's cannot hold one."""
    fields = model.model_fields.items()
    return tuple((name, field_.alias or name) for name, field_ in fields if _may_hold(field_.annotation))


def _may_hold(annotation: Any) -> bool:
    if not isinstance(annotation, type) or get_args(annotation):
        return annotation is Any or any(_may_hold(part) for part in get_args(annotation))
    if issubclass(annotation, BaseModel) and annotation is not Secret:
        return bool(_holders(annotation))
    return issubclass(annotation, PublicFile | Secret)


def _read(path: Path, limit: int) -> bytes | str:
    """The bytes, or why there are none."""
    try:
        if not path.is_file():
            return "is not a file" if path.exists() else "does not exist"
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        return f"cannot be read ({(error.strerror or 'error').lower()})"
    return data if len(data) <= limit else f"is larger than {limit >> 20} MiB"


def _secret(
    item: Secret, location: Location, places: Places, material: Material, errors: list[ConfigError]
) -> bytes | None:
    value: bytes | str
    if item.env is not None:
        at, shown = (*location, "env"), f"the environment variable `{item.env}`"
        found = os.environb.get(item.env.encode())
        value = "is not set" if found is None else found
    else:
        path = places.base(location) / (item.file or "")
        material.watched.append(path)
        at, shown = (*location, "file"), f"`{item.file}`"
        value = _read(path, MAX_SECRET)
    if isinstance(value, str):
        advice = "; set it before the gateway starts" if item.env else "; paths are relative to this file"
        errors.append(places.error(at, "secret_missing", f"{shown} {value}{advice}"))
        return None
    value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        errors.append(places.error(at, "secret_empty", f"{shown} is empty"))
        return None
    if b"PRIVATE KEY-----" not in value and location[-1] != "key" and len(value) < MIN_CHOSEN:
        errors.append(
            places.error(
                at,
                "secret_weak",
                f"{shown} is shorter than {MIN_CHOSEN} bytes; make one with `openssl rand -hex 32`",
            )
        )
        return None
    return value


def _public(
    path_text: PublicFile, location: Location, places: Places, material: Material, errors: list[ConfigError]
) -> None:
    path = places.base(location) / path_text
    material.watched.append(path)
    data = _read(path, MAX_PUBLIC)
    if isinstance(data, str):
        errors.append(
            places.error(location, "file_missing", f"`{path_text}` {data}; paths are relative to this file")
        )
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        errors.append(places.error(location, "file_invalid", f"`{path_text}` is not text in UTF-8"))
        return
    if "PRIVATE KEY-----" in text:
        message = f"`{path_text}` holds a private key, and what stands here becomes public; keep the key in a file of its own"
        errors.append(places.error(location, "private_key_exposed", message))
        return
    last = location[-1]
    if last in {"chain", "ca", "certificate"} and "-----BEGIN CERTIFICATE-----" not in text:
        errors.append(
            places.error(location, "file_invalid", f"`{path_text}` holds no certificate; PEM is needed")
        )
    elif "crl" in location[-2:] and "-----BEGIN X509 CRL-----" not in text:
        errors.append(
            places.error(location, "file_invalid", f"`{path_text}` holds no revocation list; PEM is needed")
        )
    elif last == "public_key" and "-----BEGIN PUBLIC KEY-----" not in text:
        message = f"`{path_text}` holds no public key; PEM is needed, as `openssl pkey -pubout` writes it"
        errors.append(places.error(location, "file_invalid", message))
    elif last == "jwks":
        fault = _jwks_fault(text)
        if fault:
            errors.append(places.error(location, fault[0], f"`{path_text}` {fault[1]}"))
    elif last == "keys":
        keys = _keys_file(text, path, path_text, errors)
        if keys:
            material.keys_files[location] = keys
    material.texts[location] = text


def _jwks_fault(text: str) -> tuple[str, str] | None:
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "jwks_invalid", 'is not a JWK set; `{"keys": [ … ]}` is needed (RFC 7517)'
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        return "jwks_invalid", 'holds no key; `{"keys": [ … ]}` with at least one is needed'
    if any(key.get("kty") == "oct" for key in keys):
        return "algorithm_refused", "holds a shared secret (`oct`); only public keys are accepted"
    if any("d" in key for key in keys):
        return "private_key_exposed", "holds a private key (`d`); export the public part only"
    return None


def _keys_file(text: str, path: Path, shown: str, errors: list[ConfigError]) -> KeysFile | None:
    try:
        source = parse(text.encode(), path, shown)
    except Unreadable as unreadable:
        errors.append(unreadable.error)
        return None
    places = Places(source, shown, path.parent)
    try:
        keys = KeysFile.model_validate(source.value)
    except ValidationError as error:
        errors.extend(translate(error, KeysFile, places))
        return None
    seen: dict[str, str] = {}
    for name, entry in keys.keys.items():
        for key_id in entry.ids():
            if key_id in seen:
                message = f"`{seen[key_id]}` has the same id; make a new key"
                errors.append(places.error(("keys", name, "id"), "key_entry_invalid", message))
            seen[key_id] = name
    return keys


_CACHE_KEY = os.urandom(32)
_CACHE: dict[bytes, str] = {}


def fingerprint(name: str, value: bytes) -> str:
    """What the compiled configuration says about a secret: enough to see that it changed, no help in guessing it.

    scrypt (RFC 7914, 16 MiB and some 40 ms a guess) under the secret's place. It is the same on every machine, so that
    equal configurations have equal revisions. Secrets that people choose have at least 16 bytes; private keys, which
    nobody can guess, are hashed once. Results are remembered under a key of this process, at most 10,000.
    """
    seen = hmac.digest(_CACHE_KEY, name.encode() + b"\0" + value, "sha256")
    known = _CACHE.get(seen)
    if known is not None:
        return known
    salt = hashlib.sha256(b"yett fingerprint 1\0" + name.encode()).digest()
    if b"PRIVATE KEY-----" in value:
        digest = hmac.digest(salt, value, "sha256")[:16]
    else:
        digest = hashlib.scrypt(value, salt=salt, n=1 << 14, r=8, p=1, dklen=16)
    if len(_CACHE) >= 10_000:
        _CACHE.clear()
    _CACHE[seen] = digest.hex()
    return digest.hex()
