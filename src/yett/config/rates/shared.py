"""How instances share a limit, and what happens while they cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

SLICE = 200
"""Part of a burst that one instance leases (`filters/rate_limit/shared.rs`)."""


@dataclass(frozen=True)
class Sharing:
    """What a limit says of it, and whether there is a Redis."""

    shared: str | None
    state_loss: str | None
    redis: bool

    @property
    def mode(self) -> str:
        """`exact`, `cached` or `local`; with a Redis limits are shared where nothing is said."""
        return self.shared or ("exact" if self.redis else "local")

    def compiled(self) -> dict[str, Any]:
        """Its part of the intermediate representation; nothing where each instance counts for itself."""
        if self.mode == "local":
            return {}
        return {"shared": {"mode": self.mode, "state_loss": self.state_loss or "refuse"}}

    def faults(self, made: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
        """Key, code and message of what cannot be; `made` are the compiled limits."""
        if self.mode != "local" and not self.redis:
            yield (
                "shared", "limit_without_redis",
                "instances share limits by a Redis; add `state: {redis: {url: …}}`, or remove `shared`",
            )  # fmt: skip
        if self.mode == "local" and self.state_loss is not None:
            what = "remove it" if self.redis else "add `state: {redis: {url: …}}`, or remove it"
            message = f"a limit that each instance counts for itself loses nothing with Redis; {what}"
            yield "state_loss", "key_unused", message
        small = min(made, key=lambda one: int(one["burst"]), default=None)
        if self.mode == "cached" and small is not None and small["burst"] < SLICE:
            what = f"that of `{small['name']}` is {small['burst']}; raise it to {SLICE}, or write `shared: exact`"
            yield "shared", "cached_burst", f"`cached` leases a two-hundredth of a burst, and {what}"


def uncounted(routes: Iterable[list[dict[str, Any]]]) -> list[str]:
    """Limits that let requests through uncounted, in sentences; of each route its compiled limits."""
    found: dict[tuple[str, str], str] = {}
    for limits in routes:
        for one in limits:
            if one.get("shared", {}).get("state_loss") == "fail_open":
                found[one["scope"], one["name"]] = (
                    f"{one['scope'].replace(':', ' ', 1)}: while the Redis of `state` does not answer, the limit `{one['name']}` "
                    "lets every request through (`state_loss: fail_open`)"
                )
    return [found[key] for key in sorted(found)]
