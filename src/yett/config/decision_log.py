"""Decision records: what access decisions stood on, for `yett replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator

from yett.config.base import Model
from yett.config.headers import plain_names
from yett.config.providers.api_key import ApiKey
from yett.config.types import Items, Secret, Text

if TYPE_CHECKING:
    from yett.config.gateway import Gateway
    from yett.config.merge import Merger

_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "dpop", "signature", "signature-input"}
)
_WHY = "carries a credential, and none is recorded; remove it"


def _fields(value: tuple[str, ...]) -> tuple[str, ...]:
    return plain_names(value, lambda name: _WHY if name in _CREDENTIALS else None)


class DecisionLog(Model):
    """A file that decision records are appended to: every input that a rule reads, personal values as keyed hashes."""

    file: Text
    """Relative to the configuration file; created with mode 0600."""
    hash_key: Secret
    """What personal values are hashed with, at least 16 bytes; `yett replay` needs the same."""
    addresses: Literal["plain", "hashed"] = "plain"
    """How addresses of clients are recorded; hashed ones cannot be judged by rules about networks."""
    headers: Annotated[Items, AfterValidator(_fields)] = ()
    """Header fields to record beside those that rules read, ahead of a rule that will."""
    query: Items = ()
    """Parameters of the query likewise."""


def check_decision_log(merger: Merger) -> None:
    """It is no other log's file, and no header of it carries keys."""
    gateway = merger.gateway
    log = gateway.decision_log
    if log is None:
        return
    other = gateway.access_log
    if not isinstance(other, str) and Path(other.file) == Path(log.file):
        merger.fault(
            ("decision_log", "file"),
            "file_twice",
            f"`{log.file}` is the access log; give decision records a file of their own",
        )
    keys = {one.header for one in gateway.identity_providers.values() if isinstance(one, ApiKey)}
    for index, name in enumerate(log.headers):
        if name in {header.lower() for header in keys}:
            merger.fault(("decision_log", "headers", index), "header_owned", f"`{name}` {_WHY}")


def compiled(gateway: Gateway, directory: Path) -> dict[str, Any]:
    """Its part of the document; nothing where decisions are not recorded."""
    from yett.config.resolve import secret_name  # it imports the models

    log = gateway.decision_log
    if log is None:
        return {}
    return {
        "decision_log": {
            "file": str((directory / log.file).absolute()),
            "key": secret_name(("decision_log", "hash_key")),
            **({"hash_addresses": True} if log.addresses == "hashed" else {}),
            **({"headers": sorted(log.headers)} if log.headers else {}),
            **({"query": sorted(log.query)} if log.query else {}),
        }
    }
