"""Limits in shadow: the data plane gets them in a list of their own, apart from all that is enforced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from yett.config.shadow import Tried

if TYPE_CHECKING:
    from yett.config.base import Location
    from yett.config.filters.address_limit import AddressLimit
    from yett.config.listener import Listener
    from yett.config.route import Group, Route

T = TypeVar("T", bound=Tried)
KINDS = ("address_limit", "concurrency_limit", "rate_limit")
_KEYS = frozenset({*KINDS, "login_guard"})


def tried(source: str, key: str, name: str, limit: Any) -> dict[str, Any]:
    """A limit in shadow in the intermediate representation; `limit` is `address`, `rate` or `concurrency` of what it bounds."""
    return {"source": f"{source}: {key}.{name}", "limit": {key.removesuffix("_limit"): limit}}


def rates(
    source: str, name: str, made: list[dict[str, Any]], classes: list[dict[str, Any]]
) -> dict[str, Any]:
    """A `rate_limit` in shadow, which each instance counts for itself, whatever it says of others."""
    for one in made:
        one.pop("shared", None)
    return tried(source, "rate_limit", name, {"limits": made, **({"classes": classes} if classes else {})})


def enforced(limits: Mapping[str, T]) -> Mapping[str, T]:
    """Those that refuse."""
    if not limits:
        return limits  # also why there are none, where the file says so
    return {name: limit for name, limit in limits.items() if limit.enforced}


def of_listener(name: str, limits: Mapping[str, AddressLimit]) -> dict[str, Any]:
    """The part of a listener's document; nothing where no limit is tried out."""
    found = [
        tried(f"listener {name}", "address_limit", label, limit.compiled(label, f"listener:{name}"))
        for label, limit in limits.items()
        if not limit.enforced
    ]
    return {"shadow_limits": found} if found else {}


def stated(
    item: Group | Route | Listener, where: Location, source: str
) -> Iterator[tuple[Location, str, Tried]]:
    """Every limit in shadow of a part of the configuration: where it stands, its name as in logs, and the limit."""
    if _KEYS.isdisjoint(item.model_fields_set):
        return
    for key in KINDS:
        for name, limit in getattr(item, key, {}).items():
            if not limit.enforced:
                yield (*where, key, name), f"{source}: {key}.{name}", limit
    guard = getattr(item, "login_guard", None)
    if guard is not None and not guard.enforced:
        yield (*where, "login_guard"), f"{source}: login_guard", guard
