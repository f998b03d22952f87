"""What is particular about the tokens of one identity provider, as data; `config/jwt_document.py` makes the document of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
"""Names of claims, outermost first."""


@dataclass(frozen=True)
class Preset:
    """What is particular. What a configuration says itself goes before it."""

    name: str
    example: str
    """An issuer as it looks there."""
    issuer: re.Pattern[str] | None = None
    """What an issuer has to look like."""
    issuer_fault: Callable[[str], str | None] | None = None
    """What is wrong with an issuer that looks right: a sentence, or nothing."""
    metadata: Callable[[str], tuple[str | None, str]] | None = None
    """Of an issuer: the URL of its metadata where it is not the usual one, and the `issuer` that stands in it."""
    scopes: Path = ("scope",)
    roles: tuple[Path, ...] = (("roles",),)
    """`{audience}` in a name stands for each configured audience."""
    tenant: Path | None = None
    client: Path | None = None
    """The claim that names the client, where it is another than `client_id` or `azp`."""
    client_of: Callable[[str], Path] | None = None
    """The same where it depends on the issuer."""
    kind: dict[str, Any] | None = None
    """How user, service and device are told apart; `KindMap` in `crates/yett-core/src/ir/providers.rs`."""
    client_suffix: str | None = None
    """A subject that is the client's id and this is the client itself."""
    required: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Claims that access tokens have, and the values of which each has one."""
    audience: bool = True
    """Whether access tokens name an audience; where not, `clients` has to be given."""
    at_jwt: bool = True
    """Whether the headers of its access tokens can say `at+jwt`."""
    opaque: str | None = None
    """For who sends a token that is no signed JWT: where it comes from there."""
    key_issuer: bool = False
    """Keys of the set say whose tokens they sign."""
    options: frozenset[str] = frozenset()
    """Keys that only this preset takes."""
