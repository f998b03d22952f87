"""Configurations that tests start from; each is a plain dict that a test may change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.support.api_keys import KeyFile
from tests.support.issuer import Issuer
from tests.support.origin import Origin

Config = dict[str, Any]
METHODS = {"any_of": ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]}


def service(*origins: Origin, **changes: Any) -> Config:
    urls = [origin.url for origin in origins]
    config: Config = {"endpoints": urls[0] if len(urls) == 1 else urls}
    if any(url.startswith("http:") for url in urls):
        config["plaintext"] = "test"
    return {**config, **changes}


def route(
    template: str = "/{rest...}",
    methods: Any = None,
    hosts: Any = "any",
    **changes: Any,
) -> Config:
    """A route to the service `origin`; public unless a change says otherwise."""
    config: Config = {
        "match": {"hosts": hosts, "path": template, "methods": methods or METHODS},
        "service": "origin",
    }
    if not {"access", "authorize", "group"} & set(changes):
        config["access"] = "public"
    config.update(changes)
    return {name: value for name, value in config.items() if value is not None}


def public(origin: Origin, **route_changes: Any) -> Config:
    """Everything goes to the origin, without a check."""
    return {"services": {"origin": service(origin)}, "routes": {"open": route(**route_changes)}}


def protected(origin: Origin, issuer: Issuer, directory: Path | None = None, **route_changes: Any) -> Config:
    """`/open/…` for anyone, everything else for callers whom the issuer vouches for; keys from a file if given."""
    provider = issuer.inline(directory) if directory else issuer.provider()
    if not {"access", "authorize"} & set(route_changes):
        route_changes["access"] = "authenticated"
    return {
        "identity_providers": {"id": provider},
        "services": {"origin": service(origin)},
        "routes": {"open": route("/open/{rest...}"), "closed": route(authenticate="id", **route_changes)},
    }


def deep(config: Config, **changes: Any) -> Config:
    """A copy with changes; a key may be a path with `__`."""
    copy: Config = json.loads(json.dumps(config))
    for key, value in changes.items():
        *parents, last = key.split("__")
        here = copy
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return copy


def listener(**changes: Any) -> Config:
    return {"main": {"address": "127.0.0.1:0", "plaintext": "test", **changes}}


def write_secret(directory: Path, name: str, data: bytes) -> str:
    path = directory / name
    path.write_bytes(data)
    os.chmod(path, 0o600)
    return str(path)


def with_keys(origin: Origin, keys: KeyFile, provider: Config | None = None, **route_changes: Any) -> Config:
    """Everything but `/open/…` needs an API key."""
    if not {"access", "authorize"} & set(route_changes):
        route_changes["access"] = "authenticated"
    return {
        "identity_providers": {"partners": {"type": "api_key", "keys": str(keys.path), **(provider or {})}},
        "services": {"origin": service(origin)},
        "routes": {
            "open": route("/open/{rest...}"),
            "closed": route(authenticate="partners", **route_changes),
        },
    }
